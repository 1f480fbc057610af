"""Folds that keep slides together, of about equal size."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from scalevqa_eval.audit.table import Ints

FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 5_000
"""Three folds from 5,000 questions on: two thirds of so many are enough to learn from."""


def fold_count(n: int, clusters: int) -> int:
    """How many folds to make; 0 if no two can be made."""
    wanted = FOLDS if n < MANY else FOLDS_OF_MANY
    return 0 if clusters < 2 else min(wanted, clusters)


def make_folds(clusters: Sequence[Hashable], count: int, seed: int) -> Ints:
    """The fold of each question: whole clusters, largest first into the emptiest fold.

    Clusters of equal size are in random order. `clusters` must not depend on the order of rows
    by anything but its labels' text.
    """
    labels, codes = np.unique(np.array([str(c) for c in clusters]), return_inverse=True)
    sizes = np.bincount(codes)
    rng = np.random.default_rng([seed, 29])
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load = np.zeros(count)
    fold_of = np.empty(len(labels), dtype=np.intp)
    for cluster in order:
        chosen = int(load.argmin())
        fold_of[cluster] = chosen
        load[chosen] += sizes[cluster]
    return np.asarray(fold_of[codes])
