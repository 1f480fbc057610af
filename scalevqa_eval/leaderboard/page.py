"""All boards as one self-contained HTML page: no network, no external file, everything escaped.

Charts are inline SVG with coordinates of one decimal: the same data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scalevqa_eval.leaderboard.board import slug
from scalevqa_eval.leaderboard.standing import Cell, Standing
from scalevqa_eval.leaderboard.tables import (
    TableCell,
    about,
    notes_on_numbers,
    share_cell,
    table_row,
    text_probe,
)
from scalevqa_eval.pages import environment, percent, short, span

_LEFT, _RIGHT, _STEP = 230, 736, 30  # the dot plot: names end and shares begin, 100 %, rows


def to_html(standings: Sequence[Standing]) -> str:
    """The page of all boards."""
    template = environment("scalevqa_eval.leaderboard").get_template("leaderboard.html.j2")
    return template.render(boards=[_board(standing) for standing in standings]) + "\n"


def _board(standing: Standing) -> dict[str, Any]:
    board, lines = standing.board, (*standing.lines, *standing.others)
    return {
        "id": slug(board.benchmark),
        "board": board,
        "rows": [table_row(standing, line) for line in standing.lines],
        "others": [table_row(standing, line) for line in standing.others],
        "references": _references(standing),
        "dots": _dots(standing),
        "explained": notes_on_numbers(standing),
        "text_only": [text_probe(*pair) for pair in standing.text_only],
        "sources": [(about(x.entry, url=False), x.entry.source.url) for x in lines],
    }


def _references(standing: Standing) -> list[tuple[str, TableCell, list[TableCell]]]:
    """Rows below the models: guessing, and each text-only probe by dimension."""
    board, rows = standing.board, []
    if board.chance is not None:
        guess = replace(share_cell(Cell(board.chance)), small="")
        rows.append(("guessing", guess, [guess] * len(board.dimensions)))
    for probe, interval in standing.text_only:
        counts = [probe.results.get(name) for name in board.dimensions]
        cells = [share_cell(Cell(c.share, c) if c else None) for c in counts]
        overall = share_cell(Cell(probe.total.share, probe.total, interval))
        rows.append((f"text only: {probe.probe} ({probe.split})", overall, cells))
    return rows


def _dots(standing: Standing) -> dict[str, Any]:
    """Where the dot plot's entries and levels (chance, text alone) stand."""
    levels, strongest = [], standing.strongest_text
    if standing.board.chance is not None:
        levels.append((_x(standing.board.chance), "guessing", -4, "end"))
    if strongest is not None:
        split = strongest[0].split
        other = "" if split == standing.board.split else f" ({short(split, 12)})"
        levels.append((_x(strongest[0].total.share), f"text only{other}", 4, "start"))
    rows = []
    for place, line in enumerate(standing.lines):
        cell = line.overall
        ends = cell.interval.ends if cell.interval else None
        value = f"{percent(cell.share)} % {span(ends, 'no interval')}"
        whisker = ends and (_x(ends[0]), _x(ends[1]))
        rows.append((line.entry.name, value, 34 + place * _STEP, whisker, _x(cell.share)))
    ticks = [(_x(tick / 100), tick) for tick in range(0, 101, 20)]
    return {"height": 46 + _STEP * len(rows), "ticks": ticks, "levels": levels, "rows": rows}


def _x(share: float) -> str:
    return f"{_LEFT + (_RIGHT - _LEFT) * share:.1f}"
