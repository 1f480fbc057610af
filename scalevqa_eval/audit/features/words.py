"""Tokens of an option, and tokens that tell it from its siblings, as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.tokens import Hashes, hashed_ngrams

_OWN, _LACKS = np.uint64(0x5851F42D4C957F2D), np.uint64(0x14057B7EF767814F)


def tfidf(texts: Sequence[Hashes]) -> sparse.csr_matrix:
    """TF-IDF of words and pairs of words, rows of length 1 (0 without words): (texts, vocabulary).

    The weights come from all texts, right and wrong options alike: they scale, and teach nothing.
    """
    grams = [np.concatenate([hashed_ngrams(hashes, n) for n in (1, 2)]) for hashes in texts]
    rows = [np.full(len(gram), row, dtype=np.intp) for row, gram in enumerate(grams)]
    matrix = _matrix(rows, grams, len(texts))
    frequency = np.asarray((matrix > 0).sum(0)).ravel()
    matrix = matrix @ sparse.diags(np.log((1 + len(texts)) / (1 + frequency)) + 1)
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ matrix)


def contrast(table: Table) -> sparse.csr_matrix:
    """Words, pairs and triples that not all options share, (rows, vocabulary), values 1.

    A gram that no sibling has, and one that all siblings have and the option lacks, make columns
    of their own besides the column of the gram.
    """
    rows: list[npt.NDArray[np.intp]] = []
    columns: list[Hashes] = []
    for i in range(table.n):
        first, size = int(table.start[i]), int(table.sizes[i])
        grams = [
            np.unique(np.concatenate([hashed_ngrams(table.hashes[r], n) for n in (1, 2, 3)]))
            for r in range(first, first + size)
        ]
        known, holders = np.unique(np.concatenate(grams), return_counts=True)
        almost_all = known[(holders == size - 1) & (size > 2)]
        for k, gram in enumerate(grams):
            count = holders[np.searchsorted(known, gram)]
            found = np.concatenate(
                [
                    gram[count < size],
                    gram[count == 1] * _OWN,
                    np.setdiff1d(almost_all, gram, assume_unique=True) * _LACKS,
                ]
            )
            rows.append(np.full(len(found), first + k, dtype=np.intp))
            columns.append(found)
    return _matrix(rows, columns, table.rows)


def _matrix(
    rows: list[npt.NDArray[np.intp]], columns: list[Hashes], count: int
) -> sparse.csr_matrix:
    """Counts, without the columns that occur in one row only: they can teach nothing."""
    row, column = np.concatenate(rows), np.concatenate(columns)
    known, inverse = np.unique(column, return_inverse=True)
    matrix = sparse.csr_matrix(
        (np.ones(len(row), dtype=np.float32), (row, inverse)), shape=(count, len(known))
    )
    matrix.sum_duplicates()
    frequency = np.bincount(matrix.indices, minlength=len(known))
    return sparse.csr_matrix(matrix[:, frequency >= 2])
