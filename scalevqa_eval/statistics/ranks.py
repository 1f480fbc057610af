"""How sure a model's place in a table is: whole slides are resampled, and all models with them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalevqa_eval.statistics.intervals import Array, cluster_codes

_CELLS = 4_000_000  # weights held at once: 32 MB


@dataclass(frozen=True, slots=True)
class Rank:
    """A place (1 is best; equal accuracies share the better one) with its interval."""

    rank: int
    low: int
    high: int
    method: str


def bootstrap_means(sums: Array, sizes: Array, draws: int = 2000, seed: int = 0) -> Array:
    """Means of `draws` resamples of whole clusters: (draws, …).

    `sums` is (G,) or (runs, G), `sizes` (G,). Uses nothing but uniform random numbers, so that a
    seed means the same with each numpy.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    count, parts = len(sizes), []
    block = max(1, _CELLS // max(count, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = np.minimum((random.random((rows, count)) * count).astype(np.int64), count - 1)
        drawn += np.arange(rows, dtype=np.int64)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        weights = times.astype(np.float64)
        totals, drawn_sums = weights @ sizes, weights @ sums.T
        parts.append(drawn_sums / (totals if drawn_sums.ndim == 1 else totals[:, None]))
    return np.concatenate(parts)


def binomial_means(
    correct: npt.ArrayLike, n: npt.ArrayLike, *, draws: int = 2000, seed: int = 0
) -> Array:
    """Accuracies (draws, models) of counts (models, dimensions), each redrawn from its binomial.

    Models and questions are treated as independent, for the records are not there: pairing
    would make rank intervals from these narrower, clusters wider.
    """
    k, total = np.asarray(correct, dtype=np.float64), np.asarray(n, dtype=np.float64)
    random = np.random.Generator(np.random.PCG64(seed))
    drawn = random.random((draws, *k.shape))
    for cell in np.ndindex(k.shape):
        size, share = int(total[cell]), float(k[cell]) / max(float(total[cell]), 1.0)
        below = special.bdtr(np.arange(size + 1), size, share)  # P(X <= 0 … n)
        drawn[:, *cell] = np.searchsorted(below, drawn[:, *cell])
    return np.asarray(drawn.sum(2) / total.sum(1))


def rank_intervals(
    scores: npt.ArrayLike,
    clusters: Sequence[Hashable | None],
    level: float = 0.95,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> list[Rank]:
    """Ranks of runs on the same questions: `scores` (runs, questions), clusters resampled."""
    values = np.asarray(scores, dtype=np.float64)
    codes = cluster_codes(clusters)
    if values.ndim != 2 or values.shape[1] != len(codes):
        raise ValueError("scores need one row a run and one column a question")
    sums = np.stack([np.bincount(codes, weights=row) for row in values]).astype(np.float64)
    sizes = np.bincount(codes).astype(np.float64)
    means = bootstrap_means(sums, sizes, draws, seed)
    return ranks_of(values.mean(1), means, f"cluster bootstrap, {len(sizes)} clusters", level)


def ranks_of(
    observed: npt.ArrayLike, resampled: Array, method: str, level: float = 0.95
) -> list[Rank]:
    """Ranks of accuracies (models,) with the percentiles of their ranks in each row of `resampled`.

    Rounding hides differences that are none (sums in another order).
    """
    from scipy.stats import rankdata  # slow to import

    rows = np.vstack([np.asarray(observed, dtype=np.float64), resampled])
    places = rankdata(-np.round(rows, 12), method="min", axis=1).astype(int)
    ends = np.quantile(
        places[1:], [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf"
    ).astype(int)
    # A percentile interval can miss the observed place when many share it.
    return [
        Rank(place, min(low, place), max(high, place), method)
        for place, low, high in zip(places[0].tolist(), *ends.tolist(), strict=True)
    ]
