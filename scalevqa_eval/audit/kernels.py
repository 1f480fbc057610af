"""Label-free representations of options: similarity to a sample of options (Nyström's method).

A conditional logit with a quadratic penalty depends on its features only through their inner
products, so that any kernel can stand for millions of token columns or for a nonlinear model. All
options are described by their similarity to landmarks, whole questions drawn at random. That is
done once; fitting, also for a hundred redrawn sets of labels, then works on one dense matrix.

Options of one dimension are twice as similar as those of different ones, which makes a model with
weights for all dimensions together plus weights for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from scalevqa_eval.audit.table import Table

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
_BLOCK = 8192


@dataclass(frozen=True)
class Linear:
    """Inner products of sparse rows, scaled to a mean squared norm of `weight` after centring."""

    matrix: sparse.csr_matrix
    weight: float


@dataclass(frozen=True)
class Radial:
    """weight · exp(-rate · mean squared difference) of standardised columns."""

    values: Floats
    rate: float
    weight: float


@dataclass(frozen=True)
class Product:
    """Likeness of two options times likeness of the questions they stand in.

    `options` (rows, …) and `questions` (questions, …): evidence is shared by options that are
    alike and asked alike. Scaled like `Linear`.
    """

    options: sparse.csr_matrix
    questions: sparse.csr_matrix
    weight: float


Kernel = Linear | Radial | Product


def landmark_count(rows: int) -> int:
    """How many options to compare with; fewer for large data, where each costs more."""
    return min(rows, 1000 if rows <= 20_000 else 800)


def represent(
    table: Table, kernels: Sequence[Kernel], seed: int, *, of_texts: bool = True
) -> Singles:
    """Coordinates (rows, at most `landmark_count`) whose inner products are the kernels' sum.

    Centred within each question: a conditional logit sees differences between options only.
    `of_texts` says that the kernels see the question and its options alone: of questions with the
    same text one landmark is enough.
    """
    chosen = _landmarks(table, seed, of_texts)
    across = [_prepared(table, kernel, chosen) for kernel in kernels]
    sizes = table.sizes[np.unique(table.owner[chosen])]
    dimension = table.dimension[table.owner]
    gram = _between(across, chosen, dimension[chosen], dimension[chosen])
    gram = _centre_columns(gram, sizes)
    gram = _centre_columns(gram.T, sizes)
    values, vectors = linalg.eigh((gram + gram.T) / 2, check_finite=False)
    kept = values > max(float(values[-1]), 1e-12) * 1e-6
    if not kept.any():
        return np.zeros((table.rows, 1), dtype=np.float32)
    root = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    result = np.empty((table.rows, root.shape[1]), dtype=np.float32)
    for first in range(0, table.rows, _BLOCK):
        rows = np.arange(first, min(table.rows, first + _BLOCK))
        similar = _between(across, rows, dimension[rows], dimension[chosen])
        result[rows] = _centre_columns(similar, sizes).astype(np.float32) @ root
    return _centred_in_place(table, result)


def _landmarks(table: Table, seed: int, of_texts: bool) -> npt.NDArray[np.intp]:
    order = np.random.default_rng([seed, 17]).permutation(table.n)
    if of_texts:
        texts = table.wording[order] * len(table.dimensions) + table.dimension[order]
        order = order[np.sort(np.unique(texts, return_index=True)[1])]
    enough = int(np.searchsorted(np.cumsum(table.sizes[order]), landmark_count(table.rows))) + 1
    questions = np.sort(order[:enough])
    return np.concatenate([np.arange(table.start[i], table.start[i] + table.sizes[i])
                           for i in questions])  # fmt: skip


_Prepared = Callable[[npt.NDArray[np.intp]], Floats]


class _LinearPrepared:
    def __init__(self, table: Table, kernel: Linear, chosen: npt.NDArray[np.intp]) -> None:
        self.matrix = kernel.matrix
        norm = float(_inner_squares(table, kernel.matrix).mean())
        self.scale = kernel.weight / norm if norm > 1e-12 else 0.0
        self.landmarks = sparse.csc_matrix(kernel.matrix[chosen].T)

    def __call__(self, rows: npt.NDArray[np.intp]) -> Floats:
        found = (self.matrix[rows] @ self.landmarks).toarray()
        return np.asarray(found, dtype=np.float64) * self.scale


class _ProductPrepared:
    def __init__(self, table: Table, kernel: Product, chosen: npt.NDArray[np.intp]) -> None:
        self.kernel, self.owner = kernel, table.owner
        asked = np.asarray(kernel.questions.multiply(kernel.questions).sum(1)).ravel()
        norm = float((_inner_squares(table, kernel.options) * asked[table.owner]).mean())
        self.scale = kernel.weight / norm if norm > 1e-12 else 0.0
        self.options = sparse.csc_matrix(kernel.options[chosen].T)
        # Landmarks are whole questions: each one's text is compared once, not for each option.
        self.asked, self.back = np.unique(table.owner[chosen], return_inverse=True)
        self.questions = sparse.csc_matrix(kernel.questions[self.asked].T)

    def __call__(self, rows: npt.NDArray[np.intp]) -> Floats:
        own = self.owner[rows]
        first, last = int(own[0]), int(own[-1]) + 1
        if last - first <= len(rows):  # a run of questions
            asked = (self.kernel.questions[first:last] @ self.questions).toarray()[own - first]
        else:
            asked = (self.kernel.questions[own] @ self.questions).toarray()
        alike = (self.kernel.options[rows] @ self.options).toarray()
        return np.asarray(alike * asked[:, self.back], dtype=np.float64) * self.scale


def _inner_squares(table: Table, matrix: sparse.csr_matrix) -> Floats:
    """Squared lengths (rows) less the squared length of the question's mean."""
    squares = np.asarray(matrix.multiply(matrix).sum(1)).ravel()
    averaging = sparse.csr_matrix(
        (1 / table.sizes[table.owner], (table.owner, np.arange(table.rows))),
        shape=(table.n, table.rows),
    )
    means = averaging @ matrix
    return np.asarray(
        squares - np.asarray(means.multiply(means).sum(1)).ravel()[table.owner], dtype=np.float64
    )


