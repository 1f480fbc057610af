"""All boards as one self-contained HTML page: no network, no external file, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalevqa_eval.leaderboard.charts import RADAR_MODELS, dot_plot, radar
from scalevqa_eval.leaderboard.entries import slug
from scalevqa_eval.leaderboard.standing import Cell, Line, Standing
from scalevqa_eval.leaderboard.tables import (
    about,
    entry_name,
    gain_text,
    notes_on_numbers,
    number,
    percent,
    rank_text,
    span,
    text_probe,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A table cell: what it says, what it is sorted by, and the bar under it in percent."""

    text: str
    small: str
    sort: str
    low: str = ""
    width: str = ""
    at: str = ""


def to_html(standings: Sequence[Standing]) -> str:
    """The page of all boards."""
    environment = Environment(
        loader=PackageLoader("scalevqa_eval.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("leaderboard.html.j2")
    return template.render(boards=[_board(standing) for standing in standings]) + "\n"


def _board(standing: Standing) -> dict[str, Any]:
    board = standing.board
    return {
        "id": slug(board.benchmark),
        "title": board.title,
        "description": board.description,
        "split": board.split,
        "dimensions": list(board.dimensions),
        "rows": [_row(standing, line) for line in standing.lines],
        "others": [_row(standing, line) for line in standing.others],
        "references": _references(standing),
        "dots": dot_plot(standing) if standing.lines else "",
        "radar": radar(standing),
        "radar_models": min(RADAR_MODELS, len(standing.lines)),
        "explained": notes_on_numbers(standing),
        "text_only": [text_probe(probe, interval) for probe, interval in standing.text_only],
        "notes": list(board.notes),
        "sources": [
            {"text": about(line.entry).replace(f"; {line.entry.source.url}", "")
             if line.entry.source.url else about(line.entry), "url": line.entry.source.url}
            for line in (*standing.lines, *standing.others)
        ],
    }  # fmt: skip


def _row(standing: Standing, line: Line) -> dict[str, Any]:
    entry, place = line.entry, line.rank_interval
    sort_gain = f"{line.gain.value:.6f}" if line.gain else ""
    return {
        "rank": Shown(
            "–" if line.rank is None else str(line.rank),
            f"{place.low}–{place.high}" if place else "",
            "" if line.rank is None else str(line.rank),
        ),
        "rank_title": rank_text(line),
        "model": entry_name(entry),
        "state": entry.state,
        "condition": entry.condition,
        "overall": shown(line.overall),
        "macro": shown(line.macro),
        "cells": [shown(line.dimensions.get(name)) for name in standing.board.dimensions],
        "text_only": _text_only(standing, line),
        "gain": Shown(gain_text(line).partition(" ")[0], _gain_note(line), sort_gain),
    }


def _gain_note(line: Line) -> str:
    if line.gain is None:
        return ""
    blind = f"blind {line.gain.blind.correct}/{line.gain.blind.n}"
    return f"{blind} {span(line.gain.interval)}" if line.gain.interval else f"{blind}, not paired"


def _text_only(standing: Standing, line: Line) -> Shown:
    """What text alone reaches on the benchmark, and how far this entry is above it (points)."""
    if standing.strongest_text is None:
        return Shown("–", "", "")
    probe, _ = standing.strongest_text
    share = probe.total.correct / probe.total.n
    above = line.overall.share - share
    small = (
        f"{number(probe.total.correct)}/{probe.total.n} on {probe.split}; model {100 * above:+.1f}"
    )
    return Shown(percent(share), small, f"{above:.6f}")


def shown(cell: Cell | None) -> Shown:
    """A share with k/n, interval and bar; a dash if there is none."""
    if cell is None:
        return Shown("–", "", "")
    sort = f"{cell.share:.6f}"
    if cell.printed:
        return Shown(cell.printed, "no k/n", sort, at=f"{100 * cell.share:.1f}")
    count = f"{number(cell.count.correct)}/{cell.count.n} " if cell.count else ""
    low, width = "", ""
    if cell.interval is not None:
        low = f"{100 * cell.interval.low:.1f}"
        width = f"{100 * (cell.interval.high - cell.interval.low):.1f}"
    at = f"{100 * cell.share:.1f}"
    return Shown(percent(cell.share), f"{count}{span(cell.interval)}", sort, low, width, at)


def _references(standing: Standing) -> list[dict[str, Any]]:
    """Rows below the models: guessing, and each text-only probe by dimension."""
    board, rows = standing.board, []
    if board.chance is not None:
        cell = shown(Cell(board.chance))
        plain = Shown(cell.text, "", cell.sort, at=cell.at)
        rows.append(
            {"name": "guessing", "overall": plain, "cells": [plain] * len(board.dimensions)}
        )
    for probe, interval in standing.text_only:
        total = probe.total
        cells = []
        for name in board.dimensions:
            count = probe.results.get(name)
            cells.append(shown(Cell(count.correct / count.n, count) if count else None))
        cells = [Shown(c.text, c.small.replace(" no interval", ""), c.sort, at=c.at) for c in cells]
        overall = shown(Cell(total.correct / total.n, total, interval))
        name = f"text only: {probe.probe} ({probe.split})"
        rows.append({"name": name, "overall": overall, "cells": cells})
    return rows
