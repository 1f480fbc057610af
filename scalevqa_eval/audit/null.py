"""The null distribution: the right option redrawn uniformly within each question.

Redraws go through the whole pipeline (all folds, the inner folds of the stack too). So whatever
the pipeline makes of chance, such as the spread that training adds, is in the distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Ints

Floats = npt.NDArray[np.float64]


def redraw(sizes: Ints, times: int, seed: int) -> Ints:
    """Right options (questions, times), uniform and independent."""
    rng = np.random.default_rng([seed, 53])
    return np.asarray(rng.integers(0, sizes[:, None], size=(len(sizes), times), dtype=np.intp))


@dataclass(frozen=True, slots=True)
class FamilyTest:
    """One p-value per stratum for its whole family of probes.

    `p_value[s]` compares the largest standardised accuracy of stratum s with that of redraws;
    `p_adjusted[s]` does so step by step over all strata (Westfall and Young, Resampling-Based
    Multiple Testing (1993), algorithm 4.1: Holm's procedure with the joint distribution in place
    of Bonferroni's bound).
    """

    p_value: tuple[float, ...]
    p_adjusted: tuple[float, ...]


def family_test(accuracy: Floats, guessing: Floats) -> FamilyTest:
    """Test `accuracy` (probes, strata, 1 + redraws), whose first column is the observed one.

    Standardised with the mean and spread over all columns, the observed one among them: under the
    null hypothesis the columns are then exchangeable, and the p-values exact. `guessing` (strata)
    is the standard deviation of guessing. A probe that tells options apart in a few questions only
    has a much smaller spread and long tails; it must not set the bar for all others, so that no
    spread counts as less than 0.8 of that of guessing.
    """
    mean = accuracy.mean(-1, keepdims=True)
    spread = np.maximum(accuracy.std(-1, keepdims=True), 0.8 * guessing[None, :, None])
    standard = (accuracy - mean) / spread
    largest = np.round(standard.max(0), 9)
    return FamilyTest(
        tuple(_p_value(row[0], row[1:]) for row in largest),
        tuple(_step_down(largest)),
    )


def _p_value(observed: float, redrawn: Floats) -> float:
    return float((1 + (redrawn >= observed).sum()) / (len(redrawn) + 1))


def _step_down(largest: Floats) -> list[float]:
    order = np.argsort(-largest[:, 0], kind="stable")
    adjusted = [1.0] * len(order)
    least = 0.0
    for place, stratum in enumerate(order):
        rest = largest[order[place:], 1:].max(0)
        least = max(least, _p_value(largest[stratum, 0], rest))
        adjusted[stratum] = least
    return adjusted
