"""The whole pipeline by cross-validation, for the real labels and redrawn ones at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.evidence import Evidence
from scalevqa_eval.audit.logit import Layout, Singles
from scalevqa_eval.audit.probes.learned import Fitter, Learned
from scalevqa_eval.audit.probes.stack import NAME as STACK
from scalevqa_eval.audit.probes.stack import stack
from scalevqa_eval.audit.table import Ints, Table

TIE = 1e-4
"""Options whose scores differ by less share the credit: single precision tells no more."""


@dataclass(frozen=True)
class Draw:
    """One assignment to folds, and the labels to answer with it: (questions, sets of labels)."""

    fold: Ints
    gold: Ints


@dataclass(frozen=True)
class Answers:
    """Cross-validated answers of one draw.

    `credit[probe]` (questions, sets of labels) is 1 for a right answer, 0 for a wrong one and 1/m
    for m tied options with the right one among them. `first[probe]` (rows, 2) has the scores for
    the first two sets of labels; `probability` is the stack's for the first set, by row.
    """

    credit: dict[str, npt.NDArray[np.float32]]
    first: dict[str, Singles]
    probability: Singles


def credit(table: Table, scores: npt.NDArray[np.floating], gold: Ints) -> npt.NDArray[np.float32]:
    """Fractional credit, (questions, sets of labels), of answering with the highest score."""
    best = np.maximum.reduceat(scores, table.start, axis=0)
    top = scores >= np.repeat(best, table.sizes, axis=0) - TIE
    ties = np.add.reduceat(top, table.start, axis=0, dtype=np.float32)
    hit = top[table.start[:, None] + gold, np.arange(gold.shape[1])]
    return np.asarray(hit / ties, dtype=np.float32)


def cross_validate(
    evidence: Evidence,
    probes: Sequence[Learned],
    draws: Sequence[Draw],
    *,
    seed: int,
    workers: int,
    tick: Callable[[str], None],
) -> list[Answers]:
    """Answers of all learned probes and of the stack, one per draw. Memory: a probe at a time."""
    inner: list[dict[str, Singles]] = [{} for _ in draws]
    for probe in probes:
        tick(f"{probe.name}: features")
        fitter = probe.prepare(evidence, seed)
        for number, draw in enumerate(draws):
            tick(f"{probe.name}: folds, seed {number + 1} of {len(draws)}")
            inner[number][probe.name] = _nested(evidence.table, fitter, draw, workers)
        del fitter
    results = []
    for number, draw in enumerate(draws):
        tick(f"stack, seed {number + 1} of {len(draws)}")
        results.append(_answers(evidence.table, inner[number], draw, workers))
        inner[number].clear()
    return results


def _nested(table: Table, fitter: Fitter, draw: Draw, workers: int) -> Singles:
    """Scores (folds, rows, sets of labels) for a stack that is tested on each fold.

    Entry [i] has, for rows of fold i, the scores after training on all other folds, and for rows
    of another fold j those after training without i and j. So [i] and [j] share a fit.
    """
    count = int(draw.fold.max()) + 1
    result = np.zeros((count, table.rows, draw.gold.shape[1]), dtype=np.float32)
    row_fold = draw.fold[table.owner]
    fitter.use_folds(draw.fold)

    def outer(i: int) -> None:
        rows = row_fold == i
        result[i, rows] = fitter.scores(draw.gold, draw.fold != i, rows)

    def pair(i: int, j: int) -> None:
        rows = (row_fold == i) | (row_fold == j)
        scores = fitter.scores(draw.gold, (draw.fold != i) & (draw.fold != j), rows)
        result[i, row_fold == j] = scores[row_fold[rows] == j]
        result[j, row_fold == i] = scores[row_fold[rows] == i]

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(outer, i) for i in range(count)]
        if count > 2:
            jobs += [pool.submit(pair, i, j) for i, j in combinations(range(count), 2)]
        for job in jobs:
            job.result()
    return result


def _answers(table: Table, inner: dict[str, Singles], draw: Draw, workers: int) -> Answers:
    count = int(draw.fold.max()) + 1
    row_fold = draw.fold[table.owner]
    scores = {name: np.empty(values.shape[1:], np.float32) for name, values in inner.items()}
    for name, values in inner.items():
        for i in range(count):
            scores[name][row_fold == i] = values[i, row_fold == i]
    scores[STACK] = np.empty((table.rows, draw.gold.shape[1]), np.float32)

    def stacked(i: int) -> None:
        rows = row_fold == i
        if count > 2:
            design = np.stack([values[i] for values in inner.values()])
            scores[STACK][rows] = stack(design, table.sizes, draw.gold, draw.fold != i)
        else:  # no inner folds with two groups: equal weights
            scores[STACK][rows] = np.mean([values[i][rows] for values in inner.values()], axis=0)

    with ThreadPoolExecutor(workers) as pool:
        for job in [pool.submit(stacked, i) for i in range(count)]:
            job.result()
    probability = Layout(table.sizes).softmax(scores[STACK][:, :1].copy())[:, 0]
    return Answers(
        credit={name: credit(table, value, draw.gold) for name, value in scores.items()},
        first={name: value[:, :2].copy() for name, value in scores.items()},
        probability=probability,
    )
