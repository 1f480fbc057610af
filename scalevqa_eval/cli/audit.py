"""`scalevqa audit`: find out whether a benchmark can be answered without its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import console, say

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.types import Benchmark


def register(app: typer.Typer) -> None:
    app.command("audit")(audit)


def audit(
    benchmark: Annotated[
        str, typer.Argument(help="A name (scalevqa benchmarks list), a card or a question file.")
    ],
    split: Annotated[str | None, typer.Option(help="Split, by default the card's.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Directory of question files and images.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Question file to fit on, for the transfer probe.")
    ] = None,
    external: Annotated[
        str | None, typer.Option(help="Split of the same benchmark to fit on instead.")
    ] = None,
    permutations: Annotated[
        int, typer.Option(min=1, help="Redraws of the answers for the null distribution.")
    ] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Assignments of slides to folds.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="For folds, redraws and landmarks.")] = 0,
    margin: Annotated[
        float, typer.Option(help="How far above chance is still clean, as a fraction.")
    ] = 0.05,
    adversary: Annotated[
        list[str] | None,
        typer.Option(help="Language model asked without images: engine/model. Repeatable."),
    ] = None,
    visual: Annotated[
        list[str] | None,
        typer.Option(help="Vision model asked with views left out, blank or wrong. Repeatable."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Server for --adversary and --visual.")
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option("--engine-option", "-O", help="KEY=VALUE for their engine. Repeatable."),
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Prompts under way at once.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before models are paid for.")
    ] = False,
    repair: Annotated[
        str | None,
        typer.Option(help="prune or blocks: write a repaired question file and judge it."),
    ] = None,
    fail_on: Annotated[
        str | None, typer.Option(help="leaky or undecided: exit 1 for this verdict (or worse).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory for the report.  [default: audits/NAME]")
    ] = None,
) -> None:
    """Find out whether a benchmark can be answered without looking at its images.

    Needs no network, no key and no GPU, unless --adversary or --visual names a model.
    """
    if fail_on not in (None, "leaky", "undecided"):
        raise UsageError(f"--fail-on is leaky or undecided, not {fail_on!r}")
    if train is not None and external is not None:
        raise UsageError("give --train FILE or --external SPLIT, not both")
    if repair not in (None, "prune", "blocks"):
        raise UsageError(f"--repair is prune or blocks, not {repair!r}")

    from scalevqa_eval import audit as package
    from scalevqa_eval.audit.output import save
    from scalevqa_eval.audit.reading import read_for_audit
    from scalevqa_eval.audit.terminal import show
    from scalevqa_eval.cli import audit_models

    models = audit_models.Models(
        adversary or [], visual or [], base_url, engine_option, max_concurrency, seed
    )
    loaded, findings = read_for_audit(benchmark, split, data_dir)
    other = _training_split(loaded, train, external)
    directory = output or Path("audits") / directory_name(loaded)
    models.confirm(loaded, ask=not yes)
    with ticking() as tick:
        report = package(
            loaded,
            train=other,
            permutations=permutations,
            seeds=seeds,
            seed=seed,
            margin=margin,
            findings=findings,
            progress=tick,
        )
    if models.named or repair is not None:
        save(report, directory, loaded.questions)  # kept, whatever becomes of the rest
    report = models.ask(report, loaded, directory)
    if repair is not None:
        report = _repaired(repair, report, benchmark, split, data_dir, other, directory)
    written = save(report, directory, loaded.questions)
    show(console(), report)
    audit_models.show_sections(report)
    say(written)
    finish(report, fail_on)


def _training_split(
    loaded: Benchmark, train: Path | None, external: str | None
) -> Benchmark | None:
    from scalevqa_eval.data import load_benchmark

    if train is not None:
        return load_benchmark(train)
    if external is None:
        return None
    if loaded.load_split is None:
        raise UsageError(f"{loaded.name} has no other splits; use --train FILE")
    return loaded.load_split(external)


def _repaired(
    method: str,
    report: AuditReport,
    benchmark: str,
    split: str | None,
    data_dir: Path | None,
    external: Benchmark | None,
    directory: Path,
) -> AuditReport:
    from scalevqa_eval.audit.repair import repair
    from scalevqa_eval.data import Location, read_benchmark

    loaded = read_benchmark(Location(benchmark, split, data_dir))
    with ticking() as tick:
        section = repair(
            method,
            loaded.benchmark,
            directory / "repair",
            external=external,
            loaded=loaded,
            seed=report.settings["seed"],
            margin=report.settings["margin"],
            tick=tick,
        )
    return report.with_section("repair", section)


def directory_name(loaded: Benchmark) -> str:
    """`NAME-SPLIT`, or NAME if they are the same, in characters that every file system takes."""
    name = "-".join(dict.fromkeys(filter(None, (loaded.name, loaded.split))))
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "audit"


def finish(report: AuditReport, fail_on: str | None) -> None:
    """Exit 1 if the verdict is what `fail_on` names, or worse."""
    failing = {"leaky": ("leaky",), "undecided": ("leaky", "undecided"), None: ()}[fail_on]
    if report.verdict in failing:
        say(f"The verdict is {report.verdict} (--fail-on {fail_on}).", err=True)
        raise typer.Exit(1)


@contextmanager
def ticking() -> Iterator[Callable[[str], None]]:
    """Show what is being done: a spinner with the time on a terminal, plain lines elsewhere."""
    import time

    terminal = console(err=True)
    started = time.monotonic()
    if not terminal.is_terminal:
        yield lambda text: terminal.print(
            f"{time.monotonic() - started:6.1f} s  {text}", soft_wrap=True
        )
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=terminal, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda text: bar.update(task, description=text)
