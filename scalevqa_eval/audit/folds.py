"""Folds that keep slides together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import GroupKFold

from scalevqa_eval.audit.table import Ints

FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 5_000
"""Three folds from 5,000 questions on: two thirds of so many are enough to learn from."""


def fold_count(n: int, clusters: int) -> int:
    """How many folds to make; 0 if no two can be made."""
    wanted = FOLDS if n < MANY else FOLDS_OF_MANY
    return 0 if clusters < 2 else min(wanted, clusters)


def make_folds(clusters: Sequence[object] | Ints, count: int, seed: int) -> Ints:
    """The fold of each question: whole clusters, shuffled by the seed.

    As many clusters in each fold as in the others (not as many questions: to fill the emptiest
    fold with the largest cluster next leaves one partition only, whatever the seed).
    """
    labels = np.array([str(cluster) for cluster in clusters])
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, 29])))
    splitter = GroupKFold(count, shuffle=True, random_state=state)
    fold = np.empty(len(labels), dtype=np.intp)
    for number, (_, held_out) in enumerate(splitter.split(labels, groups=labels)):
        fold[held_out] = number
    return fold
