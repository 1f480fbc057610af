"""Accuracy against guessing: exact tests, what they could have seen, chance correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import special

Alternative = Literal["greater", "less", "two-sided"]


def chance_corrected(accuracy: float, chance: float) -> float:
    """(a - c) / (1 - c): 0 for guessing, 1 for all right, below 0 for worse than guessing."""
    if not 0 <= chance < 1:
        raise ValueError(f"chance must be at least 0 and below 1, not {chance}")
    return (accuracy - chance) / (1 - chance)


def chance_test(
    correct: float, chances: Sequence[float], alternative: Alternative = "greater"
) -> float:
    """Exact p-value of `correct` right answers if question i is guessed right with chances[i].

    Binomial if all chances are equal, else Poisson-binomial. Fractional credit (ties) is rounded
    towards the null hypothesis. Two-sided is twice the smaller tail. For answers that were not
    trained on the same labels, and that stand for themselves: it knows no clusters.
    """
    p = np.asarray(chances, dtype=np.float64)
    if not len(p):
        return 1.0
    if not bool(((p >= 0) & (p <= 1)).all()) or not 0 <= correct <= len(p) + 1e-9:
        raise ValueError("chances lie in [0, 1] and correct in [0, number of questions]")
    down, up = math.floor(correct + 1e-9), math.ceil(correct - 1e-9)
    if float(np.ptp(p)) == 0.0:
        above = 1.0 if down <= 0 else float(special.bdtrc(down - 1, len(p), p[0]))
        below = float(special.bdtr(up, len(p), p[0]))
    else:
        mass = poisson_binomial(p)
        above, below = float(mass[down:].sum()), float(mass[: up + 1].sum())
    above, below = min(max(above, 0.0), 1.0), min(max(below, 0.0), 1.0)
    if alternative == "greater":
        return above
    return below if alternative == "less" else min(1.0, 2 * min(above, below))


def poisson_binomial(
    chances: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Probabilities of 0 … n right answers, by convolution of one binomial per distinct chance."""
    values, counts = np.unique(np.asarray(chances, dtype=np.float64), return_counts=True)
    mass = np.ones(1)
    for value, count in zip(values, counts, strict=True):
        right = np.arange(count + 1)
        ways = special.gammaln(count + 1) - special.gammaln(right + 1)
        ways -= special.gammaln(count - right + 1)
        log = special.xlogy(right, value) + special.xlog1py(count - right, -value)
        mass = np.convolve(mass, np.exp(ways + log))
    return np.clip(mass, 0.0, 1.0)


def detectable_accuracy(
    n: int, chance: float, *, level: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest accuracy above `chance` that a one-sided exact binomial test of n sees.

    "Sees": with probability `power`, at significance `level`. None if not even n of n would do.
    """
    if n <= 0 or chance >= 1:
        return None
    above = special.bdtrc(np.arange(n + 1), n, chance)  # P(X > k) falls with k, to 0 at n
    needed = int(np.argmax(above <= level)) + 1
    if needed > n:
        return None
    # P(X >= k | p) is the distribution function of Beta(k, n - k + 1) at p.
    return float(special.betaincinv(needed, n - needed + 1, power))


def detectable_difference(
    error: float, freedom: float = math.inf, *, level: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true difference that a two-sided t test with this standard error sees.

    Infinite if the error is, or if the level is 0.
    """
    if math.isinf(error) or level <= 0:
        return math.inf
    if math.isinf(freedom):
        return error * float(special.ndtri(1 - level / 2) + special.ndtri(power))
    quantiles = special.stdtrit(freedom, 1 - level / 2) + special.stdtrit(freedom, power)
    return error * float(quantiles)
