"""What only one who has the whole file can see: sibling questions, and how common words are in it.

Options of one image set are often made from the same findings: what several questions take for
granted is likely to be true, and what a single wrong option names is likely to be made up. And
right answers repeat (there are few diagnoses), wrong ones are drawn from a wider pool; or wrong
ones are stock phrases. A model that is asked one question at a time has none of this.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.features.structure import Floats
from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.tokens import Hashes, hashed_ngrams

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


_ORDERS = (1, 2, 3)
_STATISTICS = 6  # any option, share of options, all, all but one, exactly one, the question's text
_FREQUENT = 0.25  # grams of more than this part of all rows are grammar, not content


@dataclass(frozen=True)
class _Counts:
    """Per question: its distinct grams, which rows have them, and the six statistics of each."""

    known: Hashes
    found: Floats
    values: Floats


def has_siblings(table: Table) -> bool:
    """Whether any two questions share their images."""
    return bool((table.image_set >= 0).any())


def siblings(table: Table) -> Floats:
    """Overlap of each option's distinctive grams with the questions about the same images.

    Zero for a question that shares its images with none. The sibling questions' answers are not
    used, only their texts.
    """
    parts = [_one_order(table, n) for n in _ORDERS]
    return np.concatenate(parts, axis=1)


def support(table: Table) -> Floats:
    """For the rule: the mean number of sibling questions that an option's own words occur in."""
    return _one_order(table, 1)[:, 2]


def _one_order(table: Table, n: int) -> Floats:
    frequency = _document_frequency(table, n)
    counts = [_counts(table, i, n, frequency) for i in range(table.n)]
    members: dict[int, list[int]] = {}
    for i, code in enumerate(table.image_set):
        if code >= 0:
            members.setdefault(int(code), []).append(i)
    lines = [np.zeros((int(size), 0)) for size in table.sizes]
    weights = frequency[1]
    for group in members.values():
        known = np.unique(np.concatenate([counts[i].known for i in group]))
        total = np.zeros((len(known), _STATISTICS))
        for i in group:
            total[np.searchsorted(known, counts[i].known)] += counts[i].values
        for i in group:
            own = counts[i]
            rest = total[np.searchsorted(known, own.known)] - own.values
            rarity = weights[np.searchsorted(frequency[0], own.known)]
            lines[i] = _describe(own, np.round(rest, 9), rarity)
    width = max(line.shape[1] for line in lines)
    return np.concatenate(
        [line if line.shape[1] else np.zeros((len(line), width)) for line in lines]
    )


def _document_frequency(table: Table, n: int) -> tuple[Hashes, Floats, npt.NDArray[np.bool_]]:
    """All grams, their inverse frequency, and which are content words."""
    grams = [np.unique(hashed_ngrams(hashes, n)) for hashes in table.hashes]
    asked = [np.unique(hashed_ngrams(hashes, n)) for hashes in table.question_hashes]
    both = np.concatenate([*grams, *asked])
    known, inverse = np.unique(both, return_inverse=True)
    rows = sum(len(gram) for gram in grams)
    count = np.bincount(inverse[:rows], minlength=len(known))
    content = count <= max(8.0, _FREQUENT * table.rows)
    return known, np.log((1 + table.rows) / (1 + count)), content


def _counts(
    table: Table, i: int, n: int, frequency: tuple[Hashes, Floats, npt.NDArray[np.bool_]]
) -> _Counts:
    first, size = int(table.start[i]), int(table.sizes[i])
    grams = [np.unique(hashed_ngrams(table.hashes[r], n)) for r in range(first, first + size)]
    asked = np.unique(hashed_ngrams(table.question_hashes[i], n))
    known = np.unique(np.concatenate([*grams, asked]))
    if n == 1:
        known = known[frequency[2][np.searchsorted(frequency[0], known)]]
    found = np.zeros((size, len(known)))
    for k, gram in enumerate(grams):
        place = np.searchsorted(known, gram)
        hit = place < len(known)
        hit[hit] = known[place[hit]] == gram[hit]
        found[k, place[hit]] = 1.0
    holders = found.sum(0)
    values = np.column_stack(
        [
            holders > 0,
            holders / size,
            holders == size,
            holders >= size - 1,
            holders == 1,
            np.isin(known, asked),
        ]
    ).astype(np.float64)
    return _Counts(known, found, values)


def _describe(own: _Counts, rest: Floats, rarity: Floats) -> Floats:
    found, size = own.found, len(own.found)
    holders = found.sum(0)
    distinct = found * (holders < size)
    single = found * (holders == 1)
    number, alone = distinct.sum(1), single.sum(1)
    columns: list[Floats] = []
    for k in range(_STATISTICS):
        value, seen = rest[:, k], rest[:, k] > 0
        columns += [
            (distinct @ (value * rarity)) / (distinct @ rarity + 1),
            (distinct @ seen) / np.maximum(1, number),
            (distinct @ value) / np.maximum(1, number),
            (single @ (value * rarity)) / (single @ rarity + 1),
            ((alone > 0) & (single @ ~seen == 0)).astype(np.float64),
            (single @ ~seen > 0).astype(np.float64),
        ]
    lacking = (1 - found) * ((holders >= size - 1) & (holders > 0))
    for k in range(4):
        columns.append((lacking @ rest[:, k]) / np.maximum(1, lacking.sum(1)))
    columns.append(np.log1p(distinct @ (rest[:, 0] == 0)))
    return np.column_stack(columns)
