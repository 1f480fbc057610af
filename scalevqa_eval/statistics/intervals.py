"""Intervals for accuracies of questions that come in clusters (slides, patients, pages).

Questions of one slide stand or fall together, so that n questions tell less than n independent
ones. Everything here takes one score per question and one cluster label per question. How well
the intervals cover was simulated: see docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

FEWEST_CLUSTERS = 5
"""With fewer clusters the spread between them cannot be estimated: each counts as one answer."""

_LOWEST_DESIGN_EFFECT = 0.25  # clusters that agree by luck must not make the interval vanish
_TAIL = 0.75  # lengthens the side of the long tail; chosen by simulation (docs/statistics.md)


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval and how it was found."""

    low: float
    high: float
    method: str

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True, slots=True)
class Clusters:
    """Scores added up by cluster: `sums`, `squares` (of the scores) and `sizes`, each (..., G)."""

    sums: Array
    squares: Array
    sizes: Array

    @property
    def count(self) -> int:
        return int(self.sizes.shape[-1])


def group(scores: Iterable[float], clusters: Sequence[Hashable | None]) -> Clusters:
    """Add scores up by cluster; a question whose cluster is None is a cluster of its own.

    Raises ValueError if there are not as many clusters as scores.
    """
    values = np.asarray(list(scores), dtype=np.float64)
    codes = cluster_codes(clusters)
    if len(codes) != len(values):
        raise ValueError(f"{len(values)} scores, but {len(codes)} cluster labels")
    return Clusters(
        np.bincount(codes, weights=values).astype(np.float64),
        np.bincount(codes, weights=values * values).astype(np.float64),
        np.bincount(codes).astype(np.float64),
    )


def cluster_codes(clusters: Sequence[Hashable | None]) -> npt.NDArray[np.intp]:
    """Numbers 0 … G - 1 for labels, in order of first appearance; each None gets its own."""
    seen: dict[Hashable, int] = {}
    labels = (object() if label is None else label for label in clusters)
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.intp)


def wilson(correct: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for `correct` of `n` independent answers; [0, 1] for n = 0.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927).
    """
    if n <= 0:
        return Interval(0.0, 1.0, "no questions")
    low, high = _score_limits(correct / n, n, float(special.ndtri((1 + level) / 2)))
    return Interval(float(low), float(high), "Wilson")


def _score_limits(p: Any, n: Any, quantile: Any) -> tuple[Any, Any]:
    z2 = quantile * quantile / n
    middle = (p + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * p * (1 - p) + z2 * z2 / 4) / (1 + z2)
    # At p = 0 and p = 1 the limit is exact; rounding must not move it.
    low = np.where(p <= 0, 0.0, np.clip(middle - half, 0.0, 1.0))
    return low, np.where(p >= 1, 1.0, np.clip(middle + half, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class RobustMean:
    """A mean over all questions with its cluster-robust variance; arrays of shape (...)."""

    mean: Array
    variance: Array
    freedom: Array
    skewness: Array


def robust_mean(data: Clusters) -> RobustMean:
    """The mean, its CR2 variance, Satterthwaite's degrees of freedom, and the sums' skewness.

    The degrees of freedom are G - 1 for equal clusters and fewer for unequal ones; the working
    model for them is an exchangeable correlation estimated by analysis of variance (Bell and
    McCaffrey, Survey Methodology 28 (2002); Imbens and Kolesár, Rev. Econ. Stat. 98 (2016)).
    Needs two clusters or more. Time and memory grow linearly with the clusters.
    """
    total = data.sizes.sum(-1)
    mean = data.sums.sum(-1) / total
    residual = (data.sums - mean[..., None] * data.sizes) / total
    return _linearised(mean, residual, data.sizes / total, data.sizes, _correlation(data, mean))


def _linearised(
    mean: Array, residual: Array, share: Array, sizes: Array, correlation: Array
) -> RobustMean:
    """A weighted mean's fit from the clusters' residual sums and shares of the weight, (..., G)."""
    scale = 1.0 / (1.0 - share)
    working = sizes * (1 + (sizes - 1) * correlation[..., None])
    freedom = _satterthwaite(scale, share, working)
    second = (residual**2).mean(-1)
    safe = np.where(second > 0, second, 1.0)
    skewness = np.where(second > 0, (residual**3).mean(-1) / safe**1.5, 0.0)
    variance = (scale * residual**2).sum(-1)
    return RobustMean(mean, variance, np.clip(freedom, 1.0, sizes.shape[-1] - 1.0), skewness)


def tails(fit: RobustMean, count: int) -> tuple[Array, Array]:
    """Factors by which to lengthen an interval downwards and upwards: the long tail's side."""
    longer = 1 + _TAIL * fit.skewness**2 / count
    return np.where(fit.skewness < 0, longer, 1.0), np.where(fit.skewness > 0, longer, 1.0)


