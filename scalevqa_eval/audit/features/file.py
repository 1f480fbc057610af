"""What only one who has the whole file can see: sibling questions, and how common words are in it.

Options of one image set are often made from the same findings: what several questions take for
granted is likely to be true, and what a single wrong option names is likely to be made up. And
right answers repeat (there are few diagnoses), wrong ones are drawn from a wider pool; or wrong
ones are stock phrases. A model that is asked one question at a time has none of this.
"""

from __future__ import annotations

import numpy as np

from scalevqa_eval.audit.features.grams import Bools, Floats, Grams
from scalevqa_eval.audit.features.structure import blocks, rank
from scalevqa_eval.audit.table import Table, numbered

NAMES = ("mean", "most", "least", "mean rank", "most rank", "least rank")


def frequency(table: Table) -> dict[str, Floats]:
    """Columns (rows,): log frequency of words, pairs and whole texts that not all siblings share.

    Counted are the questions with an option that has them.
    """
    columns: dict[str, Floats] = {}
    for name, n in (("words", 1), ("pairs", 2)):
        values = _log_frequency(table, Grams.of_table(table, n))
        columns |= {f"frequency of {name} {key}": values[:, k] for k, key in enumerate(NAMES)}
    texts = list(numbered(table.words).astype(np.uint64)[:, None])  # each as one token
    whole = _log_frequency(table, Grams.of_texts(texts, table.sizes, 1))
    return columns | {"frequency of text": whole[:, 0]}


def _log_frequency(table: Table, grams: Grams) -> Floats:
    grams = grams.only(grams.holders > 0)
    code, questions = np.unique(grams.number, return_inverse=True, return_counts=True)[1:]
    telling = grams.holders < grams.size
    matrix, common = grams.only(telling).matrix, np.log(questions[code[telling]])
    count = np.diff(matrix.indptr)
    some, begins = count > 0, matrix.indptr[:-1][count > 0]
    values = np.zeros((table.rows, len(NAMES)))
    for k, over in enumerate((np.add, np.maximum, np.minimum)):
        values[some, k] = over.reduceat(common[matrix.indices], begins)
    values[:, 0] /= np.maximum(1, count)
    for rows in blocks(table):
        for k in range(3):
            values[rows, 3 + k] = rank(np.round(values[rows, k], 9))
    return values


_FREQUENT = 0.25  # grams of more than this part of all rows are grammar, not content
SUPPORT = 2  # the column for the rule: in how many sibling questions an option's own words occur


def siblings(table: Table) -> Floats:
    """Overlap of each option's distinctive grams with the questions about the same images.

    Zero for a question that shares its images with none. The sibling questions' answers are not
    used, only their texts.
    """
    return np.column_stack([column for n in (1, 2, 3) for column in _overlap(table, n)])


def _overlap(table: Table, n: int) -> list[Floats]:
    grams = Grams.of_table(table, n)
    code = np.unique(grams.number, return_inverse=True)[1]
    frequency = np.bincount(code, weights=grams.holders)[code]  # in how many rows
    shared = table.image_set[grams.question] >= 0
    if n == 1:
        shared &= frequency <= max(8.0, _FREQUENT * table.rows)
    grams, code, frequency = grams.only(shared), code[shared], frequency[shared]
    rarity = np.log((1 + table.rows) / (1 + frequency))
    place = table.image_set[grams.question] * (code.max(initial=0) + 1) + code
    together = np.unique(place, return_inverse=True)[1]

    def elsewhere(value: Bools | Floats) -> Floats:
        """Its sum over the other questions about the same images that have the gram."""
        own = value.astype(np.float64)
        return np.asarray(np.round(np.bincount(together, weights=own)[together] - own, 9))

    matrix, holders, size = grams.matrix, grams.holders, grams.size
    distinct, single = (holders < size).astype(np.float64), (holders == 1).astype(np.float64)
    number, alone = np.maximum(1, matrix @ distinct), matrix @ single
    in_options = [
        elsewhere(value)
        for value in (holders > 0, holders / size, holders == size, holders >= size - 1)
    ]
    columns: list[Floats] = []
    for value in (*in_options, elsewhere(holders == 1), elsewhere(grams.asked)):
        seen = value > 0
        unseen = matrix @ (single * ~seen)
        columns += [
            (matrix @ (distinct * value * rarity)) / (matrix @ (distinct * rarity) + 1),
            (matrix @ (distinct * seen)) / number,
            (matrix @ (distinct * value)) / number,
            (matrix @ (single * value * rarity)) / (matrix @ (single * rarity) + 1),
            ((alone > 0) & (unseen == 0)).astype(np.float64),
            (unseen > 0).astype(np.float64),
        ]
    row, column = grams.lacking
    lacked = np.maximum(1, np.bincount(row, minlength=table.rows))
    for value in in_options:
        columns.append(np.bincount(row, weights=value[column], minlength=table.rows) / lacked)
    columns.append(np.log1p(matrix @ (distinct * (in_options[0] == 0))))
    return columns
