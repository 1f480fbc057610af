"""A small classical vision model: what is seen in the views, crossed with what options say.

The score of an option is t·b + t·W·z with t the option's text (TF-IDF, reduced), z what the
views look like (colour, stain, texture and spots, reduced), and b, W a conditional logit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from sklearn.utils.extmath import randomized_svd

from scalevqa_eval.models.baselines.features import FEATURES, view_features
from scalevqa_eval.models.baselines.text import (
    Design,
    Floats,
    OptionText,
    Rows,
    choices_of,
    choose_ridge,
    fit_logit,
    groups_of,
)
from scalevqa_eval.types import SCALES, ImagePart, Question, View

_TEXT_SIZE = 64
_IMAGE_SIZE = 160
_KEPT = 4096  # feature vectors, about 2 kB each: what several questions share is read once


class PixelModel:
    """P(option | images, text), fitted on questions whose images `image` gives."""

    _RIDGES = (0.001, 0.01, 0.1, 1.0)

    def __init__(
        self, questions: Sequence[Question], image: Callable[[View], ImagePart], seed: int
    ) -> None:
        self._seen: OrderedDict[str, Floats] = OrderedDict()
        self._fit_images(questions, image, seed)
        self._fit_texts(questions, seed)
        looks = np.stack([self._look(image(view) for view in q.views) for q in questions])
        texts = np.vstack([self._texts(q.text, q.options, q.dimension) for q in questions])
        choices = choices_of(questions)
        owner = choices.owner
        width, depth = texts.shape[1], looks.shape[1]

        def make(rows: Rows) -> Design:
            text, look = texts[rows], looks[owner[rows]]

            def forward(weights: Floats) -> Floats:
                scores: Floats = ((text @ weights.reshape(width, depth)) * look).sum(axis=1)
                return scores

            def adjoint(residual: Floats) -> Floats:
                gradient: Floats = ((text * residual[:, None]).T @ look).ravel()
                return gradient

            return Design(width * depth, forward, adjoint)

        ridge = choose_ridge(make, choices, groups_of(questions), self._RIDGES)
        weights = fit_logit(make(np.arange(len(texts))), choices, ridge)
        self._weights = weights.reshape(width, depth)

    def scores(
        self,
        images: Iterable[ImagePart],
        text: str,
        options: Mapping[str, str],
        dimension: str,
    ) -> Floats:
        """One score an option. Without images, as if the views were the average ones."""
        scores: Floats = self._texts(text, options, dimension) @ self._weights @ self._look(images)
        return scores

    def _fit_images(
        self, questions: Sequence[Question], image: Callable[[View], ImagePart], seed: int
    ) -> None:
        """Means and spreads of each scale's features, and the directions in which they vary."""
        sets: dict[tuple[tuple[str, str], ...], tuple[View, ...]] = {}
        for question in questions:
            sets.setdefault(tuple((v.scale, v.image) for v in question.views), question.views)
        rows = [self._raw(image(view) for view in views) for views in sets.values()]
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

    def _fit_texts(self, questions: Sequence[Question], seed: int) -> None:
        self._text = OptionText(questions)
        table = self._text.table(questions)
        size = min(_TEXT_SIZE, *table.shape)
        self._topics = randomized_svd(table, size, n_iter=5, random_state=seed)[2]

    def _texts(self, text: str, options: Mapping[str, str], dimension: str) -> Floats:
        """(options, size)"""
        found: Floats = self._text.rows(text, options, dimension) @ self._topics.T
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
            found = view_features(part.load())
            self._seen[part.sha256] = found
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
