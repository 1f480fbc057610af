"""Two sets of answers to the same questions: differences and tests, clustered by slide."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from scipy import special

from scalevqa_eval.statistics.intervals import (
    FEWEST_CLUSTERS,
    Array,
    Clusters,
    Interval,
    group,
    robust_mean,
    tails,
)

_EXACT = 14  # up to 2^14 sign patterns are enumerated


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p-value from the two counts of discordant pairs; 1 without any."""
    pairs = only_first + only_second
    # The distribution is symmetric: twice the smaller tail, and 1 in the middle.
    tail = float(special.bdtr(min(only_first, only_second), pairs, 0.5)) if pairs else 0.5
    return min(1.0, 2 * tail)


def difference_interval(
    first: Iterable[float],
    second: Iterable[float],
    clusters: Sequence[Hashable | None],
    level: float = 0.95,
) -> Interval:
    """Interval for mean(first) - mean(second), paired by question and clustered.

    Cluster-robust (CR2) with t. Without discordant pairs, or if their spread over clusters is
    nought: Agresti and Min's interval for paired proportions (Stat. Med. 24 (2005)). With fewer
    than five clusters the same with each cluster counted as one pair.
    """
    difference, data = _differences(first, second, clusters)
    if not data.count:
        return Interval(-1.0, 1.0, "no questions")
    if _spread_is_known(data):
        low, high = map(float, difference_limits(data, level))
        method = f"cluster-robust, t, {data.count} clusters"
    else:
        few = data.count < FEWEST_CLUSTERS
        middle, error = _agresti_min(difference, data.count if few else len(difference))
        half = float(special.ndtri((1 + level) / 2)) * error
        low, high = middle - half, middle + half
        method = f"Agresti-Min, {data.count} clusters as one pair each" if few else "Agresti-Min"
    return Interval(max(low, -1.0), min(high, 1.0), method)


def difference_limits(data: Clusters, level: float = 0.95) -> tuple[Array, Array]:
    """Limits (...) of a mean difference from cluster sums of differences; five or more of them.

    CR2 variance, t with Satterthwaite's degrees of freedom, the long tail's side lengthened.
    """
    fit = robust_mean(data)
    half = special.stdtrit(fit.freedom, (1 + level) / 2) * np.sqrt(fit.variance)
    down, up = tails(fit, data.count)
    return fit.mean - down * half, fit.mean + up * half


def difference_error(
    first: Iterable[float], second: Iterable[float], clusters: Sequence[Hashable | None]
) -> tuple[float, float]:
    """Standard error of the paired difference and its degrees of freedom, for power.

    Without spread (or with fewer than five clusters) the error of Agresti and Min's interval.
    """
    difference, data = _differences(first, second, clusters)
    if not data.count:
        return math.inf, 1.0
    if _spread_is_known(data):
        fit = robust_mean(data)
        return float(np.sqrt(fit.variance)), float(fit.freedom)
    n = data.count if data.count < FEWEST_CLUSTERS else len(difference)
    return _agresti_min(difference, n)[1], math.inf


def _spread_is_known(data: Clusters) -> bool:
    return data.count >= FEWEST_CLUSTERS and bool(robust_mean(data).variance > 0)


def _agresti_min(difference: Array, n: float) -> tuple[float, float]:
    """Middle and standard error: half a pair is added to each cell of the table of n pairs."""
    share = n / len(difference)
    gained = (np.maximum(difference, 0).sum() * share + 0.5) / (n + 2)
    lost = (np.maximum(-difference, 0).sum() * share + 0.5) / (n + 2)
    middle = gained - lost
    return float(middle), float(np.sqrt((gained + lost - middle**2) / (n + 2)))


def permutation_test(
    first: Iterable[float],
    second: Iterable[float],
    clusters: Sequence[Hashable | None],
    *,
    draws: int = 9999,
    seed: int = 0,
) -> float:
    """Two-sided p-value of the difference when the two are exchanged within whole clusters.

    All sign patterns are counted if 14 or fewer clusters have a difference; else `draws` random
    ones, p = (1 + as large) / (1 + draws). Valid for any correlation within clusters, given that
    under the null hypothesis each cluster's difference is as likely with the other sign.
    """
    data = _differences(first, second, clusters)[1]
    return float(sign_flip(data.sums[None, :], draws=draws, seed=seed)[0]) if data.count else 1.0


def swap_level(clusters: int, level: float = 0.05) -> float:
    """The largest p-value up to `level` that `permutation_test` can give with so many clusters.

    p-values are multiples of 2 / 2^clusters, so that with five clusters or fewer none reaches
    0.05: the result is then 0, and no difference however large can be seen at that level.
    """
    if clusters > 50:
        return level
    patterns = 2.0 ** max(clusters - 1, 0)
    return math.floor(level * patterns + 1e-9) / patterns


def sign_flip(sums: Array, *, draws: int = 9999, seed: int = 0) -> Array:
    """`permutation_test` on cluster sums (rows, G): one p-value a row, the same signs for all."""
    observed = np.abs(sums.sum(1))
    tolerance = 1e-9 * (1 + observed)  # equal sums must not differ by rounding
    active = sums[:, (sums != 0).any(0)]
    if active.shape[1] <= _EXACT:
        patterns = np.arange(2 ** active.shape[1], dtype=np.int64)[:, None]
        signs = 1.0 - 2.0 * ((patterns >> np.arange(active.shape[1])) & 1)
        flipped = np.abs(active @ signs.T)
        as_large: Array = (flipped >= (observed - tolerance)[:, None]).mean(1)
        return as_large
    random = np.random.Generator(np.random.PCG64(seed))
    reached = np.ones(len(sums))
    block = max(1, 4_000_000 // active.shape[1])
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        signs = np.where(random.random((rows, active.shape[1])) < 0.5, -1.0, 1.0)
        flipped = np.abs(active @ signs.T)
        reached += (flipped >= (observed - tolerance)[:, None]).sum(1)
    return reached / (draws + 1)


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


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the false discovery rate (J. R. Stat. Soc. B 57 (1995))."""
    from scipy.stats import false_discovery_control  # slow to import

    adjusted: list[float] = false_discovery_control(p_values).tolist() if len(p_values) else []
    return adjusted


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the family-wise error rate (Holm, Scand. J. Stat. 6 (1979))."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _differences(
    first: Iterable[float], second: Iterable[float], clusters: Sequence[Hashable | None]
) -> tuple[Array, Clusters]:
    """First - second by question, and added up by cluster."""
    a = np.asarray(list(first), dtype=np.float64)
    b = np.asarray(list(second), dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"{len(a)} scores cannot be paired with {len(b)}")
    return a - b, group(a - b, clusters)
