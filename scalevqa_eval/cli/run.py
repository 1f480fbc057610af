"""`scalevqa run`: ask a model the questions of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalevqa_eval.errors import UsageError

if TYPE_CHECKING:
    from scalevqa_eval.models import Model
    from scalevqa_eval.run.result import Evaluation
    from scalevqa_eval.types import Benchmark

_ASK, _DATA, _PACE = "What is asked", "Where the data is", "Pace"


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    model: Annotated[str, typer.Option(help="engine/model, such as openai/gpt-5.2.")],
    benchmark: Annotated[
        str, typer.Option(help="A name (scalevqa benchmarks list), a card or a question file.")
    ] = "demo",
    condition: Annotated[
        list[str] | None,
        typer.Option(help="What is shown: full, no-images, … Repeat for several.  [default: full]"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split, by default the card's.")] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help="Only this dimension. Repeat for several.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N questions (of --dimension).")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory of question files and images.")
    ] = None,
    hub_id: Annotated[str | None, typer.Option(help="Hub dataset to use instead.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the hub dataset.")] = None,
    train_file: Annotated[
        Path | None, typer.Option(help="Question file that learned baselines fit on.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Directory for runs.")] = Path("runs"),
    prompt: Annotated[
        str | None, typer.Option(help="scalereasoner, direct, cot, open, or a text file.")
    ] = None,
    score: Annotated[
        str, typer.Option(help="generate: read the reply. logprobs: most probable letter.")
    ] = "generate",
    letters_only: Annotated[
        bool, typer.Option("--letters-only", help="Let the engine allow only option letters.")
    ] = False,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply, in tokens.")] = 4096,
    seed: Annotated[int, typer.Option(help="For conditions and sampling.")] = 0,
    base_url: Annotated[
        str | None, typer.Option(help="Server to use (any OpenAI-compatible one).")
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option("--engine-option", "-O", help="KEY=VALUE for the engine. Repeatable."),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="ray: copies of the model on a Ray cluster.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Copies, with --engine ray.")] = 1,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Prompts under way at once.")
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one question with all its retries.")
    ] = 1200.0,
    cache: Annotated[bool, typer.Option(help="Use replies that earlier runs paid for.")] = True,
) -> None:
    """Ask a model the questions of a benchmark and print its score per dimension.

    The same command continues a run that was stopped.
    """
    from scalevqa_eval.cli import progress
    from scalevqa_eval.data import load_benchmark
    from scalevqa_eval.run.blocking import run_blocking
    from scalevqa_eval.run.evaluate import evaluate
    from scalevqa_eval.run.preflight import without_images
    from scalevqa_eval.run.retry import RetryPolicy
    from scalevqa_eval.types import Sampling

    if score not in ("generate", "logprobs"):
        raise UsageError(f"--score is generate or logprobs, not {score!r}")
    if engine not in (None, "ray"):
        raise UsageError(f"--engine is ray or left out, not {engine!r}")
    if workers > 1 and engine is None:
        raise UsageError("--workers goes with --engine ray")
    options = engine_options(engine_option)
    if base_url is not None:
        options["base_url"] = base_url
    loaded = load_benchmark(
        benchmark, split=split, data_dir=data_dir, hub_id=hub_id, revision=revision,
        limit=None if dimension else limit,
    )  # fmt: skip
    loaded = only_dimensions(loaded, dimension, limit)
    train = load_benchmark(train_file) if train_file else None
    opened = open_model(model, options, workers if engine == "ray" else None)
    sampling = Sampling(
        temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed,
        letters_only=letters_only, logprobs=score == "logprobs",
    )  # fmt: skip
    try:
        with progress.shown(f"{opened.name} on {loaded.name} {loaded.split}") as show:
            if lacking := without_images(loaded):
                show.warn(lacking)
            evaluation = evaluate(
                opened,
                loaded,
                condition or ["full"],
                output=output,
                prompt=prompt,
                sampling=sampling,
                max_concurrency=max_concurrency,
                seed=seed,
                retry=RetryPolicy(time_limit=time_limit),
                cache=cache,
                train=train,
                on_progress=show.update,
                warn=show.warn,
            )
    except KeyboardInterrupt:
        typer.echo("Stopped. All answers so far are kept: the same command continues.", err=True)
        raise typer.Exit(130) from None
    finally:
        run_blocking(opened.aclose())
    print_evaluation(evaluation)


def open_model(name: str, options: dict[str, Any], workers: int | None) -> Model:
    """The model, or with `workers` that many copies of it on Ray."""
    if workers is None:
        from scalevqa_eval.models import load_model

        return load_model(name, **options)
    from scalevqa_eval.models.ray.pool import load_pool

    return load_pool(name, options, workers)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the tables and where the runs lie; exit 1 if a question has no answer."""
    from rich.console import Console

    from scalevqa_eval.cli.run_table import summary_table

    console = Console(highlight=False)
    for run_ in evaluation.runs.values():
        console.print(summary_table(run_.summary))
        typer.echo(f"{run_.path}")
    if evaluation.complete:
        return
    asked = sum(len(run_.questions) for run_ in evaluation.runs.values())
    answered = sum(r.outcome.scored for r in evaluation.records)
    failed = [record.error for record in evaluation.records if record.error]
    reason = evaluation.stopped or (failed[-1] if failed else "")
    typer.echo(
        f"INCOMPLETE: {asked - answered} of {asked} questions have no answer. {reason}\n"
        "The same command asks them again.",
        err=True,
    )
    raise typer.Exit(1)


def engine_options(pairs: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE` texts as options; values are read as YAML scalars (numbers, true, null)."""
    import yaml

    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"an engine option is written KEY=VALUE, not {pair!r}")
        try:
            options[key.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"the value of engine option {pair!r} cannot be read") from error
    return options


def only_dimensions(
    benchmark: Benchmark, names: list[str] | None, limit: int | None = None
) -> Benchmark:
    """The benchmark with the questions of some dimensions alone, the first `limit` of those."""
    from dataclasses import replace

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
