"""`scalevqa run`: ask a model the questions of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from scalevqa_eval.cli.options import command
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import console, say

if TYPE_CHECKING:
    from scalevqa_eval.models import Model
    from scalevqa_eval.run import Evaluation
    from scalevqa_eval.types import Benchmark


@dataclass(frozen=True)
class RunOptions:
    """Ask a model the questions of a benchmark and print its score per dimension.

    The same command continues a run that was stopped.
    """

    model: Annotated[str, Option(help="engine/model, such as openai/gpt-5.2.")]
    benchmark: Annotated[
        str, Option(help="A name (scalevqa benchmarks list), a card or a question file.")
    ] = "demo"
    condition: Annotated[
        list[str] | None,
        Option(help="What is shown: full, no-images, … Repeat for several.  [default: full]"),
    ] = None
    split: Annotated[str | None, Option(help="Split, by default the card's.")] = None
    dimension: Annotated[
        list[str] | None, Option(help="Only this dimension. Repeat for several.")
    ] = None
    limit: Annotated[
        int | None, Option(min=1, help="Only the first N questions (of --dimension).")
    ] = None
    data_dir: Annotated[Path | None, Option(help="Directory of question files and images.")] = None
    hub_id: Annotated[str | None, Option(help="Hub dataset to use instead.")] = None
    revision: Annotated[str | None, Option(help="Revision of the hub dataset.")] = None
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
        list[str] | None,
        Option("--engine-option", "-O", help="KEY=VALUE for the engine. Repeatable."),
    ] = None
    engine: Annotated[str | None, Option(help="ray: copies of the model on a Ray cluster.")] = None
    workers: Annotated[int, Option(min=1, help="Copies, with --engine ray.")] = 1
    max_concurrency: Annotated[int | None, Option(min=1, help="Prompts under way at once.")] = None
    time_limit: Annotated[
        float, Option(min=0.1, help="Seconds for one question with all its retries.")
    ] = 1200.0
    cache: Annotated[bool, Option(help="Use replies that earlier runs paid for.")] = True

    def __post_init__(self) -> None:
        if self.score not in ("generate", "logprobs"):
            raise UsageError(f"--score is generate or logprobs, not {self.score!r}")
        if self.engine not in (None, "ray"):
            raise UsageError(f"--engine is ray or left out, not {self.engine!r}")
        if self.workers > 1 and self.engine is None:
            raise UsageError("--workers goes with --engine ray")

    def load_benchmark(self) -> Benchmark:
        from scalevqa_eval.data import load_benchmark

        loaded = load_benchmark(
            self.benchmark, self.split, self.data_dir, self.hub_id, self.revision,
            limit=None if self.dimension else self.limit,
        )  # fmt: skip
        return only_dimensions(loaded, self.dimension, self.limit)

    def load_model(self) -> Model:
        """The model, or with `--engine ray` copies of it."""
        options = engine_options(self.engine_option)
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.engine is None:
            from scalevqa_eval.models import load_model

            return load_model(self.model, **options)
        from scalevqa_eval.models.ray.pool import load_pool

        return load_pool(self.model, options, self.workers)


def register(app: typer.Typer) -> None:
    command(app, "run", RunOptions, run)


def run(options: RunOptions) -> None:
    from scalevqa_eval.data import load_benchmark
    from scalevqa_eval.models import load_model
    from scalevqa_eval.run import RetryPolicy, evaluate, run_blocking
    from scalevqa_eval.types import Sampling

    given = options
    benchmark = given.load_benchmark()
    lacking = sum(not question.views for question in benchmark.questions)
    if lacking:
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
    model = given.load_model()
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
        run_blocking(model.aclose())
        if reader:
            run_blocking(reader.aclose())
    print_evaluation(evaluation)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the tables and where the runs lie; exit 1 if a question has no answer."""
    from scalevqa_eval.cli.run_table import summary_table

    terminal = console()
    for one in evaluation.runs.values():
        terminal.print(summary_table(one.summary))
        say(f"{one.path}")
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


def engine_options(pairs: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE` texts as options; values are read as YAML scalars (numbers, true, null)."""
    from scalevqa_eval.data import read_yaml

    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"an engine option is written KEY=VALUE, not {pair!r}")
        options[key.replace("-", "_")] = read_yaml(value, f"engine option {pair!r}", "value")
    return options


def only_dimensions(
    benchmark: Benchmark, names: list[str] | None, limit: int | None = None
) -> Benchmark:
    """The benchmark with the questions of some dimensions alone, the first `limit` of those."""
    if not names:
        return benchmark
    there = {question.dimension for question in benchmark.questions}
    for name in names:
        if name not in there:
            raise UsageError(f"no dimension {name!r}; there are {', '.join(sorted(there))}")
    kept = tuple(q for q in benchmark.questions if q.dimension in names)[:limit]
    left = {question.dimension for question in kept}
    order = tuple(name for name in benchmark.dimensions if name in left)
    return replace(benchmark, questions=kept, dimensions=order)
