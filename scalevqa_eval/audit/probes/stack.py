"""The stack: a conditional logit on the other learned probes' scores, with nested folds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.logit import Layout, Singles
from scalevqa_eval.audit.table import Ints

NAME = "stack"
ABOUT = "all learned probes, weighted by what they are worth on inner folds"
_STEPS = 6
_PENALTY = 20.0
_PRIOR = 0.25  # the weights that the penalty draws to: with few questions, an average
_ENOUGH = 4_000  # questions that the few weights are fitted on
_COLUMNS = 16


def stack(inner: Singles, sizes: Ints, gold: Ints, train: npt.NDArray[np.bool_]) -> Singles:
    """Scores (rows of the other questions, sets of labels).

    `inner` is (probes, rows, sets of labels): for a row of a training question the score of a
    probe that was trained without that question, for the other rows one trained on all training
    questions. `gold` (questions, sets of labels) is read for the training questions only.
    """
    owner = np.repeat(np.arange(len(sizes)), sizes)
    chosen = np.flatnonzero(train)
    if len(chosen) > _ENOUGH:
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:_ENOUGH])
    used = np.zeros(len(sizes), dtype=bool)
    used[chosen] = True
    rows, others = used[owner], ~train[owner]
    layout = Layout(sizes[used])
    parts = []
    for first in range(0, gold.shape[1], _COLUMNS):
        block = slice(first, first + _COLUMNS)
        weights = _fit(inner[:, rows, block], layout, gold[used][:, block])
        parts.append(np.einsum("prb,pb->rb", inner[:, others, block], weights))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _fit(design: Singles, layout: Layout, gold: Ints) -> npt.NDArray[np.float64]:
    """Newton's method, for each set of labels on its own; weights (probes, sets of labels)."""
    right = layout.rows(gold)
    columns = np.arange(gold.shape[1])
    start = np.concatenate([[0], np.cumsum(layout.sizes)[:-1]])
    probes = len(design)
    weights = np.full((probes, gold.shape[1]), _PRIOR)
    observed = design[:, right, columns].sum(1)
    for _ in range(_STEPS):
        scores = np.einsum("prb,pb->rb", design, weights.astype(np.float32))
        probability = layout.softmax(scores)
        expected = design * probability
        means = np.add.reduceat(expected, start, axis=1)
        gradient = expected.sum(1) - observed + _PENALTY * (weights - _PRIOR)
        curvature = np.einsum("prb,qrb->bpq", expected, design, optimize=True)
        curvature = curvature - np.einsum("pnb,qnb->bpq", means, means, optimize=True)
        curvature = curvature.astype(np.float64) + _PENALTY * np.eye(probes)
        step = np.linalg.solve(curvature, gradient.T[:, :, None].astype(np.float64))[:, :, 0]
        # A full step of a well-curved problem; held back where it would overshoot.
        weights = weights - np.clip(step.T, -1.0, 1.0)
    return weights
