"""Conditional logit P(k | q) = softmax_k(w · x_qk), for many sets of labels at once.

The loss's curvature is bounded by half the features' Gram matrix whatever the labels are (Böhning,
Ann. Inst. Stat. Math. 44 (1992)). So one factorisation per training set serves the real labels and
all redrawn ones, and each step of the accelerated descent is a few matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from scalevqa_eval.audit.table import Ints

Singles = npt.NDArray[np.float32]
STEPS = 5
"""More change accuracies by less than a point: measured at 4, 6, 10 and 20 (docs/audit.md)."""
_COLUMNS = 32  # sets of labels per block: bounds the memory
_LARGEST = 60.0


@dataclass(frozen=True)
class Layout:
    """Rows grouped by question: `sizes` options each. `gold` is (questions, sets of labels)."""

    sizes: Ints

    def softmax(self, scores: Singles) -> Singles:
        """Probabilities within each question, in place; (rows, columns)."""
        np.clip(scores, -_LARGEST, _LARGEST, out=scores)
        np.exp(scores, out=scores)
        size = int(self.sizes[0])
        if bool((self.sizes == size).all()):
            blocks = scores.reshape(len(self.sizes), size, -1)
            blocks /= blocks.sum(1, keepdims=True)
            return scores
        start = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        scores /= np.repeat(np.add.reduceat(scores, start, axis=0), self.sizes, axis=0)
        return scores

    def rows(self, gold: Ints) -> Ints:
        """The row of the right option, (questions, sets of labels)."""
        start = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        return np.asarray(start[:, None] + gold)


def fit(features: Singles, gram: Singles, layout: Layout, gold: Ints, penalty: float) -> Singles:
    """Weights (columns of features, sets of labels) of penalised conditional logits.

    `gram` is features' · features; `gold` (questions, sets of labels) counts options from 0.
    """
    width = features.shape[1]
    bound = gram.astype(np.float64) * 0.5
    bound[np.diag_indices(width)] += penalty
    factor = linalg.cholesky(bound, lower=True, overwrite_a=True, check_finite=False)
    inverse = linalg.cho_solve((factor, True), np.eye(width), check_finite=False)
    step = inverse.astype(np.float32)
    parts = [
        _descend(features, step, layout, gold[:, first : first + _COLUMNS], penalty)
        for first in range(0, gold.shape[1], _COLUMNS)
    ]
    return np.concatenate(parts, axis=1)


def _descend(
    features: Singles, step: Singles, layout: Layout, gold: Ints, penalty: float
) -> Singles:
    right = layout.rows(gold)
    columns = np.arange(gold.shape[1])
    weights = ahead = np.zeros((features.shape[1], gold.shape[1]), dtype=np.float32)
    pace = 1.0
    for _ in range(STEPS):
        residual = layout.softmax(features @ ahead)
        residual[right, columns] -= 1.0
        gradient = features.T @ residual + np.float32(penalty) * ahead
        moved = ahead - step @ gradient
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = moved + np.float32((pace - 1) / faster) * (moved - weights)
        weights, pace = moved, faster
    return weights
