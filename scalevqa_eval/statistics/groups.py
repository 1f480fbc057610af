"""Questions that count together: one text over several pictures, right if all of it is right."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from scalevqa_eval.statistics.intervals import Interval, cluster_codes, cluster_interval


def group_accuracy(
    scores: Iterable[float],
    groups: Sequence[Hashable],
    clusters: Sequence[Hashable | None],
    level: float = 0.95,
) -> tuple[float, int, Interval]:
    """Groups with all questions right, the number of groups, and an interval for the share.

    `scores` lie in [0, 1]; a group's is their product (ties are broken independently). Groups
    whose questions are all of one cluster are clustered by it; if any group spans clusters, each
    group stands for itself. Raises ValueError if the three differ in length.
    """
    values = np.asarray(list(scores), dtype=np.float64)
    if not len(values) == len(groups) == len(clusters):
        raise ValueError(f"{len(values)} scores, {len(groups)} groups, {len(clusters)} clusters")
    codes = cluster_codes(groups)
    product = np.ones(int(codes.max()) + 1 if len(codes) else 0)
    np.multiply.at(product, codes, values)
    known: dict[int, set[Hashable | None]] = {}
    for code, cluster in zip(codes.tolist(), clusters, strict=True):
        known.setdefault(code, set()).add(cluster)
    labels: list[Hashable | None] = [None] * len(product)
    if all(len(own) == 1 for own in known.values()):
        labels = [next(iter(known[code])) for code in range(len(product))]
    return float(product.sum()), len(product), cluster_interval(product, labels, level)
