"""Conditional logit P(k | q) = softmax_k(w · x_qk), for many sets of labels at once.

The loss's curvature is bounded by half the features' Gram matrix whatever the labels are (Böhning,
Ann. Inst. Stat. Math. 44 (1992)). So one factorisation per training set serves the real labels and
all redrawn ones, and each step of the accelerated descent is a few matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

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
    bound = gram * np.float32(0.5)
    bound[np.diag_indices(len(bound))] += np.float32(penalty)
    factor, failed = lapack.spotrf(bound, lower=1)
    step, singular = lapack.spotri(factor, lower=1)
    if failed or singular:  # single precision is not enough for this one
        step = np.linalg.inv(bound.astype(np.float64)).astype(np.float32)
    else:
        step = step + np.tril(step, -1).T
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


_NEWTON = 8
_SHRINK = 20.0
_PRIOR = 0.25  # the weights that the penalty draws to: with few questions, an average
_FEW = 16  # sets of labels per block


def combine(scores: Singles, layout: Layout, gold: Ints) -> npt.NDArray[np.float64]:
    """Weights (probes, sets of labels) of 0 or more for scores (probes, rows, sets of labels).

    Newton's method for the conditional logit of the weighted sum, for each set of labels on its
    own; weights that would fall below 0 are held there. A negative weight would use a probe that
    is wrong more often than by chance, as where each text stands over several pictures and has
    each option right once: what was learned from the other pictures then tells what is wrong.
    """
    blocks = range(0, gold.shape[1], _FEW)
    parts = [_newton(scores[:, :, b : b + _FEW], layout, gold[:, b : b + _FEW]) for b in blocks]
    return np.concatenate(parts, axis=1)


def _newton(design: Singles, layout: Layout, gold: Ints) -> npt.NDArray[np.float64]:
    right = layout.rows(gold)
    start = np.concatenate([[0], np.cumsum(layout.sizes)[:-1]])
    probes, sets = len(design), gold.shape[1]
    # Sets of labels first: each step is then a product of two small matrices for each of them.
    design = np.ascontiguousarray(design.transpose(2, 0, 1))
    weights = np.full((sets, probes), _PRIOR)
    observed = np.stack([design[b][:, right[:, b]].sum(1) for b in range(sets)])
    for _ in range(_NEWTON):
        scores = (weights[:, None, :].astype(np.float32) @ design)[:, 0]
        probability = layout.softmax(scores.T.copy()).T
        expected = design * probability[:, None, :]
        means = np.add.reduceat(expected, start, axis=2)
        gradient = expected.sum(2) - observed + _SHRINK * (weights - _PRIOR)
        curvature = expected @ design.transpose(0, 2, 1) - means @ means.transpose(0, 2, 1)
        curvature = curvature.astype(np.float64) + _SHRINK * np.eye(probes)
        held = (weights <= 0) & (gradient > 0)
        free = ~held
        curvature *= free[:, :, None] & free[:, None, :]
        curvature[:, np.arange(probes), np.arange(probes)] += held
        gradient[held] = 0.0
        step = np.linalg.solve(curvature, gradient[:, :, None].astype(np.float64))[:, :, 0]
        # A full step of a well-curved problem; held back where it would overshoot.
        weights = np.maximum(weights - np.clip(step, -1.0, 1.0), 0.0)
    return weights.T
