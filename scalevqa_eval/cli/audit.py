"""`scalevqa audit`: find out whether a benchmark can be answered without its images."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scalevqa_eval.cli.options import BENCHMARK, DataDir, application, command
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import console, say

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.types import Benchmark


Texts = list[str] | None


@dataclass(frozen=True)
class AuditOptions:
    """Find out whether a benchmark can be answered without looking at its images.

    Needs no network, no key and no GPU, unless --adversary or --visual names a model.
    """

    benchmark: Annotated[str, typer.Argument(help=BENCHMARK)]
    split: Annotated[str | None, typer.Option(help="Split, by default the card's.")] = None
    data_dir: DataDir = None
    train: Annotated[
        Path | None, typer.Option(help="Question file to fit on, for the transfer probe.")
    ] = None
    external: Annotated[
        str | None, typer.Option(help="Split of the same benchmark to fit on instead.")
    ] = None
    against: Annotated[
        Path | None, typer.Option(help="An earlier audit.json: say what changed since.")
    ] = None
    permutations: Annotated[
        int, typer.Option(min=1, help="Redraws of the answers for the null distribution.")
    ] = 100
    seeds: Annotated[int, typer.Option(min=1, help="Assignments of slides to folds.")] = 3
    seed: Annotated[int, typer.Option(min=0, help="For folds, redraws and landmarks.")] = 0
    margin: Annotated[
        float, typer.Option(help="How large a leak is still small, as a fraction.")
    ] = 0.05
    adversary: Annotated[
        Texts,
        typer.Option(help="Language model asked without images: engine/model. Repeatable."),
    ] = None
    visual: Annotated[
        Texts,
        typer.Option(help="Vision model asked with views left out, blank or wrong. Repeatable."),
    ] = None
    base_url: Annotated[str | None, typer.Option(help="Server for --adversary and --visual.")] = (
        None
    )
    engine_option: Annotated[
        Texts,
        typer.Option("--engine-option", "-O", help="KEY=VALUE for their engine. Repeatable."),
    ] = None
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Prompts under way at once.")
    ] = None
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before models are paid for.")
    ] = False
    repair: Annotated[
        Literal["blocks", "prune"] | None,
        typer.Option(
            help="blocks: write option blocks and judge them. prune: say what pruning would leave."
        ),
    ] = None
    fail_on: Annotated[
        Literal["leaky", "undecided", "imbalanced", "measurable"] | None,
        typer.Option(help="Exit 1 for this verdict, or one that stands before it here."),
    ] = None
    output: Annotated[
        Path | None, typer.Option(help="Directory for the report.  [default: audits/NAME]")
    ] = None


app = application()


def audit(given: AuditOptions) -> None:
    if given.train is not None and given.external is not None:
        raise UsageError("give --train FILE or --external SPLIT, not both")

    from scalevqa_eval.audit.against import changes, read_audit
    from scalevqa_eval.audit.assemble import audit as run_audit
    from scalevqa_eval.audit.reading import read_for_audit
    from scalevqa_eval.audit.results import VERDICTS
    from scalevqa_eval.audit.terminal import show
    from scalevqa_eval.cli import audit_models

    earlier = None if given.against is None else read_audit(given.against)
    loaded, findings = read_for_audit(given.benchmark, given.split, given.data_dir)
    other = _training_split(loaded, given)
    directory = given.output or Path("audits") / _directory_name(loaded)
    audit_models.confirm(given, loaded)
    with _ticking() as tick:
        report = run_audit(
            loaded,
            train=other,
            permutations=given.permutations,
            seeds=given.seeds,
            seed=given.seed,
            margin=given.margin,
            findings=findings,
            progress=tick,
        )
    if given.adversary or given.visual or given.repair is not None:
        report.save(directory, loaded.questions)  # kept, whatever becomes of the rest
    report = audit_models.ask(given, report, loaded, directory)
    if given.repair is not None:
        report = _repaired(report, given, loaded, other, directory)
    if earlier is not None:
        report = report.with_section("against", {"lines": changes(earlier, report.to_json())})
    written = report.save(directory, loaded.questions)
    asked = [given.benchmark]
    asked += ["--split", given.split] if given.split else []
    asked += ["--data-dir", str(given.data_dir)] if given.data_dir else []
    show(console(), report.to_json(), shlex.join(asked), f"{directory}/")
    say(written)
    worst_first: list[str] = list(VERDICTS)
    fail_on = given.fail_on
    if fail_on and worst_first.index(report.verdict) <= worst_first.index(fail_on):
        say(f"The verdict is {report.verdict} (--fail-on {fail_on}).", err=True)
        raise typer.Exit(1)


command(app, "audit", AuditOptions, audit)


def _training_split(loaded: Benchmark, given: AuditOptions) -> Benchmark | None:
    from scalevqa_eval.data import load_benchmark

    if given.train is not None:
        return load_benchmark(given.train)
    if given.external is None:
        return None
    if loaded.load_split is None:
        raise UsageError(f"{loaded.name} has no other splits; use --train FILE")
    return loaded.load_split(given.external)


def _repaired(
    report: AuditReport,
    given: AuditOptions,
    audited: Benchmark,
    external: Benchmark | None,
    directory: Path,
) -> AuditReport:
    from scalevqa_eval.audit.repair import repair
    from scalevqa_eval.data import Location, read_benchmark

    loaded = read_benchmark(Location(given.benchmark, given.split, given.data_dir))
    with _ticking() as tick:
        section = repair(
            str(given.repair), audited, directory / "repair", external=external, loaded=loaded,
            seed=given.seed, margin=given.margin, tick=tick,
        )  # fmt: skip
    return report.with_section("repair", section)


def _directory_name(loaded: Benchmark) -> str:
    """`NAME-SPLIT`, or NAME if they are the same, in characters that every file system takes."""
    name = "-".join(dict.fromkeys(filter(None, (loaded.name, loaded.split))))
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "audit"


@contextmanager
def _ticking() -> Iterator[Callable[[str], None]]:
    """Show what is being done: a spinner with the time on a terminal, plain lines elsewhere."""
    import time

    screen = console(err=True)
    started = time.monotonic()
    if not screen.is_terminal:
        yield lambda text: say(f"{time.monotonic() - started:6.1f} s  {text}", err=True)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda text: bar.update(task, description=text)
