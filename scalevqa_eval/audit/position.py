"""Whether the right option stands at some place, or has some letter, more often than by chance.

Apart from the text probes, because it alone depends on the order in which options are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalevqa_eval.audit.null import Floats
from scalevqa_eval.audit.table import Ints
from scalevqa_eval.statistics import holm
from scalevqa_eval.types import Question

REDRAWS = 9_999


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Counts of right options by place; `p_value` per stratum ("" is all), `p_adjusted` by Holm."""

    counts: dict[str, tuple[int, ...]]
    expected: dict[str, tuple[float, ...]]
    p_value: dict[str, float]
    p_adjusted: dict[str, float]


def position_bias(questions: Sequence[Question], seed: int) -> PositionBias:
    """Pearson's statistic against places drawn uniformly within each question, by redrawing."""
    sizes = np.array([len(q.options) for q in questions], dtype=np.intp)
    place = np.array([list(q.options).index(q.answer) for q in questions], dtype=np.intp)
    strata = {"": np.ones(len(questions), dtype=bool)}
    names = sorted({q.dimension for q in questions})
    if len(names) > 1:
        strata |= {n: np.array([q.dimension == n for q in questions]) for n in names}
    counts, expected, p_value = {}, {}, {}
    for name, chosen in strata.items():
        rng = np.random.default_rng([seed, 41])
        observed, wanted = _tables(sizes[chosen], place[chosen])
        counts[name] = tuple(int(x) for x in observed)
        expected[name] = tuple(float(x) for x in wanted)
        p_value[name] = _p_value(sizes[chosen], observed, wanted, rng)
    adjusted = dict(zip(p_value, holm(list(p_value.values())), strict=True))
    return PositionBias(counts, expected, p_value, {k: float(v) for k, v in adjusted.items()})


def _tables(sizes: Ints, place: Ints) -> tuple[Ints, Floats]:
    width = int(sizes.max())
    expected = ((np.arange(width) < sizes[:, None]) / sizes[:, None]).sum(0)
    return np.bincount(place, minlength=width), expected


def _p_value(sizes: Ints, observed: Ints, expected: Floats, rng: np.random.Generator) -> float:
    """Questions of the same number of options fall into places as a multinomial."""
    width = len(expected)
    drawn = np.zeros((REDRAWS, width))
    for size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        drawn[:, :size] += rng.multinomial(int(number), np.full(int(size), 1 / size), size=REDRAWS)
    statistic = ((drawn - expected) ** 2 / expected).sum(1)
    seen = float(((observed - expected) ** 2 / expected).sum())
    return float((1 + (statistic >= seen - 1e-9).sum()) / (REDRAWS + 1))
