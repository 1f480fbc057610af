"""`scalevqa run`: ask a model the questions of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from scalevqa_eval.cli.options import (
    BENCHMARK,
    DataDir,
    HubId,
    Revision,
    application,
    command,
    engine_options,
)
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import console, say

if TYPE_CHECKING:
    from scalevqa_eval.models import Model
    from scalevqa_eval.run import Evaluation
    from scalevqa_eval.types import Benchmark

Texts = list[str] | None


@dataclass(frozen=True)
class RunOptions:
    """Ask a model the questions of a benchmark and print its score per dimension.

    The same command continues a run that was stopped.
    """

    model: Annotated[str, Option(help="engine/model, such as openai/gpt-5.2.")]
    benchmark: Annotated[str, Option(help=BENCHMARK)] = "demo"
    condition: Annotated[
        Texts,
        Option(help="What is shown: full, no-images, … Repeat for several.  [default: full]"),
    ] = None
    split: Annotated[str | None, Option(help="Split, by default the card's.")] = None
    dimension: Annotated[Texts, Option(help="Only this dimension. Repeat for several.")] = None
    limit: Annotated[
        int | None, Option(min=1, help="Only the first N questions (of --dimension).")
    ] = None
    data_dir: DataDir = None
    hub_id: HubId = None
    revision: Revision = None
    train_file: Annotated[
        Path | None, Option(help="Question file that learned baselines fit on.")
    ] = None
    reader: Annotated[
        str | None, Option(help="engine/model that reads replies without a clear letter.")
    ] = None
    output: Annotated[Path, Option(help="Directory for runs.")] = Path("runs")
    prompt: Annotated[
        str | None, Option(help="scalereasoner, direct, cot, open, or a text file.")
    ] = None
    score: Annotated[
        str, Option(help="generate: read the reply. logprobs: most probable letter.")
    ] = "generate"
    letters_only: Annotated[
        bool, Option("--letters-only", help="Let the engine allow only option letters.")
    ] = False
    temperature: Annotated[float, Option(min=0, help="0 is greedy.")] = 0.0
    top_p: Annotated[float | None, Option(min=0, max=1)] = None
    max_tokens: Annotated[int, Option(min=1, help="Longest reply, in tokens.")] = 4096
    seed: Annotated[int, Option(help="For conditions and sampling.")] = 0
    base_url: Annotated[str | None, Option(help="Server to use (any OpenAI-compatible one).")] = (
        None
    )
    engine_option: Annotated[
        Texts, Option("--engine-option", "-O", help="KEY=VALUE for the engine. Repeatable.")
    ] = None
    engine: Annotated[str | None, Option(help="ray: copies of the model on a Ray cluster.")] = None
    workers: Annotated[int, Option(min=1, help="Copies, with --engine ray.")] = 1
    max_concurrency: Annotated[int | None, Option(min=1, help="Prompts under way at once.")] = None
    time_limit: Annotated[
        float, Option(min=0.1, help="Seconds for one question with all its retries.")
    ] = 1200.0
    cache: Annotated[bool, Option(help="Use replies that earlier runs paid for.")] = True


app = application()


def run(given: RunOptions) -> None:
    from scalevqa_eval.data import load_benchmark
    from scalevqa_eval.models import load_model
    from scalevqa_eval.run import RetryPolicy, evaluate, run_sync
    from scalevqa_eval.types import Sampling

    _check(given)
    benchmark = _benchmark(given)
    if lacking := sum(not question.views for question in benchmark.questions):
        say(
            f"Warning: {lacking} of {len(benchmark)} questions have no image in {benchmark.name} "
            "and are asked by text alone. If they should have one, the file names its images in "
            "another field: see `views` in docs/cards.md",
            err=True,
        )
    sampling = Sampling(
        given.temperature, given.top_p, given.max_tokens, given.seed, given.letters_only,
        logprobs=given.score == "logprobs",
    )  # fmt: skip
    train = load_benchmark(given.train_file) if given.train_file else None
    model = _model(given)
    reader = load_model(given.reader) if given.reader else None
    try:
        evaluation = evaluate(
            model, benchmark, given.condition or ("full",), output=given.output,
            prompt=given.prompt, sampling=sampling, max_concurrency=given.max_concurrency,
            seed=given.seed, retry=RetryPolicy(time_limit=given.time_limit), cache=given.cache,
            train=train, reader=reader,
        )  # fmt: skip
    except KeyboardInterrupt:
        say("Stopped. All answers so far are kept: the same command continues.", err=True)
        raise typer.Exit(130) from None
    finally:
        run_sync(model.aclose())
        if reader:
            run_sync(reader.aclose())
    _print(evaluation)


command(app, "run", RunOptions, run)


def _check(given: RunOptions) -> None:
    if given.score not in ("generate", "logprobs"):
        raise UsageError(f"--score is generate or logprobs, not {given.score!r}")
    if given.engine not in (None, "ray"):
        raise UsageError(f"--engine is ray or left out, not {given.engine!r}")
    if given.workers > 1 and given.engine is None:
        raise UsageError("--workers goes with --engine ray")


def _benchmark(given: RunOptions) -> Benchmark:
    """The benchmark, or the questions of some dimensions alone, the first `limit` of those."""
    from scalevqa_eval.data import load_benchmark

    names = given.dimension
    benchmark = load_benchmark(
        given.benchmark, given.split, given.data_dir, given.hub_id, given.revision,
        limit=None if names else given.limit,
    )  # fmt: skip
    if not names:
        return benchmark
    there = {question.dimension for question in benchmark.questions}
    for name in names:
        if name not in there:
            raise UsageError(f"no dimension {name!r}; there are {', '.join(sorted(there))}")
    kept = tuple(q for q in benchmark.questions if q.dimension in names)[: given.limit]
    left = {question.dimension for question in kept}
    order = tuple(name for name in benchmark.dimensions if name in left)
    return replace(benchmark, questions=kept, dimensions=order)


def _model(given: RunOptions) -> Model:
    """The model, or with `--engine ray` copies of it."""
    options = engine_options(given.engine_option, given.base_url)
    if given.engine is None:
        from scalevqa_eval.models import load_model

        return load_model(given.model, **options)
    from scalevqa_eval.models.ray.pool import load_pool

    return load_pool(given.model, options, given.workers)


def _print(evaluation: Evaluation) -> None:
    """Print the tables and where the runs lie; exit 1 if a question has no answer."""
    from scalevqa_eval.cli.run_table import summary_table

    terminal = console()
    for one in evaluation.runs.values():
        terminal.print(summary_table(one.summary))
        say(one.path)
    if evaluation.complete:
        return
    summaries = [one.summary for one in evaluation.runs.values()]
    asked = sum(summary["questions"] for summary in summaries)
    missing = sum(summary["unanswered"] for summary in summaries)
    say(
        f"INCOMPLETE: {missing} of {asked} questions have no answer. "
        f"{evaluation.stopped or evaluation.last_error}\nThe same command asks them again.",
        err=True,
    )
    raise typer.Exit(1)
