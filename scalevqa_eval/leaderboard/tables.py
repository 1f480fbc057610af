"""A standing → one table, and its Markdown, CSV, JSON and `.eval_results`; texts are escaped."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import yaml

from scalevqa_eval.leaderboard.board import Entry, TextOnly, slug
from scalevqa_eval.leaderboard.standing import Cell, Line, Standing
from scalevqa_eval.pages import csv_text, fraction, markdown_text, percent, span
from scalevqa_eval.statistics import Interval

_COLUMNS = (
    "benchmark", "split", "model", "revision", "state", "condition", "prompt", "harness", "date",
    "source", "dimension", "n", "correct", "percent", "low", "high", "method", "rank", "rank_low",
    "rank_high",
)  # fmt: skip
_NO_K = "Where no k/n is known the percentage is shown as printed, without interval."
_NO_TEXT = "What text alone reaches on this benchmark has not been entered."


@dataclass(frozen=True, slots=True)
class TableCell:
    """What a cell says: on one line, or as a number with small print, a sort key and a bar.

    The bar's positions are in percent, "" for none.
    """

    line: str
    text: str
    small: str = ""
    sort: str = ""
    low: str = ""
    width: str = ""
    at: str = ""


EMPTY = TableCell("–", "–")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One entry; `dimensions` are in the board's order."""

    entry: Entry
    rank: TableCell
    overall: TableCell
    macro: TableCell
    text_only: TableCell
    gain: TableCell
    dimensions: tuple[TableCell, ...]


def table_row(standing: Standing, line: Line) -> TableRow:
    return TableRow(
        line.entry,
        _rank(line),
        share_cell(line.overall),
        share_cell(line.macro),
        _text_only(standing, line),
        _gain(line),
        tuple(share_cell(line.dimensions.get(name)) for name in standing.board.dimensions),
    )


def share_cell(cell: Cell | None) -> TableCell:
    """A share with k/n, interval and bar; a dash if there is none."""
    if cell is None:
        return EMPTY
    text, sort = percent(cell.share), f"{cell.share:.6f}"
    counts = fraction(cell.count.correct, cell.count.n) if cell.count else ""
    if cell.interval is None:
        value = cell.printed or text
        line = f"{counts} = {value}" if counts else f"{value} % (no k/n)"
        return TableCell(line, value, counts or "no k/n", sort, at=text)
    low, width, ends = percent(cell.interval.low), percent(cell.interval.width), cell.interval.ends
    line = " ".join(filter(None, (counts and f"{counts} =", text, span(ends))))
    return TableCell(line, text, f"{counts} {span(ends)}".strip(), sort, low, width, text)


def _rank(line: Line) -> TableCell:
    if line.rank is None:
        return EMPTY
    text, place = str(line.rank), line.rank_interval
    ends = f"{place.low}–{place.high}" if place else ""
    return TableCell(f"{text} ({ends})" if ends else text, text, ends, text)


def _gain(line: Line) -> TableCell:
    if (gain := line.gain) is None:
        return EMPTY
    text, blind = f"{100 * gain.value:+.1f}", f"blind {fraction(gain.blind.correct, gain.blind.n)}"
    ends = span(gain.interval.ends) if gain.interval else "not paired"
    small = f"{blind} {ends}" if gain.interval else f"{blind}, {ends}"
    return TableCell(f"{text} {ends}", text, small, f"{gain.value:.6f}")


def _text_only(standing: Standing, line: Line) -> TableCell:
    """What text alone reaches on the benchmark, and how far this entry is above it (points)."""
    if standing.strongest_text is None:
        return EMPTY
    probe, interval = standing.strongest_text
    total, above = probe.total, line.overall.share - probe.total.share
    counts, text = fraction(total.correct, total.n), percent(total.share)
    return TableCell(
        markdown_text(f"{counts} = {text} {span(interval.ends)} ({probe.split})"),
        text,
        f"{counts} on {probe.split}; model {100 * above:+.1f}",
        f"{above:.6f}",
    )


