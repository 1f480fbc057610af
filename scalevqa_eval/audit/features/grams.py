"""Which options of a question have which run of tokens: what comparisons of texts rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.audit.tokens import Hasher, Hashes, runs, written
from scalevqa_eval.audit.tokens import characters as one_by_one

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grams:
    """One column for each distinct gram of each question, in its options or its own text.

    `matrix` (rows, columns) is 1 where the option has the gram. Per column: `question` and
    `number` say which gram of which question it is, `asked` whether the question's own text has
    it. `sizes` are the questions' numbers of options.
    """

    matrix: sparse.csr_matrix
    question: Ints
    number: Hashes
    asked: Bools
    sizes: Ints

    @classmethod
    def of_table(cls, table: Table, n: int) -> Grams:
        return cls.of_texts(table.hashes, table.sizes, n, table.question_hashes)

    @classmethod
    def of_texts(
        cls, options: Sequence[Hashes], sizes: Ints, n: int, asked: Sequence[Hashes] = ()
    ) -> Grams:
        """The runs of `n` tokens; `sizes` of the `options` belong to each question."""
        text, number = runs([*options, *asked], n)
        owner = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.arange(len(asked))])
        order = np.lexsort((number, owner[text]))
        text, number = text[order], number[order]
        question = owner[text]
        new = np.ones(len(text), dtype=bool)
        new[1:] = (number[1:] != number[:-1]) | (question[1:] != question[:-1])
        column = np.cumsum(new) - 1
        own = text < len(options)
        shape = (len(options), int(new.sum()))
        matrix = sparse.csr_matrix((np.ones(own.sum()), (text[own], column[own])), shape=shape)
        matrix.data[:] = 1.0  # a gram said twice counts once
        asked_too = np.bincount(column[~own], minlength=shape[1]) > 0
        return cls(matrix, question[new], number[new], asked_too, sizes)

    @cached_property
    def size(self) -> Ints:
        """Per column: how many options the question has."""
        return np.asarray(self.sizes[self.question])

    @cached_property
    def holders(self) -> Ints:
        """Per column: how many of them have the gram."""
        return np.bincount(self.matrix.indices, minlength=len(self.number))

    @cached_property
    def lacking(self) -> tuple[Ints, Ints]:
        """Rows that lack what all other options of their question have, and its column."""
        column = np.flatnonzero((self.holders > 0) & (self.holders == self.size - 1))
        end, size = np.cumsum(self.sizes)[self.question[column]], self.size[column]
        every = size * (2 * end - size - 1) // 2  # the sum of the numbers of the question's rows
        others = self.matrix.T @ np.arange(self.matrix.shape[0])
        return (every - others[column]).astype(np.intp), column

    def only(self, chosen: Bools) -> Grams:
        """These columns alone."""
        matrix = sparse.csr_matrix(self.matrix[:, chosen])
        return Grams(
            matrix, self.question[chosen], self.number[chosen], self.asked[chosen], self.sizes
        )


_CHARACTERS = 80  # at each end of an option
_OWN, _LACKS = np.uint64(0x5851F42D4C957F2D), np.uint64(0x14057B7EF767814F)


def tfidf(texts: Sequence[Hashes], orders: Sequence[int] = (1, 2)) -> sparse.csr_matrix:
    """TF-IDF of runs of tokens, rows of length 1 (0 without tokens): (texts, vocabulary).

    The weights come from all texts, right and wrong options alike: they scale, and teach nothing.
    """
    matrix = _matrix([runs(texts, n) for n in orders], len(texts))
    frequency = np.asarray((matrix > 0).sum(0)).ravel()
    matrix = matrix @ sparse.diags(np.log((1 + len(texts)) / (1 + frequency)) + 1)
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norm, 1e-12)) @ matrix)


def characters(table: Table) -> sparse.csr_matrix:
    """Runs of characters as TF-IDF, (rows, vocabulary): what words do not tell.

    Half of it is how the option is written (`tokens.written`: capitals, marks, blanks; runs of 1 to
    4), half the beginnings and ends of words and what is between (runs of 3 and 4).
    """
    shapes = [_ends(f"\n{written(text)}\n") for text in table.texts]
    letters = [_ends(f" {' '.join(words)} ") for words in table.words]
    halves = [tfidf(shapes, (1, 2, 3, 4)), tfidf(letters, (3, 4))]
    return sparse.csr_matrix(sparse.hstack(halves))


def _ends(text: str) -> Hashes:
    """Characters of the beginning and the end of a text, which bounds the memory."""
    cut = text if len(text) <= 2 * _CHARACTERS else f"{text[:_CHARACTERS]}{text[-_CHARACTERS:]}"
    return one_by_one(cut)


def goes_on(table: Table) -> sparse.csr_matrix:
    """The last three words of the question, each with the option's first letter, (rows, pairs).

    An option may be told by how it goes on from the question ("This is called an …").
    """
    hasher = Hasher()
    said = [
        hasher(tuple(f"{word} {words[0][0]}" for word in table.question_words[i][-3:] if words))
        for i, words in zip(table.owner, table.words, strict=True)
    ]
    return tfidf(said, (1,))


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
