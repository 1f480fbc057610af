"""Which options of a question have which run of tokens: what all comparisons of texts rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.audit.tokens import Hashes, runs

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
