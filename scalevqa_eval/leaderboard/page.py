"""All boards as one self-contained HTML page: no network, no external file, everything escaped.

Charts are inline SVG with coordinates of one decimal: the same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scalevqa_eval.leaderboard.board import slug
from scalevqa_eval.leaderboard.standing import Cell, Line, Standing
from scalevqa_eval.leaderboard.tables import (
    TableCell,
    about,
    notes_on_numbers,
    share_cell,
    table_row,
    text_probe,
)
from scalevqa_eval.pages import environment, percent, short, span

RADAR_MODELS = 6
_LEFT, _RIGHT, _STEP = 230, 736, 30  # the dot plot: names end and shares begin, 100 %, rows
_CENTRE, _RADIUS = (250.0, 185.0), 140.0


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
        "radar": _radar(standing),
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


def _radar(standing: Standing) -> dict[str, Any] | None:
    """The dimensions of the best entries; None with fewer than three dimensions.

    Centre 0 %, rim 100 %. At most RADAR_MODELS entries, so that lines can be told apart.
    """
    names = list(standing.board.dimensions)
    lines = [x for x in standing.lines if all(name in x.dimensions for name in names)]
    lines = lines[:RADAR_MODELS]
    if len(names) < 3 or not lines:
        return None
    corners = range(len(names))
    axes = []
    for corner, name in enumerate(names):
        label = _point(1.14, corner, len(names))
        beside = "start" if label[0] > _CENTRE[0] else "end"
        anchor = "middle" if abs(label[0] - _CENTRE[0]) < 20 else beside
        text = (f"{label[0]:.1f}", f"{label[1] + 4:.1f}")
        axes.append((_pair(_point(1.0, corner, len(names))), text, anchor, name))
    rings = [
        (_polygon([ring for _ in corners]), f"{_CENTRE[1] - _RADIUS * ring - 3:.1f}", ring)
        for ring in (0.25, 0.5, 0.75, 1.0)
    ]
    return {"rings": rings, "axes": axes, "series": [_series(line, names) for line in lines]}


def _series(line: Line, names: Sequence[str]) -> tuple[str, str, str]:
    shares = [line.dimensions[name].share for name in names]
    values = ", ".join(f"{n} {percent(s)} %" for n, s in zip(names, shares, strict=True))
    return line.entry.name, values, _polygon(shares)


def _polygon(shares: Sequence[float]) -> str:
    return " ".join(",".join(_pair(_point(s, i, len(shares)))) for i, s in enumerate(shares))


def _pair(point: tuple[float, float]) -> tuple[str, str]:
    return f"{point[0]:.1f}", f"{point[1]:.1f}"


def _point(share: float, corner: int, count: int) -> tuple[float, float]:
    angle = 2 * math.pi * corner / count
    along, down = math.sin(angle), math.cos(angle)
    return _CENTRE[0] + _RADIUS * share * along, _CENTRE[1] - _RADIUS * share * down
