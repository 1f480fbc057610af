"""Probes that are trained: conditional logits on label-free descriptions of the options.

Each has `prepare` (label-free, once per audit), `fit` (many sets of labels at once) and `answer`.
None depends on the order of the options: an option's score is a function of how it relates to its
siblings, and a softmax over the options of the question is the probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit import logit
from scalevqa_eval.audit.evidence import Evidence, standardised
from scalevqa_eval.audit.kernels import Kernel, Linear, Radial, represent
from scalevqa_eval.audit.logit import Layout, Singles
from scalevqa_eval.audit.table import Ints, Table

Bools = npt.NDArray[np.bool_]


class Fitter(Protocol):
    """A probe made ready for one benchmark: fits on some questions, scores all rows."""

    def scores(self, gold: Ints, train: Bools, rows: Bools) -> Singles:
        """Scores (chosen rows, sets of labels) after training on the questions in `train`.

        `gold` is (questions, sets of labels); only the entries of training questions are read.
        """

    def use_folds(self, fold: Ints) -> None:
        """Told before `scores` is called for subsets of these folds, to prepare sums."""


class Learned(Protocol):
    """A probe that is trained. `siblings`: needs questions that share images."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def siblings(self) -> bool: ...

    def prepare(self, evidence: Evidence, seed: int) -> Fitter: ...


class _KernelFitter:
    def __init__(self, table: Table, features: Singles, penalty: float) -> None:
        self.table, self.features, self.penalty = table, features, penalty
        self.fold: Ints = np.zeros(table.n, dtype=np.intp)
        self.grams: list[Singles] = []

    def use_folds(self, fold: Ints) -> None:
        self.fold = fold
        owner = fold[self.table.owner]
        self.grams = []
        for k in range(int(fold.max()) + 1):
            part = self.features[owner == k]
            self.grams.append(part.T @ part)

    def scores(self, gold: Ints, train: Bools, rows: Bools) -> Singles:
        used = np.unique(self.fold[train])
        gram = self.grams[used[0]].copy()
        for k in used[1:]:
            gram += self.grams[k]
        layout = Layout(self.table.sizes[train])
        weights = logit.fit(
            self.features[train[self.table.owner]], gram, layout, gold[train], self.penalty
        )
        return np.asarray(self.features[rows] @ weights)


@dataclass(frozen=True)
class KernelProbe:
    """A conditional logit in the space of a kernel (see `kernels`)."""

    name: str
    about: str
    kernels: Callable[[Evidence], Sequence[Kernel]]
    penalty: float = 1.0
    siblings: bool = False

    def prepare(self, evidence: Evidence, seed: int) -> Fitter:
        features = represent(evidence.table, self.kernels(evidence), seed)
        return _KernelFitter(evidence.table, features, self.penalty)


class _PriorFitter:
    def __init__(self, table: Table, codes: Ints) -> None:
        self.table, self.codes = table, codes
        self.count = int(codes.max()) + 1

    def use_folds(self, fold: Ints) -> None:
        pass

    def scores(self, gold: Ints, train: Bools, rows: Bools) -> Singles:
        table = self.table
        chance = table.chances[table.owner]
        trained = train[table.owner]
        expected = np.bincount(
            self.codes[trained], weights=chance[trained], minlength=self.count
        ).astype(np.float32)
        right = self.codes[table.start[train][:, None] + gold[train]]
        columns = gold.shape[1]
        hits = sparse.csr_matrix(
            (
                np.ones(right.size, dtype=np.float32),
                (right.ravel(), np.tile(np.arange(columns), len(right))),
            ),
            shape=(self.count, columns),
        )
        ratio = (np.asarray(hits.todense(), dtype=np.float32) + 0.5) / (expected[:, None] + 0.5)
        return np.asarray(np.log(ratio)[self.codes[rows]])


@dataclass(frozen=True)
class AnswerPrior:
    """How often exactly this text was right in the training questions of the dimension."""

    name: str = "answer-prior"
    about: str = "the option whose exact text was right most often in training questions"
    siblings: bool = False

    def prepare(self, evidence: Evidence, seed: int) -> Fitter:
        return _PriorFitter(evidence.table, evidence.text_codes)


def _tokens(evidence: Evidence) -> list[Kernel]:
    return [Linear(evidence.tfidf, 2.0)]


def _contrast(evidence: Evidence) -> list[Kernel]:
    return [Linear(evidence.contrast, 2.0)]


def _structure(evidence: Evidence) -> list[Kernel]:
    values = standardised(evidence.table, evidence.structure.values)
    return [Radial(values, 0.1, 10.0)]


def _siblings(evidence: Evidence) -> list[Kernel]:
    return [Radial(standardised(evidence.table, evidence.siblings), 0.1, 10.0)]


def _joint(evidence: Evidence) -> list[Kernel]:
    values = evidence.structure.values
    if evidence.has_siblings:
        values = np.column_stack([values, evidence.siblings])
    return [Linear(evidence.contrast, 3.0), Radial(standardised(evidence.table, values), 0.05, 10)]


LEARNED: tuple[Learned, ...] = (
    AnswerPrior(),
    KernelProbe("tokens", "words and pairs of words of the option (TF-IDF)", _tokens),
    KernelProbe("contrast", "words, pairs and triples that tell the option from its siblings",
                _contrast),
    KernelProbe("structure", "similarity, length, polarity and sharing, nonlinear", _structure),
    KernelProbe("sibling-cues", "overlap with the other questions on the same images, nonlinear",
                _siblings, siblings=True),
    KernelProbe("joint", "contrast, structure and sibling cues in one model", _joint),
)  # fmt: skip
