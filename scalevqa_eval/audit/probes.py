"""Ways to answer without the images, by name.

A rule takes one look at the options. A trained probe is a conditional logit on label-free
descriptions of the options, fitted on other questions of the benchmark; it gives every option a
score, and a softmax over the options of the question is the probability, so that nothing hangs on
the options' places. To add one, pass it to `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit import logit
from scalevqa_eval.audit.features import Features, standardised
from scalevqa_eval.audit.kernels import Kernel, Linear, Product, Radial, represent
from scalevqa_eval.audit.logit import Layout, Singles
from scalevqa_eval.audit.table import Ints, Table, numbered

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Answers with the option of the highest score; equal scores share the credit.

    `score` maps the features to one number per row. `file`: it sees more than one question at a
    time. `siblings`: it needs questions that share images.
    """

    name: str
    about: str
    score: Callable[[Features], Floats]
    file: bool = False
    siblings: bool = False


class Fitter(Protocol):
    """A probe made ready for one benchmark: fits on some questions, scores all rows."""

    def scores(self, gold: Ints, train: Bools, rows: Bools) -> Singles:
        """Scores (chosen rows, sets of labels) after training on the questions in `train`.

        `gold` is (questions, sets of labels); only the entries of training questions are read.
        """

    def use_folds(self, fold: Ints) -> None:
        """Told before `scores` is called for unions of these folds, to prepare sums."""