def to_markdown(standing: Standing) -> str:
    """The board as a Markdown page; texts of entries come out as plain text."""
    board, plain = standing.board, markdown_text
    names = [plain(name) for name in board.dimensions]
    out = [f"# {plain(board.title)}", ""]
    if board.description:
        out += [plain(board.description), ""]
    head = ["rank (95 %)", "model", "state", "all questions (micro)", "mean of dimensions (macro)"]
    out += _head([*head, *names, "text only (benchmark)", "visual gain"])
    for row in (table_row(standing, line) for line in standing.lines):
        cells = [row.rank.line, plain(row.entry.name), row.entry.state]
        cells += [
            c.line for c in (row.overall, row.macro, *row.dimensions, row.text_only, row.gain)
        ]
        out.append(_row(cells))
    out += ["", f"Split {plain(board.split)}. {notes_on_numbers(standing)}", ""]
    if standing.others:
        out += ["## Other conditions", ""]
        out += _head(["condition", "model", "state", "all questions (micro)", *names])
        for row in (table_row(standing, line) for line in standing.others):
            cells = [plain(row.entry.condition), plain(row.entry.name), row.entry.state]
            out.append(_row([*cells, *(c.line for c in (row.overall, *row.dimensions))]))
        out.append("")
    if standing.text_only:
        out += ["## What text alone reaches", ""]
        out += [f"- {plain(text_probe(*pair))}" for pair in standing.text_only]
        out.append("")
    out += ["## Sources and notes", ""]
    out += [f"- {plain(note)}" for note in board.notes]
    out += [f"- {plain(about(line.entry))}" for line in (*standing.lines, *standing.others)]
    return "\n".join(out) + "\n"


