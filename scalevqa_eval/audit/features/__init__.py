"""What can be read off the texts of a table. No answer is at hand here."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import sparse

from scalevqa_eval.audit.features import file, grams
from scalevqa_eval.audit.features.grams import Floats
from scalevqa_eval.audit.features.structure import Structure, structure
from scalevqa_eval.audit.table import Ints, Table, numbered
from scalevqa_eval.audit.tokens import normalise


class Features:
    """Descriptions of the options of a table, each kind computed when it is first asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def structure(self) -> Structure:
        return structure(self.table)

    @cached_property
    def tfidf(self) -> sparse.csr_matrix:
        """Words and pairs of words, (rows, vocabulary)."""
        return grams.tfidf(self.table.hashes)

    @cached_property
    def question_tfidf(self) -> sparse.csr_matrix:
        """The same of the questions' texts, (questions, vocabulary)."""
        return grams.tfidf(self.table.question_hashes)

    @cached_property
    def contrast(self) -> sparse.csr_matrix:
        return grams.contrast(self.table)

    @property
    def characters(self) -> sparse.csr_matrix:
        return grams.characters(self.table)

    @property
    def goes_on(self) -> sparse.csr_matrix:
        return grams.goes_on(self.table)

    @cached_property
    def text_codes(self) -> Ints:
        """Rows with the same text have the same number."""
        return numbered([normalise(text) for text in self.table.texts])

    @cached_property
    def set_codes(self) -> Ints:
        """Rows with the same text in the same set of options have the same number.

        Only sets that are asked often are labels (yes/no, grades). To know what is right in a set
        that stands over a few questions is to have learned their texts: each row is alone there.
        """
        table = self.table
        place = np.arange(table.rows) - table.start[table.owner]
        sets = np.where(table.labelled, table.option_set, -1 - np.arange(table.n))
        codes = sets[table.owner]
        return numbered(list(zip(codes.tolist(), place, strict=True)))

    @cached_property
    def same_text(self) -> sparse.csr_matrix:
        """One column a text that occurs more than once, (rows, texts)."""
        codes = self.text_codes
        repeated = np.flatnonzero(np.bincount(codes)[codes] > 1)
        shape = (self.table.rows, int(codes.max()) + 1)
        ones = np.ones(len(repeated), dtype=np.float32)
        return sparse.csr_matrix((ones, (repeated, codes[repeated])), shape=shape)

    @property
    def has_siblings(self) -> bool:
        """Whether any two questions share their images."""
        return bool((self.table.image_set >= 0).any())

    @cached_property
    def siblings(self) -> Floats:
        return file.siblings(self.table)

    @property
    def support(self) -> Floats:
        return self.siblings[:, file.SUPPORT]

    @cached_property
    def frequency(self) -> dict[str, Floats]:
        return file.frequency(self.table)


def centred(table: Table, values: Floats) -> Floats:
    """Values minus their mean within each question; (rows, …)."""
    sums = np.add.reduceat(values, table.start, axis=0)
    sizes = table.sizes.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values - np.repeat(sums / sizes, table.sizes, axis=0))


def standardised(table: Table, values: Floats) -> Floats:
    """Values centred within questions and scaled to variance 1; constant columns are dropped."""
    inner = centred(table, values)
    spread = np.sqrt((inner**2).mean(0))
    kept = spread > 1e-9
    return np.asarray(np.clip(inner[:, kept] / spread[kept], -6.0, 6.0))