class Learned(Protocol):
    """A probe that is trained. `file`: it sees more than one question at a time."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def file(self) -> bool: ...

    def prepare(self, features: Features, seed: int) -> Fitter: ...


class _KernelFitter:
    def __init__(self, table: Table, features: Singles, penalty: float) -> None:
        self.table, self.features, self.penalty = table, features, penalty
        self.fold: Ints = np.zeros(table.n, dtype=np.intp)
        self.grams: list[Singles] = []

    def use_folds(self, fold: Ints) -> None:
        self.fold = fold
        owner = fold[self.table.owner]
        parts = (self.features[owner == k] for k in range(int(fold.max()) + 1))
        self.grams = [part.T @ part for part in parts]

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
    kernels: Callable[[Features], Sequence[Kernel]]
    penalty: float = 1.0
    file: bool = False

    def prepare(self, features: Features, seed: int) -> Fitter:
        found = represent(features.table, self.kernels(features), seed, of_texts=not self.file)
        return _KernelFitter(features.table, found, self.penalty)


class _CountFitter:
    def __init__(self, table: Table, codes: Ints) -> None:
        self.table, self.codes = table, codes
        self.count = int(codes.max()) + 1

    def use_folds(self, fold: Ints) -> None:
        pass

    def scores(self, gold: Ints, train: Bools, rows: Bools) -> Singles:
        table, columns = self.table, gold.shape[1]
        chance = table.chances[table.owner]
        trained = train[table.owner]
        expected = np.bincount(
            self.codes[trained], weights=chance[trained], minlength=self.count
        ).astype(np.float32)
        right = self.codes[table.start[train][:, None] + gold[train]]
        ones = np.ones(right.size, dtype=np.float32)
        place = (right.ravel(), np.tile(np.arange(columns), len(right)))
        hits = sparse.csr_matrix((ones, place), shape=(self.count, columns)).toarray()
        ratio = (hits + np.float32(0.5)) / (expected[:, None] + np.float32(0.5))
        return np.asarray(np.log(ratio)[self.codes[rows]])


@dataclass(frozen=True)
class Counts:
    """How often options of the same code were right in training questions, against chance."""

    name: str
    about: str
    codes: Callable[[Features], Ints]
    file: bool = False

    def prepare(self, features: Features, seed: int) -> Fitter:
        return _CountFitter(features.table, self.codes(features))


def _text_in_dimension(features: Features) -> Ints:
    dimension = features.table.dimension[features.table.owner]
    return np.asarray(features.text_codes * len(features.table.dimensions) + dimension)


def _shape(features: Features, values: Floats, rate: float, weight: float) -> Radial:
    return Radial(standardised(features.table, values), rate, weight)


def _alike_and_asked_alike(features: Features, weight: float) -> Product:
    return Product(features.tfidf, features.question_tfidf, weight)


def _file_cues(features: Features) -> list[Kernel]:
    values = np.column_stack([*features.frequency.values()])
    if features.has_siblings:
        values = np.column_stack([values, features.siblings])
    return [_shape(features, values, 0.1, 10.0)]


MAJORITY = Counts(
    "majority", "the label that is right most often in its set of options",
    lambda features: features.set_codes,
)  # fmt: skip
"""The base rate: no text takes part but for telling the sets of options apart."""
OWN_MAJORITY = Counts(
    "majority-of-dimension", "the same, in the question's dimension", lambda features: numbered(
        list(zip(features.set_codes, features.table.dimension[features.table.owner], strict=True))
    ),
)  # fmt: skip
"""For a dimension by itself. Over all questions it would pass off as a base rate what the wording
gives away where each dimension has a wording of its own."""
BASE_RATES = (MAJORITY, OWN_MAJORITY)

LEARNED: tuple[Learned, ...] = (
    Counts("answer-prior", "the option whose exact text was right most often", _text_in_dimension),
    KernelProbe("tokens", "words and pairs of words of the option (TF-IDF)",
                lambda f: [Linear(f.tfidf, 2.0)]),
    KernelProbe("contrast", "words, pairs and triples that tell the option from its siblings",
                lambda f: [Linear(f.contrast, 2.0)]),
    KernelProbe("characters", "parts of words, capitals, marks, blanks: how the option is written",
                lambda f: [Linear(f.characters, 4.0)]),
    KernelProbe("structure", "similarity, length, polarity and sharing, nonlinear",
                lambda f: [_shape(f, f.structure.of_options(), 0.1, 10.0)]),
    KernelProbe("question", "the words of the question; options are labels without words",
                lambda f: [Product(f.same_text, f.question_tfidf, 8.0)]),
    KernelProbe("pairs", "options that are alike and asked alike share evidence; an option's first "
                "letter with the question's last words",
                lambda f: [_alike_and_asked_alike(f, 8.0), Linear(f.goes_on, 4.0)]),
    KernelProbe("joint", "contrast, structure, overlap with the question and pairs in one model",
                lambda f: [Linear(f.contrast, 3.0), _shape(f, f.structure.values, 0.05, 10.0),
                           _alike_and_asked_alike(f, 3.0)]),
    KernelProbe("file-cues", "how common the option's words are in the file, and what the other "
                "questions on the same images say, nonlinear", _file_cues, file=True),
)  # fmt: skip

COMBINED, COMBINED_FILE = "combined", "combined-file"
_OPTIONS = ("answer-prior", "tokens", "contrast", "characters", "structure")
PARTIAL = {
    "options alone": _OPTIONS,
    "both apart": ("question", *_OPTIONS),
}
"""Combinations of what is not joined: a sum of what the question and what the options say."""


def _column(name: str, sign: float = 1.0) -> Callable[[Features], Floats]:
    return lambda features: sign * features.structure.column(name)


def _common(sign: float) -> Callable[[Features], Floats]:
    return lambda features: sign * features.frequency["frequency of words mean"]


RULES: tuple[Rule, ...] = (
    Rule("medoid", "the option most similar to the others (words)", _column("word mean")),
    Rule("medoid-letters", "the option most similar to the others (runs of four characters)",
         _column("letter mean")),
    Rule("outlier", "the option least similar to the others (words)", _column("word mean", -1)),
    Rule("longest", "the option of most words", _column("length")),
    Rule("shortest", "the option of fewest words", _column("length", -1)),
    Rule("question-overlap", "the option with most words of the question",
         _column("question overlap")),
    Rule("question-letters", "the option with most runs of four characters of the question",
         _column("question letters of own")),
    Rule("most-negations", "the option with most negations", _column("negation rank", -1)),
    Rule("fewest-negations", "the option with fewest negations", _column("negation rank")),
    Rule("most-hedges", "the option with most hedging words", _column("hedge rank", -1)),
    Rule("fewest-absolutes", "the option with fewest absolute words (all, never, …)",
         _column("absolute rank")),
    Rule("commonest-words", "the option whose own words are most common in the benchmark",
         _common(1), file=True),
    Rule("rarest-words", "the option whose own words are rarest in the benchmark",
         _common(-1), file=True),
    Rule("sibling-support", "the option whose own words occur most in the other questions on the "
         "same images", lambda features: features.support, file=True, siblings=True),
)  # fmt: skip

_KNOWN: tuple[Rule | Learned, ...] = (*RULES, *LEARNED)
PROBES: dict[str, Rule | Learned] = {probe.name: probe for probe in _KNOWN}


def register(probe: Rule | Learned) -> None:
    """Make a probe part of every audit from now on; its name must be new."""
    taken = {*PROBES, COMBINED, COMBINED_FILE, *(base.name for base in BASE_RATES)}
    if probe.name in taken:
        raise ValueError(f"there is a probe {probe.name!r} already")
    PROBES[probe.name] = probe


def rules(features: Features) -> list[Rule]:
    """The rules that apply to these features."""
    known = [probe for probe in PROBES.values() if isinstance(probe, Rule)]
    return [rule for rule in known if features.has_siblings or not rule.siblings]


def learned() -> list[Learned]:
    return [probe for probe in PROBES.values() if not isinstance(probe, Rule)]
