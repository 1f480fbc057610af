"""Numbers of an audit as pages show them: k/n, percent, intervals and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A value on a line from 0 to 100 %: all positions are percentages with one decimal.

    `low` and `width` are the interval, `chance` the level of guessing, `null_low` and
    `null_width` two standard deviations around the mean of redrawn answers; "" where unknown.
    """

    text: str
    span: str = ""
    at: str = ""
    low: str = ""
    width: str = ""
    chance: str = ""
    null_low: str = ""
    null_width: str = ""


def bar(part: Mapping[str, Any]) -> Bar:
    """Accuracy with `ci`, and with `chance`, `null_mean` and `null_sd` where they are known."""
    low, high = part["ci"]
    mean, spread = part.get("null_mean"), part.get("null_sd")
    null_low = null_width = ""
    if mean is not None and spread is not None:
        bottom, top = max(0.0, mean - 2 * spread), min(1.0, mean + 2 * spread)
        null_low, null_width = points(bottom), points(top - bottom)
    chance = part.get("chance")
    return Bar(
        percent(part["accuracy"]),
        span(part["ci"]),
        points(part["accuracy"]),
        points(low),
        points(high - low),
        "" if chance is None else points(chance),
        null_low,
        null_width,
    )


def points(share: float) -> str:
    """A share as a position in percent."""
    return f"{100 * min(1.0, max(0.0, share)):.1f}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def span(ci: Sequence[float]) -> str:
    return f"{100 * ci[0]:.1f} – {100 * ci[1]:.1f}"


def count(correct: float, n: int) -> str:
    """k/n, with a tenth where ties or several seeds make k no whole number."""
    rounded = round(correct, 1)
    return f"{rounded:.0f}/{n}" if rounded == int(rounded) else f"{rounded:.1f}/{n}"


def small(p: float | None) -> str:
    if p is None:
        return "–"
    return f"{p:.3f}" if p >= 0.0005 else "<.0005"


def signed(difference: float) -> str:
    """A difference in percentage points with its sign."""
    return f"{100 * difference:+.1f}"


def full_name(name: str, split: str) -> str:
    """Benchmark and split; a bare file is named like its split, which is said once."""
    return " ".join(dict.fromkeys(filter(None, (name, split))))


def clean(text: object) -> str:
    """Without control and bidirectional override characters: texts come from files."""
    return "".join(c if c.isprintable() else " " for c in str(text))
