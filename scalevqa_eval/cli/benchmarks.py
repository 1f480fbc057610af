"""`scalevqa benchmarks list | show | check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalevqa_eval.cli.options import DataDir, HubId, Revision, application
from scalevqa_eval.pages import one_line
from scalevqa_eval.pages.terminal import console

if TYPE_CHECKING:
    from rich.console import Console  # noqa: TID251 (its type)
    from rich.text import Text

    from scalevqa_eval.data import Card, CheckReport

_SHOWN, _LONGEST = 3, 300
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}

app = application("Benchmarks: list, show, check.")

Name = Annotated[str, typer.Argument(help="A built-in name, a card (.yaml) or a question file.")]


@app.command("list")
def list_() -> None:
    """List the built-in benchmarks."""
    from rich.table import Table

    from scalevqa_eval.data import list_cards, load_card

    table = Table("name", "splits (questions)", "files", box=None, pad_edge=False)
    for name in list_cards():
        card = load_card(name)
        splits = ", ".join(
            f"{split} ({spec.count:,})" if spec.count is not None else split
            for split, spec in card.splits.items()
        )
        table.add_row(name, splits, _where(card))
    _console().print(table)


def _where(card: Card) -> str:
    if card.source.generator:
        return "drawn on first use"
    if card.source.hub:
        return f"hub: {card.source.hub}"
    return card.source.directory or "--data-dir or --hub-id"


@app.command()
def show(name: Name) -> None:
    """Show a benchmark's card: splits, counts, license, citation, where its files are."""
    from rich.table import Table

    from scalevqa_eval.data import load_card

    card = load_card(name)
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "name": card.name,
        "title": card.title,
        "about": card.description,
        "homepage": card.homepage,
        "license": card.license,
        "citation": card.citation,
        "prompt": card.prompt,
        "files": _where(card),
        "access": card.source.access,
        "default split": card.default_split or "",
        "dimensions": ", ".join(card.dimension_order),
        "scales": ", ".join(f"{scale} {text}" for scale, text in card.magnifications.items()),
        "card": str(card.path or ""),
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, _text(" ".join(value.split())))
    terminal = _console()
    terminal.print(table)
    splits = Table("split", "questions", "by dimension", "file", box=None, pad_edge=False)
    for split, spec in card.splits.items():
        by = ", ".join(f"{dimension} {count:,}" for dimension, count in spec.dimensions.items())
        count = "" if spec.count is None else f"{spec.count:,}"
        splits.add_row(
            _text(split), count, _text(by), _text(" + ".join(spec.parts) or spec.files[0])
        )
    terminal.print()
    terminal.print(splits)


@app.command()
def check(
    name: Name,
    data_dir: DataDir = None,
    split: Annotated[str | None, typer.Option(help="Only this split; else all there are.")] = None,
    hub_id: HubId = None,
    revision: Revision = None,
    deep: Annotated[
        bool, typer.Option("--deep/--no-deep", help="Decode every image in full.")
    ] = False,
    missing: Annotated[
        Path | None,
        typer.Option(help="Write the missing images to this file: dimension TAB path."),
    ] = None,
) -> None:
    """Look for defective rows, wrong counts, leaking splits and unusable images.

    Exits with 1 if anything found is an error.
    """
    from scalevqa_eval.data import Location, check_benchmark
    from scalevqa_eval.errors import DataError

    report = check_benchmark(Location(name, split, data_dir, hub_id, revision), deep)
    _print_report(report)
    if missing is not None:
        lines = [f"{part.dimension}\t{path}\n" for part in report.images for path in part.missing]
        try:
            missing.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise DataError(f"cannot write {missing}: {error.strerror}") from error
    if report.failed:
        raise typer.Exit(1)


def _print_report(report: CheckReport) -> None:
    from rich.table import Table
    from rich.text import Text

    terminal = _console()
    for loaded in report.splits:
        benchmark = loaded.benchmark
        slides = len({question.slide for question in benchmark.questions} - {None})
        images = {view.image for question in benchmark.questions for view in question.views}
        terminal.print(
            _text(
                f"{benchmark.name} {benchmark.split}: {len(benchmark):,} questions, {slides:,} "
                f"slides, {len(images):,} images ({benchmark.revision})"
            ),
            soft_wrap=True,
        )
    if any(part.missing for part in report.images):
        _print_images(terminal, report)
    if not report.findings:
        terminal.print("Nothing is wrong.")
        return
    table = Table("", "what", "split", box=None, pad_edge=False)
    table.add_column("n", justify="right")
    table.add_column("details", ratio=1, overflow="fold")
    for finding in report.findings:
        details = _text(finding.message)
        for example in finding.examples[:_SHOWN]:
            details.append("\n")
            details.append_text(_text(example))
        if len(finding.examples) > _SHOWN:
            details.append(f"\nand {len(finding.examples) - _SHOWN:,} more")
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        table.add_row(severity, finding.kind, _text(finding.split), f"{finding.count:,}", details)
    terminal.print()
    terminal.print(table)
    counts = [
        f"{sum(finding.severity == severity for finding in report.findings)} {severity}(s)"
        for severity in _STYLES
    ]
    terminal.print("\n" + ", ".join(counts))


def _print_images(terminal: Console, report: CheckReport) -> None:
    from rich.table import Table

    table = Table("dimension", box=None, pad_edge=False)
    for heading in ("questions", "images", "there", "missing"):
        table.add_column(heading, justify="right")
    for part in report.images:
        there = part.images - len(part.missing)
        numbers = (part.questions, part.images, there, len(part.missing))
        table.add_row(_text(part.dimension), *(f"{number:,}" for number in numbers))
    terminal.print()
    terminal.print(table)
    for part in report.images:
        if part.missing and part.source:
            few = ", ".join(part.missing[:_SHOWN])
            more = len(part.missing) - _SHOWN
            rest = f" and {more:,} more" if more > 0 else ""
            terminal.print(
                _text(f"{part.dimension}: missing {few}{rest}. To be had {part.source}.", 1000)
            )


def _console() -> Console:
    """At most 80 columns wide, so that tables read the same in files and terminals."""
    terminal = console()
    if not terminal.is_terminal or terminal.width > 100:
        terminal.width = 80
    return terminal


def _text(value: str, longest: int = _LONGEST) -> Text:
    """Text of a data file for the terminal: on one line, not too long."""
    from rich.text import Text

    return Text(one_line(value[:longest]) + ("…" if len(value) > longest else ""))
