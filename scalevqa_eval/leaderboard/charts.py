"""Charts of a board as inline SVG: a dot plot with intervals, and a radar of the dimensions.

Series differ in colour, marker and dash, so that no colour has to be seen. Coordinates have one
decimal: the same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from scalevqa_eval.leaderboard.standing import Line, Standing
from scalevqa_eval.leaderboard.tables import entry_name, percent, span

RADAR_MODELS = 6
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4")
_WIDTH, _LEFT, _RIGHT, _STEP = 760, 230, 24, 30


def dot_plot(standing: Standing) -> Markup:
    """Accuracy on all questions per entry, with intervals, chance and the text-only level."""
    lines = standing.lines
    height = 46 + _STEP * len(lines)
    parts: list[Markup] = []
    for tick in range(0, 101, 20):
        x = _x(tick / 100)
        parts.append(
            Markup('<line class="grid" x1="{0}" x2="{0}" y1="18" y2="{1}"/>').format(x, height - 28)
        )
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{} %</text>').format(
                x, height - 10, tick
            )
        )
    if standing.board.chance is not None:
        parts.append(_level(standing.board.chance, "guessing", height, "end"))
    if standing.strongest_text is not None:
        probe = standing.strongest_text[0]
        share, split = probe.total.correct / probe.total.n, _short(probe.split, 12)
        other = "" if probe.split == standing.board.split else f" ({split})"
        parts.append(_level(share, f"text only{other}", height, "start"))
    for place, line in enumerate(lines):
        parts.append(_dot_row(line, 34 + place * _STEP))
    label = f"{standing.board.title}: accuracy on all questions with 95 % intervals"
    return _svg(_WIDTH, height, label, parts)


def _x(share: float) -> str:
    return f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * share:.1f}"


def _level(share: float, label: str, height: int, anchor: str) -> Markup:
    """A dashed line with its label on one side, so that two labels never meet."""
    return Markup(
        '<line class="level" x1="{0}" x2="{0}" y1="6" y2="{1}"/>'
        '<text class="tick" x="{0}" dx="{2}" y="14" text-anchor="{3}">{4}</text>'
    ).format(_x(share), height - 28, -4 if anchor == "end" else 4, anchor, label)


def _dot_row(line: Line, y: int) -> Markup:
    cell, name = line.overall, entry_name(line.entry)
    value = f"{percent(cell.share)} % {span(cell.interval)}"
    whisker = Markup("")
    if cell.interval is not None:
        whisker = Markup('<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            _x(cell.interval.low), _x(cell.interval.high), y, y
        )
    shape = "dot" if cell.interval is not None else "dot open"
    return Markup(
        '<g><title>{}: {}</title><text class="name" x="{}" y="{}" text-anchor="end">{}</text>'
        '{}<circle class="{}" cx="{}" cy="{}" r="4.5"/></g>'
    ).format(name, value, _LEFT - 12, y + 4, _short(name, 32), whisker, shape, _x(cell.share), y)


def radar(standing: Standing) -> Markup:
    """The dimensions of the best entries; empty with fewer than three dimensions.

    Centre 0 %, rim 100 %. At most RADAR_MODELS entries, so that lines can be told apart.
    """
    names = list(standing.board.dimensions)
    lines = [line for line in standing.lines if all(name in line.dimensions for name in names)]
    lines = lines[:RADAR_MODELS]
    if len(names) < 3 or not lines:
        return Markup("")
    centre, radius = (250.0, 185.0), 140.0
    parts: list[Markup] = []
    for ring in (0.25, 0.5, 0.75, 1.0):
        points = _polygon([ring] * len(names), centre, radius)
        parts.append(Markup('<polygon class="ring" points="{}"/>').format(points))
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="{:.1f}">{} %</text>').format(
                centre[0] + 4, centre[1] - radius * ring - 3, int(100 * ring)
            )
        )
    for place, name in enumerate(names):
        x, y = _point(1.0, place, len(names), centre, radius)
        lx, ly = _point(1.14, place, len(names), centre, radius)
        anchor = "middle" if abs(lx - centre[0]) < 20 else "start" if lx > centre[0] else "end"
        parts.append(
            Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
                *centre, x, y
            )
        )
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
                lx, ly + 4, anchor, _short(name, 22)
            )
        )
    for series, line in enumerate(lines):
        parts.append(_radar_series(line, series, names, centre, radius))
    return _svg(_WIDTH, 350, f"{standing.board.title}: accuracy by dimension", parts)


def _radar_series(
    line: Line, series: int, names: Sequence[str], centre: tuple[float, float], radius: float
) -> Markup:
    shares = [line.dimensions[name].share for name in names]
    title = entry_name(line.entry)
    values = ", ".join(f"{n} {percent(s)} %" for n, s in zip(names, shares, strict=True))
    kind, dash = f"series s{series}", _DASHES[series % len(_DASHES)]
    y = 70 + 24 * series
    return Markup(
        '<g class="{0}"><title>{1}: {2}</title>'
        '<polygon points="{3}" stroke-dasharray="{4}"/>'
        '<line x1="500" x2="536" y1="{5}" y2="{5}" stroke-dasharray="{4}"/>'
        '<text class="name" x="544" y="{6}">{7}</text></g>'
    ).format(
        kind, title, values, _polygon(shares, centre, radius), dash, y, y + 4, _short(title, 28)
    )


def _polygon(shares: Sequence[float], centre: tuple[float, float], radius: float) -> str:
    points = (_point(s, i, len(shares), centre, radius) for i, s in enumerate(shares))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _point(
    share: float, place: int, count: int, centre: tuple[float, float], radius: float
) -> tuple[float, float]:
    angle = 2 * math.pi * place / count
    return centre[0] + radius * share * math.sin(angle), centre[1] - radius * share * math.cos(
        angle
    )


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _svg(width: int, height: int, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, label, Markup("").join(parts)
    )