def _head(names: list[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def text_probe(probe: TextOnly, interval: Interval) -> str:
    """One line about a text-only probe of the benchmark."""
    total = probe.total
    trained = f", trained on {probe.trained_on}" if probe.trained_on else ""
    parts = "; ".join(f"{name} {fraction(c.correct, c.n)}" for name, c in probe.results.items())
    told = [
        f"{probe.probe}{trained}, on {probe.split}: {fraction(total.correct, total.n)} = "
        f"{percent(total.share)} % {span(interval.ends)} ({parts}).",
        f"{probe.source.text.rstrip('.')}.",
    ]
    return " ".join([*told, *probe.notes])


def about(entry: Entry, *, url: bool = True) -> str:
    """One line with all that is known of an entry besides its numbers."""
    source = entry.source
    parts = [
        f"{entry.name} ({entry.state}, {entry.condition}, {entry.date}): {source.text}",
        source.url if url else "",
        f"manifest sha256 {source.manifest}" if source.manifest else "",
        f"prompt: {entry.prompt}" if entry.prompt else "",
        f"harness: {entry.harness}" if entry.harness else "",
        *(f"{name} as printed: {text}" for name, text in entry.slips.items()),
        entry.no_counts,
        *entry.notes,
    ]
    return "; ".join(filter(None, parts))


def notes_on_numbers(standing: Standing) -> str:
    """What the intervals and ranks of a board rest on, in a few sentences."""
    lines, chance = standing.lines, standing.board.chance
    methods = sorted({line.overall.interval.method for line in lines if line.overall.interval})
    ranks = sorted({line.rank_interval.method for line in lines if line.rank_interval})
    told = [
        "Cells are k/n = percent [95 % interval].",
        f"Intervals: {'; '.join(methods)}." if methods else "",
        f"Rank intervals: {'; '.join(ranks)}." if ranks else "",
        _NO_K if any(line.entry.no_counts for line in lines) else "",
        "" if chance is None else f"Guessing reaches {percent(chance)} %.",
        "" if standing.text_only else _NO_TEXT,
    ]
    return " ".join(filter(None, told))


def to_csv(standing: Standing) -> str:
    """One row per entry and dimension (and `overall`); texts cannot become formulas."""
    stream, board = io.StringIO(), standing.board
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in (*standing.lines, *standing.others):
        e, place = line.entry, line.rank_interval
        texts = [board.benchmark, board.split, e.model, e.revision, e.state, e.condition]
        texts += [e.prompt, e.harness, e.date, e.source.text]
        rank = (line.rank or "", place.low if place else "", place.high if place else "")
        for name, cell in (*line.dimensions.items(), ("overall", line.overall)):
            n, correct = (cell.count.n, cell.count.correct) if cell.count else ("", "")
            i, value = cell.interval, cell.printed or f"{100 * cell.share:.2f}"
            ends = (f"{100 * i.low:.2f}", f"{100 * i.high:.2f}", i.method) if i else ("", "", "")
            last = rank if cell is line.overall else ("", "", "")
            writer.writerow((*map(csv_text, (*texts, name)), n, correct, value, *ends, *last))
    return stream.getvalue()


def to_json(standing: Standing) -> str:
    """Everything that the pages show, for programs."""
    board = standing.board
    value = {
        **board.model_dump(include={"benchmark", "title", "split", "revision"}),
        "dimensions": board.dimensions,
        "chance": board.chance,
        "notes": list(board.notes),
        "text_only": [
            {
                **probe.model_dump(mode="json"),
                "total": _share(Cell(probe.total.share, probe.total, interval)),
            }
            for probe, interval in standing.text_only
        ],
        "entries": [_line_json(line) for line in (*standing.lines, *standing.others)],
    }
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _line_json(line: Line) -> dict[str, Any]:
    rank, gain = line.rank_interval, line.gain
    return {
        **line.entry.model_dump(mode="json", exclude={"results", "answers_sha256", "questions"}),
        "rank": line.rank,
        "rank_interval": [rank.low, rank.high] if rank else None,
        "rank_method": rank.method if rank else None,
        "overall": _share(line.overall),
        "macro": _share(line.macro) if line.macro else None,
        "by_dimension": {name: _share(cell) for name, cell in line.dimensions.items()},
        "visual_gain": {
            "value": round(gain.value, 6),
            "ci": _ends(gain.interval),
            "blind": gain.blind.model_dump(),
        }
        if gain
        else None,
    }


def _share(cell: Cell) -> dict[str, Any]:
    return {
        "n": cell.count.n if cell.count else None,
        "correct": cell.count.correct if cell.count else None,
        "accuracy": round(cell.share, 6),
        "ci": _ends(cell.interval),
        "ci_method": cell.interval.method if cell.interval else None,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(end, 6) for end in interval.ends]


def to_eval_results(standing: Standing) -> dict[str, str]:
    """File name → text of a model repository's `.eval_results/BENCHMARK.yaml`, one per model.

    Empty if the benchmark's hub dataset is not known. Values are percentages; k/n and interval
    stand in the notes. Format: huggingface_hub.EvalResultEntry.
    """
    files: dict[str, str] = {}
    for line in standing.lines if standing.board.hub else ():
        cells = {"overall": line.overall, **line.dimensions}
        rows = [_result(standing, line.entry, name, cell) for name, cell in cells.items()]
        name = base = slug(line.entry.name)
        number = 2
        while f"{name}.yaml" in files:
            name, number = f"{base}-{number}", number + 1
        files[f"{name}.yaml"] = yaml.safe_dump(
            rows, sort_keys=False, allow_unicode=True, width=1000
        )
    return dict(sorted(files.items()))


def _result(standing: Standing, entry: Entry, dimension: str, cell: Cell) -> dict[str, Any]:
    hub, note = standing.board.hub, "percentage as printed, no k/n"
    assert hub is not None
    if cell.count and cell.interval:
        counts = fraction(cell.count.correct, cell.count.n)
        note = f"{counts}, 95 % {span(cell.interval.ends)}"
    note += f"; split {standing.board.split}; {entry.state}; prompt: {entry.prompt or '?'}"
    revision = {"revision": hub.revision} if hub.revision else {}
    row: dict[str, Any] = {
        "dataset": {"id": hub.dataset, "task_id": slug(dimension).lower(), **revision},
        "value": float(cell.printed) if cell.printed else round(100 * cell.share, 2),
    }
    if len(entry.date) == 10:
        row["date"] = f"{entry.date}T00:00:00Z"
    if entry.source.url:
        row["source"] = {"url": entry.source.url, "name": entry.source.text}
    return {**row, "notes": note}
