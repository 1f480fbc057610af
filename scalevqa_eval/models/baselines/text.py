"""Options as vectors, and a conditional logit over the options of a question.

P(option k | question) = softmax over the question's own options of a score that is linear in
option features (McFadden 1974). What all options of a question share cancels, the number of
options may differ from question to question, and their order plays no part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold

from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Benchmark, Question

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_WORD = re.compile(r"\w+")
_MOST_WORDS = 400  # of one option: texts of a megabyte must not fill the memory
_MOST_TERMS = 20_000
_FOLDS = 3


@dataclass(frozen=True, slots=True)
class Choices:
    """Which rows (options) belong to which question: `start` has one entry a question, and the
    end; `gold` is the row of each right option."""

    start: Rows
    gold: Rows

    @property
    def owner(self) -> Rows:
        """The number of the question that each row belongs to."""
        return np.repeat(np.arange(len(self.gold)), np.diff(self.start))

    def subset(self, questions: Rows) -> tuple[Choices, Rows]:
        """These questions alone, and the rows that are theirs."""
        sizes = np.diff(self.start)[questions]
        start = np.concatenate([[0], np.cumsum(sizes)])
        pieces = [np.arange(self.start[q], self.start[q + 1]) for q in questions]
        gold = start[:-1] + (self.gold - self.start[:-1])[questions]
        return Choices(start, gold), np.concatenate(pieces)


class OptionText:
    """Options → sparse rows: TF-IDF of their words and word pairs, less the siblings' mean.

    Each term occurs plain, together with the dimension, and (for question texts that occur more
    than once in training) together with the question: templates get weights of their own.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        texts = Counter(question.text for question in questions)
        self._templates = {text for text, count in texts.items() if text and count > 1}
        self._vectorizer = TfidfVectorizer(
            analyzer=_as_it_is, max_features=_MOST_TERMS, sublinear_tf=True
        )
        terms = [t for q in questions for t in self._terms(q.text, q.options, q.dimension)]
        try:
            self._vectorizer.fit(terms)
        except ValueError as error:  # no term at all
            raise DataError("the options of the train split hold no words to learn from") from error

    def rows(self, text: str, options: Mapping[str, str], dimension: str) -> sparse.csr_matrix:
        """One question's options, (number of options, terms)."""
        return self._centred(self._terms(text, options, dimension), [len(options)])

    def table(self, questions: Sequence[Question]) -> sparse.csr_matrix:
        """All options of all questions, below each other."""
        terms = [t for q in questions for t in self._terms(q.text, q.options, q.dimension)]
        return self._centred(terms, [len(question.options) for question in questions])

    def _centred(self, terms: list[list[str]], sizes: list[int]) -> sparse.csr_matrix:
        found = self._vectorizer.transform(terms)
        same = sparse.block_diag([np.full((size, size), 1 / size) for size in sizes], format="csr")
        return sparse.csr_matrix(found - same @ found)

    def _terms(self, text: str, options: Mapping[str, str], dimension: str) -> list[list[str]]:
        found = []
        for option in options.values():
            words = _words(option)
            grams = words + [f"{a} {b}" for a, b in pairwise(words)]
            terms = grams + [f"{dimension}\x1f{gram}" for gram in grams]
            if text in self._templates:
                terms += [f"{text}\x1f\x1f{gram}" for gram in grams]
            found.append(terms)
        return found


def _as_it_is(terms: list[str]) -> list[str]:
    return terms


def _words(text: str) -> list[str]:
    words = []
    for match in _WORD.finditer(text.lower()):
        words.append(match.group()[:64])
        if len(words) == _MOST_WORDS:
            break
    return words


def train_questions(train: Benchmark, model: str) -> tuple[Question, ...]:
    """The questions that a baseline can learn from. Raises DataError if there are none."""
    if not train.questions:
        raise DataError(f"{model} learns from the train split, and that of {train.name} is empty")
    questions = tuple(question for question in train.questions if not question.is_open)
    if not questions:
        raise DataError(
            f"{model} learns from multiple-choice questions; {train.name} has open ones only"
        )
    return questions


