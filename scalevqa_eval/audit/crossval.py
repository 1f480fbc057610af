"""Cross-validated answers, for the real labels and redrawn ones at once. The only one there is:
the transfer probe is the same with one fold that is asked and never learned from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold

from scalevqa_eval.audit import logit
from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.logit import Layout, Singles
from scalevqa_eval.audit.probes import Fitter, Learned
from scalevqa_eval.audit.table import Ints, Table

WORKERS = max(1, min(4, os.cpu_count() or 1))
"""Threads that fit folds, where nothing else is asked for."""
TIE = 1e-4
"""Options whose scores differ by less share the credit: single precision tells no more."""
FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 5_000
"""Three folds from 5,000 questions on: two thirds of so many are enough to learn from."""
_ENOUGH = 4_000  # questions that the few weights of a combination are fitted on


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


@dataclass(frozen=True)
class Draw:
    """One assignment to folds, and the labels to answer with it: (questions, sets of labels).

    `asked` are the folds whose questions are answered (by default all); the others are learned
    from only.
    """

    fold: Ints
    gold: Ints
    asked: tuple[int, ...] | None = None

    @property
    def tested(self) -> tuple[int, ...]:
        return tuple(range(int(self.fold.max()) + 1)) if self.asked is None else self.asked


@dataclass(frozen=True)
class Answers:
    """Cross-validated answers of one draw.

    `credit[probe]` (questions, sets of labels) is 1 for a right answer, 0 for a wrong one and 1/m
    for m tied options with the right one among them. `first[probe]` (rows, 2) has the scores for
    the first two sets of labels.
    """

    credit: dict[str, npt.NDArray[np.float32]]
    first: dict[str, Singles]


def credit(table: Table, scores: npt.NDArray[np.floating], gold: Ints) -> npt.NDArray[np.float32]:
    """Fractional credit, (questions, sets of labels), of answering with the highest score."""
    share = option_credit(table, scores)
    columns = np.arange(gold.shape[1]) if scores.shape[1] > 1 else 0
    return np.asarray(share[table.start[:, None] + gold, columns], dtype=np.float32)


def option_credit(table: Table, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """What each option would be worth if it were right, (rows, columns): 1/m for m at the top."""
    best = np.maximum.reduceat(scores, table.start, axis=0)
    top = scores >= np.repeat(best, table.sizes, axis=0) - TIE
    ties = np.add.reduceat(top, table.start, axis=0, dtype=np.float32)
    return np.asarray(top / np.repeat(ties, table.sizes, axis=0), dtype=np.float32)


def cross_validate(
    features: Features,
    probes: Sequence[Learned],
    draws: Sequence[Draw],
    mixtures: Mapping[str, Sequence[str]],
    *,
    seed: int,
    workers: int,
    tick: Callable[[str], None],
    once: Sequence[str] = (),
) -> list[Answers]:
    """Answers of all probes and of the named mixtures of probes, one `Answers` per draw.

    `once` are mixtures for which the first two sets of labels are enough.
    """
    inner: list[dict[str, Singles]] = [{} for _ in draws]
    for probe in probes:
        tick(f"{probe.name}: features")
        fitter = probe.prepare(features, seed)
        for number, draw in enumerate(draws):
            tick(f"{probe.name}: folds, seed {number + 1} of {len(draws)}")
            inner[number][probe.name] = _nested(features.table, fitter, draw, workers)
        del fitter
    results = []
    for number, draw in enumerate(draws):
        tick(f"combinations, seed {number + 1} of {len(draws)}")
        table, found = features.table, Answers({}, {})
        for name, values in inner[number].items():
            _keep(found, table, name, _held_out(table, values, draw), draw)
        for name, members in mixtures.items():
            part = Draw(draw.fold, draw.gold[:, :2], draw.asked) if name in once else draw
            columns = part.gold.shape[1]
            used = [inner[number][member][:, :, :columns] for member in members]
            _keep(found, table, name, _combined(table, used, part, workers), part)
        inner[number].clear()
        results.append(found)
    return results


def _keep(found: Answers, table: Table, name: str, scores: Singles, draw: Draw) -> None:
    found.credit[name] = credit(table, scores, draw.gold)
    found.first[name] = scores[:, :2].copy()


def _nested(table: Table, fitter: Fitter, draw: Draw, workers: int) -> Singles:
    """Scores (tested folds, rows, sets of labels) for a combination that is tested on each.

    The entry of fold i has, for rows of fold i, the scores after training on all other folds, and
    for rows of another fold j those after training without i and j. So i and j share a fit.
    """
    count = int(draw.fold.max()) + 1
    place = {fold: k for k, fold in enumerate(draw.tested)}
    result = np.zeros((len(place), table.rows, draw.gold.shape[1]), dtype=np.float32)
    row_fold = draw.fold[table.owner]
    fitter.use_folds(draw.fold)

    def outer(i: int) -> None:
        rows = row_fold == i
        result[place[i], rows] = fitter.scores(draw.gold, draw.fold != i, rows)

    def pair(i: int, j: int) -> None:
        rows = (row_fold == i) | (row_fold == j)
        scores = fitter.scores(draw.gold, (draw.fold != i) & (draw.fold != j), rows)
        for one, other in ((i, j), (j, i)):
            if one in place:
                result[place[one], row_fold == other] = scores[row_fold[rows] == other]

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(outer, i) for i in place]
        if count > 2:
            pairs = combinations(range(count), 2)
            jobs += [pool.submit(pair, i, j) for i, j in pairs if i in place or j in place]
        for job in jobs:
            job.result()
    return result


def _held_out(table: Table, values: Singles, draw: Draw) -> Singles:
    row_fold = draw.fold[table.owner]
    scores = np.zeros(values.shape[1:], np.float32)
    for k, i in enumerate(draw.tested):
        scores[row_fold == i] = values[k, row_fold == i]
    return scores


def _combined(table: Table, inner: Sequence[Singles], draw: Draw, workers: int) -> Singles:
    row_fold = draw.fold[table.owner]
    scores = np.zeros((table.rows, draw.gold.shape[1]), np.float32)
    nested = int(draw.fold.max()) > 1

    def one(k: int, i: int) -> None:
        asked = row_fold == i
        if not nested:  # no inner folds with two groups: equal weights
            scores[asked] = np.mean([values[k, asked] for values in inner], axis=0)
            return
        chosen = np.flatnonzero(draw.fold != i)
        if len(chosen) > _ENOUGH:
            chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:_ENOUGH])
        used = np.zeros(table.n, dtype=bool)
        used[chosen] = True
        rows = used[table.owner]
        design = np.stack([values[k, rows] for values in inner])
        weights = logit.combine(design, Layout(table.sizes[used]), draw.gold[used])
        for values, weight in zip(inner, weights.astype(np.float32), strict=True):
            scores[asked] += values[k, asked] * weight

    with ThreadPoolExecutor(workers) as pool:
        for job in [pool.submit(one, k, i) for k, i in enumerate(draw.tested)]:
            job.result()
    return scores
