"""How common an option's words are in the whole benchmark.

Right answers repeat (there are few diagnoses), wrong ones are drawn from a wider pool; or wrong
ones are stock phrases. Counted over the texts of all options, right or wrong.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.tokens import Hashes, hashed_ngrams

Floats = npt.NDArray[np.float64]
NAMES = ("mean", "most", "least", "mean rank", "most rank", "least rank")


def frequency(table: Table) -> dict[str, Floats]:
    """Columns (rows,): log frequency of words, pairs and whole texts that not all siblings share.

    Counted are the questions with an option that has them.
    """
    columns: dict[str, Floats] = {}
    for name, n in (("words", 1), ("pairs", 2)):
        values = _of_grams(table, [np.unique(hashed_ngrams(h, n)) for h in table.hashes])
        columns |= {f"frequency of {name} {key}": values[:, k] for k, key in enumerate(NAMES)}
    whole = [np.array([_digest(h)], dtype=np.uint64) for h in table.hashes]
    columns["frequency of text"] = _of_grams(table, whole)[:, 0]
    return columns


def _digest(hashes: Hashes) -> int:
    return int.from_bytes(hashlib.blake2b(hashes.tobytes(), digest_size=8).digest(), "little")


def _of_grams(table: Table, grams: list[Hashes]) -> Floats:
    owner = np.repeat(table.owner, [len(gram) for gram in grams])
    everything = np.concatenate(grams)
    known, inverse = np.unique(everything, return_inverse=True)
    pairs = np.unique(np.column_stack([inverse, owner]), axis=0)
    questions = np.bincount(pairs[:, 0], minlength=len(known))
    bounds = np.concatenate([[0], np.cumsum([len(gram) for gram in grams])])
    values = np.zeros((table.rows, len(NAMES)))
    for i in range(table.n):
        first, size = int(table.start[i]), int(table.sizes[i])
        rows = range(first, first + size)
        inside = inverse[bounds[first] : bounds[first + size]]
        distinct, count = np.unique(inside, return_counts=True)
        telling = distinct[count < size]
        for row in rows:
            own = inverse[bounds[row] : bounds[row + 1]]
            common = np.log(questions[own[np.isin(own, telling)]])
            if len(common):
                values[row, :3] = common.mean(), common.max(), common.min()
        block = np.round(values[first : first + size, :3], 9)
        more = (block[None] > block[:, None]).sum(1)
        same = (block[None] == block[:, None]).sum(1) - 1
        values[first : first + size, 3:] = (more + same / 2) / (size - 1)
    return values