def choices_of(questions: Sequence[Question]) -> Choices:
    """Rows of the questions' options, in order."""
    sizes = [len(question.options) for question in questions]
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    places = [list(question.options).index(question.answer) for question in questions]
    return Choices(start, start[:-1] + np.array(places, np.intp))


def probabilities(scores: Floats, choices: Choices) -> Floats:
    """The softmax within each question."""
    top = np.maximum.reduceat(scores, choices.start[:-1])
    powers = np.exp(scores - top[choices.owner])
    total = np.add.reduceat(powers, choices.start[:-1])
    share: Floats = powers / total[choices.owner]
    return share


@dataclass(frozen=True, slots=True)
class Design:
    """A score that is linear in weights: `forward(w)` scores rows, `adjoint` is its transpose."""

    size: int
    forward: Callable[[Floats], Floats]
    adjoint: Callable[[Floats], Floats]


def fit_logit(design: Design, choices: Choices, ridge: float, steps: int = 200) -> Floats:
    """Weights that minimise the negative log-likelihood plus ridge/2 · |w|²."""
    target = np.zeros(int(choices.start[-1]))
    target[choices.gold] = 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        share = probabilities(design.forward(weights), choices)
        value = -np.log(np.maximum(share[choices.gold], 1e-300)).sum()
        gradient = design.adjoint(share - target) + ridge * weights
        return float(value + ridge / 2 * weights @ weights), gradient

    options: Any = {"maxiter": steps}
    found = minimize(loss, np.zeros(design.size), jac=True, method="L-BFGS-B", options=options)
    weights: Floats = found.x
    return weights


def choose_ridge(
    make: Callable[[Rows], Design],
    choices: Choices,
    groups: Sequence[str],
    ridges: Sequence[float],
    steps: int = 60,
) -> float:
    """The ridge with the best held-out likelihood over folds that keep groups (slides) whole.

    `make` gives the design of some rows. With fewer than three groups: the middle of `ridges`.
    """
    if len(set(groups)) < _FOLDS:
        return ridges[len(ridges) // 2]
    loss = np.zeros(len(ridges))
    everything = np.zeros(len(choices.gold))
    for learn, judge in GroupKFold(_FOLDS).split(everything, groups=list(groups)):
        known, known_rows = choices.subset(learn)
        asked, asked_rows = choices.subset(judge)
        design, test = make(known_rows), make(asked_rows)
        for index, ridge in enumerate(ridges):
            weights = fit_logit(design, known, ridge, steps)
            share = probabilities(test.forward(weights), asked)
            loss[index] -= np.log(np.maximum(share[asked.gold], 1e-12)).sum()
    return float(ridges[int(loss.argmin())])


def groups_of(questions: Sequence[Question]) -> list[str]:
    """What folds keep together: the slide, or else the image set, or else the question."""
    return [q.slide or "\x1f".join(q.image_set) or q.id for q in questions]


class TextPrior:
    """What the option texts of the train split alone say about which option is right."""

    _RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __init__(self, questions: Sequence[Question]) -> None:
        self._text = OptionText(questions)
        table = self._text.table(questions)
        choices = choices_of(questions)

        def make(rows: Rows) -> Design:
            part = table[rows]
            turned = part.T.tocsr()
            return Design(part.shape[1], lambda w: part @ w, lambda r: turned @ r)

        ridge = choose_ridge(make, choices, groups_of(questions), self._RIDGES)
        self._weights = fit_logit(make(np.arange(table.shape[0])), choices, ridge)

    def scores(self, text: str, options: Mapping[str, str], dimension: str) -> Floats:
        """One score an option, in the order of `options`."""
        scores: Floats = np.asarray(self._text.rows(text, options, dimension) @ self._weights)
        return scores
