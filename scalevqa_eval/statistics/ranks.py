"""How sure a model's place in a table is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalevqa_eval.statistics.bootstrap import bootstrap_means
from scalevqa_eval.statistics.intervals import Array, cluster_codes


@dataclass(frozen=True, slots=True)
class Rank:
    """A place (1 is best; equal accuracies share the better one) with its interval."""

    rank: int
    low: int
    high: int
    method: str


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
    count = int(codes.max()) + 1
    sums = np.stack([np.bincount(codes, weights=row) for row in values]).astype(np.float64)
    sizes = np.bincount(codes).astype(np.float64)
    means = bootstrap_means(sums, sizes, draws, seed)
    return ranks_of(values.mean(1), means, f"cluster bootstrap, {count} clusters", level)


def rank_intervals_binomial(
    correct: Sequence[Sequence[int]],
    n: Sequence[Sequence[int]],
    level: float = 0.95,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> list[Rank]:
    """Ranks from counts alone: `correct` and `n` are (models, dimensions).

    Each count is redrawn from its own binomial. The models' answers are treated as independent
    of each other and the questions as independent too, for the records are not there: pairing
    would make these intervals narrower, clusters wider.
    """
    k, total = np.asarray(correct, dtype=np.float64), np.asarray(n, dtype=np.float64)
    means = binomial_means(k, total, draws=draws, seed=seed)
    return ranks_of(k.sum(1) / total.sum(1), means, "binomial bootstrap", level)


def binomial_means(
    correct: npt.ArrayLike, n: npt.ArrayLike, *, draws: int = 2000, seed: int = 0
) -> Array:
    """Accuracies (draws, models) of counts (models, dimensions), each redrawn from its binomial."""
    k, total = np.asarray(correct, dtype=np.float64), np.asarray(n, dtype=np.float64)
    random = np.random.Generator(np.random.PCG64(seed))
    drawn = random.random((draws, *k.shape))
    for cell in np.ndindex(k.shape):
        n, share = int(total[cell]), float(k[cell]) / max(float(total[cell]), 1.0)
        below = special.bdtr(np.arange(n + 1), n, share)  # P(X <= 0 … n)
        drawn[:, *cell] = np.searchsorted(below, drawn[:, *cell])
    return np.asarray(drawn.sum(2) / total.sum(1))


def ranks_of(
    observed: npt.ArrayLike, resampled: Array, method: str, level: float = 0.95
) -> list[Rank]:
    """Ranks of accuracies (models,) with the percentiles of their ranks in each row of `resampled`.

    Rounding hides differences that are none (sums in another order).
    """
    places = _places(np.asarray(observed, dtype=np.float64)[None, :])[0]
    drawn = _places(resampled)
    ends = np.quantile(
        drawn, [(1 - level) / 2, (1 + level) / 2], axis=0, method="inverted_cdf"
    ).astype(int)
    # A percentile interval can miss the observed place when many share it.
    return [
        Rank(int(place), min(int(low), int(place)), max(int(high), int(place)), method)
        for place, low, high in zip(places, ends[0], ends[1], strict=True)
    ]


def _places(accuracies: Array) -> npt.NDArray[np.int64]:
    """Places 1 … models in each row (the highest is 1); equal ones share the better place."""
    lost = -np.round(accuracies, 12)
    order = np.argsort(lost, axis=1, kind="stable")
    ascending = np.take_along_axis(lost, order, axis=1)
    place = np.broadcast_to(np.arange(1, lost.shape[1] + 1), lost.shape).copy()
    place[:, 1:][ascending[:, 1:] == ascending[:, :-1]] = 0  # the place of the one before
    places = np.empty_like(place)
    np.put_along_axis(places, order, np.maximum.accumulate(place, axis=1), axis=1)
    return places