class _RadialPrepared:
    def __init__(self, table: Table, kernel: Radial, chosen: npt.NDArray[np.intp]) -> None:
        self.values, self.rate, self.weight = kernel.values, kernel.rate, kernel.weight
        self.landmarks = kernel.values[chosen]

    def __call__(self, rows: npt.NDArray[np.intp]) -> Floats:
        here, there = self.values[rows], self.landmarks
        if not here.shape[1]:
            return np.zeros((len(here), len(there)))
        distance = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
        rate = self.rate / here.shape[1]
        return np.asarray(self.weight * np.exp(-rate * np.maximum(distance, 0)))


def _prepared(table: Table, kernel: Kernel, chosen: npt.NDArray[np.intp]) -> _Prepared:
    if isinstance(kernel, Linear):
        return _LinearPrepared(table, kernel, chosen)
    if isinstance(kernel, Product):
        return _ProductPrepared(table, kernel, chosen)
    return _RadialPrepared(table, kernel, chosen)


def _between(
    kernels: Sequence[_Prepared],
    rows: npt.NDArray[np.intp],
    dimension: npt.NDArray[np.intp],
    landmark_dimension: npt.NDArray[np.intp],
) -> Floats:
    total = kernels[0](rows)
    for kernel in kernels[1:]:
        total += kernel(rows)
    total *= 1.0 + (dimension[:, None] == landmark_dimension[None, :])
    return total


def _centre_columns(values: Floats, sizes: npt.NDArray[np.intp]) -> Floats:
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    means = np.add.reduceat(values, start, axis=1) / sizes
    return np.asarray(values - np.repeat(means, sizes, axis=1))


def _centred_in_place(table: Table, values: Singles) -> Singles:
    for first in range(0, table.n, _BLOCK):
        last = min(table.n, first + _BLOCK)
        rows = slice(int(table.start[first]), int(table.start[last - 1] + table.sizes[last - 1]))
        part = values[rows]
        start = table.start[first:last] - table.start[first]
        means = np.add.reduceat(part, start, axis=0) / table.sizes[first:last, None]
        part -= np.repeat(means.astype(np.float32), table.sizes[first:last], axis=0)
    return values
