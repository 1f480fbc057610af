"""Whether the right option stands at some place more often than by chance.

Apart from the text probes, because it alone depends on the order in which options are shown. A
set of options that is always shown in one order (yes before no) says nothing about places: its
commoner label is a base rate, and no position error. So it is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalevqa_eval.audit.redraws import Floats, redraw
from scalevqa_eval.audit.results import SIDE_LEVEL, Verdict, decide, rounded
from scalevqa_eval.audit.table import Ints, numbered
from scalevqa_eval.audit.tokens import normalise
from scalevqa_eval.statistics import difference_interval, holm
from scalevqa_eval.types import Question

REDRAWS = 1_999
_ONCE = 50  # redraws held at a time


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Counts of right options by place; `p_value` per stratum ("" is all), `p_adjusted` by Holm.

    `largest_leak` is how far always taking the commonest place may be above guessing: the
    one-sided 95 % limit, which knows slides. `fixed_order` questions were left out.
    """

    counts: dict[str, tuple[int, ...]]
    expected: dict[str, tuple[float, ...]]
    p_value: dict[str, float]
    p_adjusted: dict[str, float]
    largest_leak: dict[str, float]
    fixed_order: int

    @property
    def skewed(self) -> list[str]:
        return [name for name, p in self.p_adjusted.items() if p <= SIDE_LEVEL]

    def verdict(self, name: str, margin: float) -> Verdict:
        """Of a skew that is shown, by its size; of none, `clean`: nothing is certified by it."""
        if name not in self.skewed:
            return "clean"
        return decide(True, self.largest_leak[name], 0.0, margin)

    def to_json(self) -> dict[str, Any]:
        def stratum(name: str) -> dict[str, Any]:
            return {
                "counts": list(self.counts[name]),
                "expected": [rounded(x) for x in self.expected[name]],
                "p_value": rounded(self.p_value[name]),
                "p_adjusted": rounded(self.p_adjusted[name]),
                "largest_leak": rounded(self.largest_leak[name]),
            }

        dimensions = {name: stratum(name) for name in self.counts if name}
        return {
            **stratum(""),
            "level": SIDE_LEVEL,
            "redraws": REDRAWS,
            "fixed_order": self.fixed_order,
            "by_dimension": dimensions,
        }


def position_bias(
    questions: Sequence[Question], clusters: Sequence[str], seed: int
) -> PositionBias:
    """Pearson's statistic against redraws that relabel a slide's equal lists of options alike."""
    shown = [tuple(map(normalise, q.options.values())) for q in questions]
    orders: dict[tuple[str, ...], Counter[tuple[str, ...]]] = {}
    for one in shown:
        orders.setdefault(tuple(sorted(one)), Counter())[one] += 1
    free = [
        i for i, one in enumerate(shown)
        if len(known := orders[tuple(sorted(one))]) > 1 or known.total() == 1
    ]  # fmt: skip
    kept = [questions[i] for i in free]
    sizes = np.array([len(q.options) for q in kept], dtype=np.intp)
    place = np.array([list(q.options).index(q.answer) for q in kept], dtype=np.intp)
    groups = numbered([(clusters[i], shown[i]) for i in free])
    dimension = np.array([q.dimension for q in kept])
    names = sorted({q.dimension for q in questions})
    masks = {"": np.ones(len(kept), dtype=bool)}
    if len(names) > 1:
        masks |= {name: dimension == name for name in names}
    own = [clusters[i] for i in free]
    counts, expected, p_value, largest = {}, {}, {}, {}
    for name, mask in masks.items():
        observed, wanted = _tables(sizes[mask], place[mask])
        counts[name] = tuple(int(x) for x in observed)
        expected[name] = tuple(float(x) for x in wanted)
        p_value[name] = _p_value(sizes[mask], place[mask], groups[mask], wanted, seed)
        inside = [own[i] for i in np.flatnonzero(mask)]
        largest[name] = _largest_leak(sizes[mask], place[mask], observed - wanted, inside)
    adjusted = dict(zip(p_value, holm(list(p_value.values())), strict=True))
    return PositionBias(counts, expected, p_value, adjusted, largest, len(questions) - len(kept))


def _tables(sizes: Ints, place: Ints) -> tuple[Ints, Floats]:
    width = int(sizes.max(initial=0))
    expected = ((np.arange(width) < sizes[:, None]) / sizes[:, None]).sum(0)
    return np.bincount(place, minlength=width), expected


def _largest_leak(sizes: Ints, place: Ints, excess: Floats, clusters: Sequence[str]) -> float:
    if not len(sizes):
        return 0.0
    best = int(excess.argmax())
    chances = np.where(best < sizes, 1 / sizes, 0.0)
    high = difference_interval((place == best).astype(float), chances, clusters, 0.90).high
    return min(high, float(1 - chances.mean()))


def _p_value(sizes: Ints, place: Ints, groups: Ints, expected: Floats, seed: int) -> float:
    """By redrawing; questions whose list of options no other has fall as a multinomial."""
    if not len(sizes):
        return 1.0
    rng = np.random.default_rng([seed, 41])
    width = len(expected)
    alone = np.bincount(groups)[groups] == 1
    drawn = np.zeros((REDRAWS, width))
    for size, number in zip(*np.unique(sizes[alone], return_counts=True), strict=True):
        drawn[:, :size] += rng.multinomial(int(number), np.full(int(size), 1 / size), size=REDRAWS)
    rest = ~alone
    if rest.any():
        for first in range(0, REDRAWS, _ONCE):
            times = min(_ONCE, REDRAWS - first)
            moved = redraw(sizes[rest], groups[rest], place[rest], times, seed + 1 + first)
            cells = moved + width * np.arange(times)
            counted = np.bincount(cells.ravel(), minlength=width * times)
            drawn[first : first + times] += counted.reshape(times, width)
    statistic = ((drawn - expected) ** 2 / expected).sum(1)
    observed = np.bincount(place, minlength=width)
    seen = float(((observed - expected) ** 2 / expected).sum())
    return float((1 + (statistic >= seen - 1e-9).sum()) / (REDRAWS + 1))