def _correlation(data: Clusters, mean: Array) -> Array:
    """The intra-cluster correlation by analysis of variance, cut to [0, 1]."""
    sizes, count, total = data.sizes, data.count, float(data.sizes.sum(-1))
    if total <= count:
        return np.zeros_like(mean)
    own = data.sums / sizes
    between = (sizes * (own - mean[..., None]) ** 2).sum(-1) / (count - 1)
    within = np.maximum((data.squares - sizes * own**2).sum(-1), 0.0) / (total - count)
    typical = (total - (sizes**2).sum() / total) / (count - 1)
    spread = between + (typical - 1) * within
    safe = np.where(spread > 0, spread, 1.0)
    return np.clip(np.where(spread > 0, (between - within) / safe, 0.0), 0.0, 1.0)


def _satterthwaite(scale: Array, share: Array, d: Array) -> Array:
    """trace(M)² / trace(M²) of the residual cluster sums' covariance M, without building it.

    M = S^½ (D - c d' - d c' + c c' T) S^½ with d the working variances of the sums, T their
    total, c the clusters' shares and S the CR2 scale; all but D has rank two, so that both traces
    are sums.
    """
    total = d.sum(-1)
    cc = (scale * share**2).sum(-1)
    dd = (scale * d**2).sum(-1)
    cd = (scale * share * d).sum(-1)
    low_rank = -2 * share * d + share**2 * total[..., None]
    trace = (scale * (d + low_rank)).sum(-1)
    square = 2 * cc * dd + 2 * cd**2 + cc**2 * total**2 - 4 * total * cc * cd
    square = square + (scale**2 * ((d + low_rank) ** 2 - low_rank**2)).sum(-1)
    safe = np.where(square > 0, square, 1.0)
    return np.where(square > 0, trace**2 / safe, 1.0)


def proportion_limits(data: Clusters, level: float = 0.95) -> tuple[Array, Array, str]:
    """Limits of shape (...) for the mean of scores in [0, 1], and the method's name.

    Five clusters or more: cluster-robust (CR2) on the logit scale with t, the side of the long
    tail lengthened by the skewness of the clusters' sums. One question a cluster: Wilson. Fewer
    than five clusters: Wilson with each cluster counted as one answer. Nothing or everything
    right: Wilson's formula with the t quantile, for no spread is seen that could be estimated.
    """
    total = data.sizes.sum(-1)
    if not data.count or total <= 0:
        shape = data.sums.shape[:-1]
        return np.zeros(shape), np.ones(shape), "no questions"
    p = np.clip(data.sums.sum(-1) / total, 0.0, 1.0)
    if bool((data.sizes == 1).all()):
        return *_score_limits(p, total, special.ndtri((1 + level) / 2)), "Wilson"
    if data.count < FEWEST_CLUSTERS:
        return _one_answer_each(p, data.count, level)
    fit = robust_mean(data)
    low, high, kind = _logit_limits(fit, 1 / total, total, level, tails(fit, data.count))
    return low, high, f"{kind}, {data.count} clusters"


