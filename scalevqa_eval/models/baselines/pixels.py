"""A small classical vision model: what is seen in the views, crossed with what options say.

The score of an option is t·b + t·W·z with t the option's text (TF-IDF, reduced), z what the
views look like (colour, stain, texture and spots, reduced), and b, W a conditional logit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.sparse.linalg import LinearOperator
from sklearn.utils.extmath import randomized_svd

from scalevqa_eval.models.baselines.features import FEATURES, view_features
from scalevqa_eval.models.baselines.text import Choices, Floats, OptionText, Rows, fit_choices
from scalevqa_eval.types import SCALES, ImagePart, Prompt, Question, View

_TEXT_SIZE = 64
_IMAGE_SIZE = 160
_KEPT = 4096  # feature vectors, about 2 kB each: what several questions share is read once
_RIDGES = (0.001, 0.01, 0.1, 1.0)


class PixelModel:
    """P(option | images, text), fitted on questions whose images `image` gives."""

    def __init__(
        self, questions: Sequence[Question], image: Callable[[View], ImagePart], seed: int
    ) -> None:
        self._seen: OrderedDict[str, Floats] = OrderedDict()
        self._fit_images(questions, image, seed)
        self._text = OptionText(questions)
        table = self._text.rows(questions)
        size = min(_TEXT_SIZE, *table.shape)
        self._topics = randomized_svd(table, size, n_iter=5, random_state=seed)[2]
        looks = np.stack([self._look(image(view) for view in q.views) for q in questions])
        texts = np.vstack([self._texts(question) for question in questions])
        owner = Choices.of(questions).owner
        width, depth = texts.shape[1], looks.shape[1]

        def make(rows: Rows) -> LinearOperator:
            text, look = texts[rows], looks[owner[rows]]
            return LinearOperator(
                (len(rows), width * depth),
                matvec=lambda w: ((text @ w.reshape(width, depth)) * look).sum(axis=1),
                rmatvec=lambda r: ((text * r[:, None]).T @ look).ravel(),
                dtype=np.float64,
            )

        self._weights = fit_choices(make, questions, _RIDGES).reshape(width, depth)

    def scores(self, prompt: Prompt) -> Floats:
        """One score an option. Without images, as if the views were the average ones."""
        scores: Floats = self._texts(prompt) @ self._weights @ self._look(prompt.images)
        return scores

    def _fit_images(
        self, questions: Sequence[Question], image: Callable[[View], ImagePart], seed: int
    ) -> None:
        """Means and spreads of each scale's features, and the directions in which they vary."""
        sets = dict.fromkeys(question.views for question in questions)
        rows = [self._raw(image(view) for view in views) for views in sets]
        table = np.stack(rows).reshape(len(rows), len(SCALES), FEATURES)
        known = ~np.isnan(table)
        count = np.maximum(known.sum(axis=0), 1)
        self._mean = np.where(known, table, 0).sum(axis=0) / count
        spread = np.where(known, table - self._mean, 0)
        self._spread = np.sqrt((spread**2).sum(axis=0) / count)
        self._spread[self._spread < 1e-9] = np.inf
        scaled = np.stack([self._standard(row) for row in table.reshape(len(rows), -1)])
        size = min(_IMAGE_SIZE, *scaled.shape)
        self._directions = randomized_svd(scaled, size, n_iter=5, random_state=seed)[2]

    def _texts(self, asked: Question | Prompt) -> Floats:
        """(options, size)"""
        found: Floats = self._text.rows([asked]) @ self._topics.T
        return found

    def _raw(self, images: Iterable[ImagePart]) -> Floats:
        """Features of the views by scale, NaN for a scale that is not there."""
        table = np.full((len(SCALES), FEATURES), np.nan)
        for part in images:
            table[SCALES.index(part.scale)] = self._features(part)
        return table.ravel()

    def _features(self, part: ImagePart) -> Floats:
        found = self._seen.get(part.sha256)
        if found is None:
            found = self._seen[part.sha256] = view_features(part.load())
            while len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        return found

    def _standard(self, raw: Floats) -> Floats:
        table = (raw.reshape(len(SCALES), FEATURES) - self._mean) / self._spread
        # What is far outside of what training showed must not decide alone.
        clipped: Floats = np.clip(np.nan_to_num(table, nan=0.0), -4, 4).ravel()
        return clipped

    def _look(self, images: Iterable[ImagePart]) -> Floats:
        """A one, for the weights of the text alone, and then the views' components."""
        scaled = self._standard(self._raw(images))
        return np.concatenate([[1.0], self._directions @ scaled / np.sqrt(FEATURES)])
