"""Options as vectors, and a conditional logit over the options of a question.

P(option k | question) = softmax over the question's own options of a score that is linear in
option features (McFadden 1974). What all options of a question share cancels, the number of
options may differ from question to question, and their order plays no part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold

from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Prompt, Question

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_WORD = re.compile(r"\w+")
_MOST_WORDS = 400  # of one option: texts of a megabyte must not fill the memory
_MOST_TERMS = 20_000
_FOLDS = 3


class OptionText:
    """Options → sparse rows: TF-IDF of their words and word pairs, less the siblings' mean.

    Each term occurs plain, together with the dimension, and (for question texts that occur more
    than once in training) together with the question: templates get weights of their own.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        texts = Counter(question.text for question in questions)
        self._templates = {text for text, count in texts.items() if text and count > 1}
        self._vectorizer = TfidfVectorizer(
            analyzer=list, max_features=_MOST_TERMS, sublinear_tf=True
        )
        try:
            self._vectorizer.fit([terms for q in questions for terms in self._terms(q)])
        except ValueError as error:  # no term at all
            raise DataError("the options of the train split hold no words to learn from") from error

    def rows(self, asked: Sequence[Question | Prompt]) -> sparse.csr_matrix:
        """All options of all questions, below each other: (options, terms)."""
        found = self._vectorizer.transform([terms for one in asked for terms in self._terms(one)])
        means = [np.full((n, n), 1 / n) for n in (len(one.options) for one in asked)]
        return sparse.csr_matrix(found - sparse.block_diag(means, format="csr") @ found)

    def _terms(self, asked: Question | Prompt) -> list[list[str]]:
        found = []
        for option in asked.options.values():
            matches = islice(_WORD.finditer(option.lower()), _MOST_WORDS)
            words = [match.group()[:64] for match in matches]
            grams = words + [f"{a} {b}" for a, b in pairwise(words)]
            terms = grams + [f"{asked.dimension}\x1f{gram}" for gram in grams]
            if asked.text in self._templates:
                terms += [f"{asked.text}\x1f\x1f{gram}" for gram in grams]
            found.append(terms)
        return found


@dataclass(frozen=True, slots=True)
class Choices:
    """Which rows (options) belong to which question: `start` has one entry a question, and the
    end; `gold` is the row of each right option."""

    start: Rows
    gold: Rows

    @classmethod
    def of(cls, questions: Sequence[Question]) -> Choices:
        """Rows of the questions' options, in order."""
        start = np.cumsum([0, *(len(question.options) for question in questions)]).astype(np.intp)
        places = [list(question.options).index(question.answer) for question in questions]
        return cls(start, start[:-1] + np.array(places, np.intp))

    @property
    def owner(self) -> Rows:
        """The number of the question that each row belongs to."""
        return np.repeat(np.arange(len(self.gold)), np.diff(self.start))

    def subset(self, questions: Rows) -> tuple[Choices, Rows]:
        """These questions alone, and the rows that are theirs."""
        start = np.concatenate([[0], np.cumsum(np.diff(self.start)[questions])])
        pieces = [np.arange(self.start[q], self.start[q + 1]) for q in questions]
        gold = start[:-1] + (self.gold - self.start[:-1])[questions]
        return Choices(start, gold), np.concatenate(pieces)

    def probabilities(self, scores: Floats) -> Floats:
        """The softmax within each question."""
        top = np.maximum.reduceat(scores, self.start[:-1])
        powers = np.exp(scores - top[self.owner])
        total = np.add.reduceat(powers, self.start[:-1])
        share: Floats = powers / total[self.owner]
        return share


def fit_choices(
    make: Callable[[Rows], Any], questions: Sequence[Question], ridges: Sequence[float]
) -> Floats:
    """Weights of the conditional logit; `make` gives the design matrix of some rows (options).

    The ridge is the one with the best held-out likelihood over folds that keep slides whole (or
    else image sets, or else questions); with fewer than three of those, the middle of `ridges`.
    """
    choices = Choices.of(questions)
    groups = [q.slide or "\x1f".join(q.image_set) or q.id for q in questions]
    best = len(ridges) // 2
    if len(set(groups)) >= _FOLDS:
        loss = np.zeros(len(ridges))
        for learn, judge in GroupKFold(_FOLDS).split(groups, groups=groups):
            known, known_rows = choices.subset(learn)
            asked, asked_rows = choices.subset(judge)
            design, test = make(known_rows), make(asked_rows)
            for index, ridge in enumerate(ridges):
                weights = _fit(design, known, ridge, steps=60)
                share = asked.probabilities(test @ weights)
                loss[index] -= np.log(np.maximum(share[asked.gold], 1e-12)).sum()
        best = int(loss.argmin())
    return _fit(make(np.arange(choices.start[-1])), choices, ridges[best], steps=200)


def _fit(design: Any, choices: Choices, ridge: float, steps: int) -> Floats:
    """Weights that minimise the negative log-likelihood plus ridge/2 · |w|²."""
    target, turned = np.zeros(int(choices.start[-1])), design.T
    target[choices.gold] = 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        share = choices.probabilities(design @ weights)
        value = -np.log(np.maximum(share[choices.gold], 1e-300)).sum()
        gradient = turned @ (share - target) + ridge * weights
        return float(value + ridge / 2 * weights @ weights), gradient

    options: Any = {"maxiter": steps}
    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options=options)
    weights: Floats = found.x
    return weights


class TextPrior:
    """What the option texts of the train split alone say about which option is right."""

    _RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    def __init__(self, questions: Sequence[Question]) -> None:
        self._text = OptionText(questions)
        table = self._text.rows(questions)
        self._weights = fit_choices(lambda rows: table[rows], questions, self._RIDGES)

    def scores(self, prompt: Prompt) -> Floats:
        """One score an option, in the order of the prompt's options."""
        scores: Floats = np.asarray(self._text.rows([prompt]) @ self._weights)
        return scores
