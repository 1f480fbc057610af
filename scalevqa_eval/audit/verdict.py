"""What the figures allow to say: is a leak shown, and is it smaller than the margin?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Verdict = Literal["leaky", "undecided", "imbalanced", "measurable", "clean"]
WORDS: Mapping[Verdict, str] = {
    "leaky": "leaky",
    "undecided": "undecided",
    "imbalanced": "imbalanced labels",
    "measurable": "measurable, below the margin",
    "clean": "no learnable shortcut found",
}
VERDICTS: tuple[Verdict, ...] = tuple(WORDS)
"""Worst first: the whole is as bad as its worst part, and never clean beside an undecided one."""

LEVEL = 0.025
"""One-sided level of the family-wise test of text probes (5 % two-sided)."""
SIDE_LEVEL = 0.005
"""Level of each single test beside the text probes: positions, transfer, blind models."""
MARGIN = 0.05
"""Default for what is small enough: a leak that is shown to be below this is not called leaky."""


def decide(shown: bool, largest_leak: float, imbalance: float, margin: float) -> Verdict:
    """From whether a leak is shown and how large one remains possible.

    `imbalance` is how far the commonest label of a set of options is above guessing. "Not shown"
    alone is no pass: few questions show nothing either way. `largest_leak` is the highest upper
    limit of all probes, an intersection-union test, which needs no correction for the choice.
    """
    if largest_leak >= margin:
        return "leaky" if shown else "undecided"
    if imbalance >= margin:
        return "imbalanced"
    return "measurable" if shown else "clean"


def overall(parts: Iterable[Verdict]) -> Verdict:
    """The worst of them."""
    return min(parts, key=VERDICTS.index)


def scope(blind_models: int) -> str:
    """What was looked for: shortcuts that can be learned, and what language models know."""
    if not blind_models:
        return "learnable shortcuts only; knowledge not tested"
    return (
        f"learnable shortcuts, and what {blind_models} blind model"
        f"{'s' if blind_models > 1 else ''} know{'' if blind_models > 1 else 's'}"
    )
