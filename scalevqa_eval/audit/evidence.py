"""Everything that probes see, computed once per audit: no answer takes part."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from scalevqa_eval.audit.features.contrast import contrast, tfidf
from scalevqa_eval.audit.features.siblings import has_siblings, siblings, support
from scalevqa_eval.audit.features.structure import Floats, Structure, structure
from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.tokens import normalise


class Evidence:
    """Features of the options of a table, each kind computed when it is first asked for."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @cached_property
    def structure(self) -> Structure:
        return structure(self.table)

    @cached_property
    def tfidf(self) -> sparse.csr_matrix:
        return tfidf(self.table)

    @cached_property
    def contrast(self) -> sparse.csr_matrix:
        return contrast(self.table)

    @property
    def has_siblings(self) -> bool:
        return has_siblings(self.table)

    @cached_property
    def siblings(self) -> Floats:
        return siblings(self.table)

    @cached_property
    def support(self) -> Floats:
        return support(self.table)

    @cached_property
    def text_codes(self) -> npt.NDArray[np.intp]:
        """Rows with the same text (and dimension) have the same number."""
        table = self.table
        keys = [
            (int(table.dimension[i]), normalise(text))
            for i, text in zip(table.owner, table.texts, strict=True)
        ]
        known = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        return np.array([known[key] for key in keys], dtype=np.intp)


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
