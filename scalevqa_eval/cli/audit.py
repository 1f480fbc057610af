"""`scalevqa audit`: find out whether a benchmark can be answered without its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalevqa_eval.errors import UsageError

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.questions import Benchmark


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
    fail_on: Annotated[
        str | None, typer.Option(help="leaky or undecided: exit 1 for this verdict (or worse).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory for the report.  [default: audits/NAME]")
    ] = None,
) -> None:
    """Find out whether a benchmark can be answered without looking at its images.

    Needs no network, no key and no GPU.
    """
    if fail_on not in (None, "leaky", "undecided"):
        raise UsageError(f"--fail-on is leaky or undecided, not {fail_on!r}")
    if train is not None and external is not None:
        raise UsageError("give --train FILE or --external SPLIT, not both")

    from rich.console import Console

    from scalevqa_eval import audit as package
    from scalevqa_eval.audit.dataset import examine, other_splits
    from scalevqa_eval.audit.loading import read_for_audit
    from scalevqa_eval.audit.output import save
    from scalevqa_eval.audit.terminal import show

    loaded, findings = read_for_audit(benchmark, split, data_dir)
    other = _training_split(loaded, train, external)
    with ticking() as tick:
        splits, unread = other_splits(loaded, other)
        findings = (*findings, *unread, *examine(loaded, splits, tick=tick))
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
    written = save(report, output or Path("audits") / directory_name(loaded), loaded.questions)
    show(Console(highlight=False, width=None), report)
    typer.echo(str(written))
    finish(report, fail_on)


def _training_split(
    loaded: Benchmark, train: Path | None, external: str | None
) -> Benchmark | None:
    from scalevqa_eval.benchmark import load_benchmark

    if train is not None:
        return load_benchmark(train)
    if external is None:
        return None
    if loaded.load_split is None:
        raise UsageError(f"{loaded.name} has no other splits; use --train FILE")
    return loaded.load_split(external)


def directory_name(loaded: Benchmark) -> str:
    """`NAME-SPLIT`, in characters that every file system takes."""
    name = "-".join(filter(None, (loaded.name, loaded.split)))
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "audit"


def finish(report: AuditReport, fail_on: str | None) -> None:
    """Exit 1 if the verdict is what `fail_on` names, or worse."""
    failing = {"leaky": ("leaky",), "undecided": ("leaky", "undecided"), None: ()}[fail_on]
    if report.verdict in failing:
        typer.echo(f"The verdict is {report.verdict} (--fail-on {fail_on}).", err=True)
        raise typer.Exit(1)


@contextmanager
def ticking() -> Iterator[Callable[[str], None]]:
    """Show what is being done: a spinner with the time on a terminal, plain lines elsewhere."""
    import time

    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = time.monotonic()
    if not console.is_terminal:
        yield lambda text: console.print(
            f"{time.monotonic() - started:6.1f} s  {text}", markup=False, soft_wrap=True
        )
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda text: bar.update(task, description=text)
