"""Clean, leaky or undecided: what the figures allow to say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Verdict = Literal["clean", "leaky", "undecided"]

LEVEL = 0.025
"""One-sided level of the family-wise test of text probes (5 % two-sided)."""
SIDE_LEVEL = 0.005
"""Level of each single test beside the text probes: the positions of answers, and transfer."""
MARGIN = 0.05
"""Default for what is small enough: the upper limit must stay below chance plus this."""


def decide(p_adjusted: float, upper: float, chance: float, margin: float) -> Verdict:
    """Leaky if the test says so; clean only if every probe's upper limit is below the margin.

    "Not significant" alone is no pass: few questions show nothing either way. That all upper
    limits (one-sided 95 %) must be below is an intersection-union test, which needs no correction
    for the choice of the best probe.
    """
    if p_adjusted <= LEVEL:
        return "leaky"
    return "clean" if upper < chance + margin else "undecided"


def overall(text: Verdict, others: Iterable[Verdict]) -> Verdict:
    """Leaky if anything is; else what the probes say about all questions together."""
    return "leaky" if "leaky" in (text, *others) else text
