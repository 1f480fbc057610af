"""Tokens of an option, and tokens that tell it from its siblings, as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from scalevqa_eval.audit.features.grams import Grams
from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.audit.tokens import Hashes, runs

_OWN, _LACKS = np.uint64(0x5851F42D4C957F2D), np.uint64(0x14057B7EF767814F)


def tfidf(texts: Sequence[Hashes]) -> sparse.csr_matrix:
    """TF-IDF of words and pairs of words, rows of length 1 (0 without words): (texts, vocabulary).

    The weights come from all texts, right and wrong options alike: they scale, and teach nothing.
    """
    matrix = _matrix([runs(texts, n) for n in (1, 2)], len(texts))
    frequency = np.asarray((matrix > 0).sum(0)).ravel()
    matrix = matrix @ sparse.diags(np.log((1 + len(texts)) / (1 + frequency)) + 1)
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ matrix)


def contrast(table: Table) -> sparse.csr_matrix:
    """Words, pairs and triples that not all options share, (rows, vocabulary), values 1.

    A gram that no sibling has, and one that all siblings have and the option lacks, make columns
    of their own besides the column of the gram.
    """
    orders = (_contrasting(Grams.of_table(table, n)) for n in (1, 2, 3))
    return sparse.csr_matrix(sparse.hstack([_matrix(parts, table.rows) for parts in orders]))


def _contrasting(grams: Grams) -> list[tuple[Ints, Hashes]]:
    row, column = (place.astype(np.intp) for place in grams.matrix.nonzero())
    some, alone = (grams.holders < grams.size)[column], (grams.holders == 1)[column]
    without, lacked = grams.lacking
    told = grams.size[lacked] > 2  # with two options, it is what the other one has alone
    return [
        (row[some], grams.number[column[some]]),
        (row[alone], grams.number[column[alone]] * _OWN),
        (without[told], grams.number[lacked[told]] * _LACKS),
    ]


def _matrix(parts: Sequence[tuple[Ints, Hashes]], count: int) -> sparse.csr_matrix:
    """Counts of (row, number), without the numbers in one row only: they can teach nothing."""
    row = np.concatenate([row for row, _ in parts])
    known, column = np.unique(np.concatenate([number for _, number in parts]), return_inverse=True)
    ones = np.ones(len(row), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, (row, column)), shape=(count, len(known)))
    frequency = np.bincount(matrix.indices, minlength=len(known))
    return sparse.csr_matrix(matrix[:, frequency >= 2])
