"""`scalevqa benchmarks list | show | check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalevqa_eval.cli.options import DataDir, HubId, Revision, application
from scalevqa_eval.pages import one_line
from scalevqa_eval.pages.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console  # noqa: TID251 (its type)

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
            table.add_row(key, _cut(" ".join(value.split())))
    terminal = _console()
    terminal.print(table)
    splits = Table("split", "questions", "by dimension", "file", box=None, pad_edge=False)
    for split, spec in card.splits.items():
        by = ", ".join(f"{dimension} {count:,}" for dimension, count in spec.dimensions.items())
        count = "" if spec.count is None else f"{spec.count:,}"
        splits.add_row(_cut(split), count, _cut(by), _cut(" + ".join(spec.parts) or spec.files[0]))
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

    for loaded in report.splits:
        benchmark = loaded.benchmark
        slides = len({question.slide for question in benchmark.questions} - {None})
        images = {view.image for question in benchmark.questions for view in question.views}
        say(
            f"{_cut(benchmark.name)} {_cut(benchmark.split)}: {len(benchmark):,} questions, "
            f"{slides:,} slides, {len(images):,} images ({benchmark.revision})"
        )
    if any(part.missing for part in report.images):
        _print_images(report)
    if not report.findings:
        say("Nothing is wrong.")
        return
    table = Table("", "what", "split", box=None, pad_edge=False)
    table.add_column("n", justify="right")
    table.add_column("details", ratio=1, overflow="fold")
    counts = dict.fromkeys(_STYLES, 0)
    for finding in report.findings:
        counts[finding.severity] += 1
        details = [finding.message, *finding.examples[:_SHOWN]]
        if len(finding.examples) > _SHOWN:
            details.append(f"and {len(finding.examples) - _SHOWN:,} more")
        severity = Text(finding.severity, style=_STYLES[finding.severity])
        row = (finding.kind, _cut(finding.split), f"{len(finding.examples):,}")
        table.add_row(severity, *row, "\n".join(map(_cut, details)))
    say()
    _console().print(table)
    say("\n" + ", ".join(f"{count} {severity}(s)" for severity, count in counts.items()))


def _print_images(report: CheckReport) -> None:
    from rich.table import Table

    table = Table("dimension", box=None, pad_edge=False)
    for heading in ("questions", "images", "there", "missing"):
        table.add_column(heading, justify="right")
    for part in report.images:
        gone = len(part.missing)
        numbers = (part.questions, part.images, part.images - gone, gone)
        table.add_row(_cut(part.dimension), *(f"{number:,}" for number in numbers))
    terminal = _console()
    say()
    terminal.print(table)
    for part in report.images:
        if part.missing and part.source:
            few, more = ", ".join(part.missing[:_SHOWN]), len(part.missing) - _SHOWN
            rest = f" and {more:,} more" if more > 0 else ""
            line = f"{part.dimension}: missing {few}{rest}. To be had {part.source}."
            terminal.print(_cut(line, 1000))


def _console() -> Console:
    """At most 80 columns wide, so that tables read the same in files and terminals."""
    terminal = console()
    if not terminal.is_terminal or terminal.width > 100:
        terminal.width = 80
    return terminal


def _cut(value: str, longest: int = _LONGEST) -> str:
    """Text of a data file for the terminal: on one line, not too long."""
    return one_line(value[:longest]) + ("…" if len(value) > longest else "")
