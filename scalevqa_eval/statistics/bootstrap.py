"""Cluster bootstrap: whole slides are drawn with replacement, all their questions with them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from scalevqa_eval.statistics.intervals import Array, Interval, cluster_interval, group

_CELLS = 4_000_000  # weights held at once: 32 MB


def cluster_weights(count: int, draws: int, seed: int = 0) -> Iterator[Array]:
    """How often each of `count` clusters is drawn: blocks of shape (draws in the block, count).

    Uses nothing but uniform random numbers, so that a seed means the same with each numpy.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _CELLS // max(count, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = np.minimum((random.random((rows, count)) * count).astype(np.int64), count - 1)
        drawn += np.arange(rows, dtype=np.int64)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=rows * count)
        yield counts.reshape(rows, count).astype(np.float64)


def bootstrap_means(sums: Array, sizes: Array, draws: int = 2000, seed: int = 0) -> Array:
    """Means of `draws` resamples. `sums` is (G,) or (runs, G), `sizes` (G,); gives (draws, …)."""
    parts = []
    for weights in cluster_weights(len(sizes), draws, seed):
        totals = weights @ sizes
        drawn = weights @ sums.T
        parts.append(drawn / (totals if drawn.ndim == 1 else totals[:, None]))
    return np.concatenate(parts)


def bootstrap_interval(
    scores: Iterable[float],
    clusters: Sequence[Hashable | None],
    level: float = 0.95,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the mean. Where all resamples agree, `cluster_interval` instead."""
    values = list(scores)
    if not values:
        return Interval(0.0, 1.0, "no questions")
    data = group(values, clusters)
    means = bootstrap_means(data.sums, data.sizes, draws, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    if low >= high:
        return cluster_interval(values, clusters, level)
    return Interval(float(low), float(high), f"cluster bootstrap, {draws} draws")