def _one_answer_each(p: Any, count: int, level: float) -> tuple[Any, Any, str]:
    method = f"Wilson, {count} cluster{'s' * (count > 1)} as one answer each"
    return *_score_limits(p, count, special.ndtri((1 + level) / 2)), method


def _logit_limits(
    fit: RobustMean,
    weights: float,
    n: float,
    level: float,
    longer: tuple[Array, Array] | tuple[float, float],
) -> tuple[Array, Array, str]:
    """Limits on the logit scale with t; `weights` is the sum of the questions' squared weights."""
    t = special.stdtrit(fit.freedom, (1 + level) / 2)
    p = np.clip(fit.mean, 0.0, 1.0)
    mixed = (p > 0) & (p < 1)
    inner = np.where(mixed, p, 0.5)
    binomial = inner * (1 - inner)
    variance = np.maximum(fit.variance, _LOWEST_DESIGN_EFFECT * binomial * weights)
    half = t * np.sqrt(variance) / binomial
    logit = np.log(inner / (1 - inner))
    edge_low, edge_high = _score_limits(p, n, t)
    low = np.where(mixed, _expit(logit - longer[0] * half), edge_low)
    high = np.where(mixed, _expit(logit + longer[1] * half), edge_high)
    kind = "cluster-robust logit, t" if mixed.any() else "Wilson with t"
    return low, high, kind


def _expit(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))


def chance_corrected(accuracy: float, chance: float) -> float:
    """(a - c) / (1 - c): 0 for guessing, 1 for all right, below 0 for worse than guessing."""
    if not 0 <= chance < 1:
        raise ValueError(f"chance must be at least 0 and below 1, not {chance}")
    return (accuracy - chance) / (1 - chance)


def cluster_interval(
    scores: Iterable[float], clusters: Sequence[Hashable | None], level: float = 0.95
) -> Interval:
    """Interval for the mean of scores in [0, 1] (accuracy, token F1), clustered.

    Never of width 0 and never NaN; `proportion_limits` says which method is used when. Raises
    ValueError for scores outside [0, 1].
    """
    values = np.asarray(list(scores), dtype=np.float64)
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("scores must lie between 0 and 1")
    low, high, method = proportion_limits(group(values, clusters), level)
    return Interval(float(low), float(high), method)


def macro_average(
    scores: Iterable[float],
    clusters: Sequence[Hashable | None],
    strata: Sequence[Hashable],
    level: float = 0.95,
) -> tuple[float, Interval]:
    """The unweighted mean of the strata's means, with a clustered interval.

    Each question weighs 1 / (strata · questions of its stratum); the clusters' weighted residual
    sums give the variance (linearisation), on the logit scale with t as for an accuracy.
    """
    values = np.asarray(list(scores), dtype=np.float64)
    if not len(values):
        return float("nan"), Interval(0.0, 1.0, "no questions")
    stratum, codes = cluster_codes(strata), cluster_codes(clusters)
    n = np.bincount(stratum)
    means = np.bincount(stratum, weights=values) / n
    mean, count = means.mean(), int(codes.max()) + 1
    if count < FEWEST_CLUSTERS:
        low, high, method = _one_answer_each(mean, count, level)
    else:
        weight = 1.0 / (len(n) * n[stratum])
        residual = values - means[stratum]
        data = group(residual, clusters)
        fit = _linearised(
            mean,
            np.bincount(codes, weights=weight * residual).astype(np.float64),
            np.bincount(codes, weights=weight).astype(np.float64),
            data.sizes,
            _correlation(data, np.zeros(())),
        )
        ends = _logit_limits(fit, float((weight**2).sum()), len(values), level, (1.0, 1.0))
        low, high, method = *ends[:2], f"{ends[2]}, {count} clusters"
    return float(mean), Interval(float(low), float(high), method)
