"""Shortcuts in words: phrases that are almost never, or almost always, right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from scalevqa_eval.audit.results import rounded
from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.audit.tokens import hashed_ngrams
from scalevqa_eval.statistics import benjamini_hochberg, poisson_binomial, wilson

LONGEST = 4
_FEWEST = 4  # questions in which a phrase tells options apart
_LEVEL = 0.05
_SHOWN = 25
_VARIANT = 0.75  # of a variant's options have the stronger phrase
_EXACT_BELOW = 0.2  # of the normal approximation: what is far from significant stays approximate


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase and how often an option with it is right.

    Counted are questions in which some options have the phrase and others do not: `options`
    options have it in `questions` questions, and `right` of these options are the right ones,
    where `expected` would be by chance. `ci` is Wilson's interval of right / options. `q_value`
    is Benjamini and Hochberg's, among all phrases of the dimension.
    """

    text: str
    dimension: str
    right: int
    options: int
    questions: int
    expected: float
    ci: tuple[float, float]
    p_value: float
    q_value: float

    @property
    def direction(self) -> str:
        return "right" if self.right > self.expected else "wrong"

    def to_json(self) -> dict[str, Any]:
        return {
            "phrase": self.text,
            "dimension": self.dimension,
            "direction": self.direction,
            "right": self.right,
            "options": self.options,
            "questions": self.questions,
            "rate": rounded(self.right / self.options),
            "ci": [rounded(x) for x in self.ci],
            "expected": rounded(self.expected),
            "p_value": float(f"{self.p_value:.3g}"),
            "q_value": float(f"{self.q_value:.3g}"),
        }


@dataclass(frozen=True)
class _Grams:
    """Which rows have which phrase; `place` is one (row, first token, length) of each."""

    matrix: sparse.csc_matrix
    place: npt.NDArray[np.intp]


def find_phrases(table: Table, gold: Ints) -> list[Phrase]:
    """Telling phrases of each dimension, strongest evidence first; those of all questions last.

    Phrases are runs of up to four tokens. Runs that occur in the same options are joined into
    the longest one. The dimension of phrases over all questions is "".
    """
    grams = _collect(table)
    found: list[Phrase] = []
    if not grams.matrix.shape[1]:
        return found
    if len(table.dimensions) > 1:
        for k, name in enumerate(table.dimensions):
            found += _of_stratum(table, gold, grams, name, table.dimension == k)
    found += _of_stratum(table, gold, grams, "", np.ones(table.n, dtype=bool))
    return found


def _collect(table: Table) -> _Grams:
    hashes, rows, places = [], [], []
    for number, tokens in enumerate(table.hashes):
        for n in range(1, LONGEST + 1):
            gram = hashed_ngrams(tokens, n)
            hashes.append(gram)
            rows.append(np.full(len(gram), number, dtype=np.intp))
            starts = np.arange(len(gram), dtype=np.int32)
            places.append(np.column_stack([starts, np.full_like(starts, n)]))
    row: Ints = np.concatenate(rows)
    place = np.concatenate(places)
    known, first, inverse = np.unique(np.concatenate(hashes), return_index=True,
                                      return_inverse=True)  # fmt: skip
    matrix = sparse.csc_matrix(
        (np.ones(len(row), dtype=np.float32), (row, inverse)), shape=(table.rows, len(known))
    )
    matrix.data[:] = 1.0  # a phrase said twice counts once
    kept = np.diff(matrix.indptr) >= _FEWEST
    where = np.column_stack([row[first], place[first]]).astype(np.intp)
    return _Grams(sparse.csc_matrix(matrix[:, kept]), where[kept])


def _of_stratum(
    table: Table, gold: Ints, grams: _Grams, name: str, mask: npt.NDArray[np.bool_]
) -> list[Phrase]:
    chosen = np.flatnonzero(mask)
    rows = np.flatnonzero(mask[table.owner])
    sizes = table.sizes[chosen]
    within = sparse.csr_matrix(grams.matrix[rows])
    owner = np.repeat(np.arange(len(chosen)), sizes)
    adding = sparse.csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (owner, np.arange(len(rows)))),
        shape=(len(chosen), len(rows)),
    )
    holders = sparse.csc_matrix(adding @ within)  # (questions, phrases)
    size: Ints = sizes[holders.indices]
    telling = (holders.data > 0) & (holders.data < size)
    right_rows = table.start[chosen] + gold[chosen]
    right = sparse.csc_matrix(grams.matrix[right_rows])
    column = np.repeat(np.arange(holders.shape[1]), np.diff(holders.indptr))[telling]
    chance = (holders.data / size)[telling]
    question = holders.indices[telling]
    if not len(column):
        return []
    hit = np.asarray(right[question, column]).ravel() > 0
    width = holders.shape[1]
    questions = np.bincount(column, minlength=width)
    options = np.bincount(column, weights=holders.data[telling], minlength=width)
    expected = np.bincount(column, weights=chance, minlength=width)
    variance = np.bincount(column, weights=chance * (1 - chance), minlength=width)
    hits = np.bincount(column, weights=hit, minlength=width)
    tested = np.flatnonzero(questions >= _FEWEST)
    if not len(tested):
        return []
    deviation = np.maximum(0.0, np.abs(hits - expected) - 0.5) / np.sqrt(np.maximum(variance, 1e-9))
    p = 2 * stats.norm.sf(deviation)
    order = np.argsort(column, kind="stable")
    bounds = np.searchsorted(column[order], np.arange(width + 1))
    for k in tested[p[tested] < _EXACT_BELOW]:
        p[k] = _exact(chance[order[bounds[k] : bounds[k + 1]]], int(hits[k]))
    p = np.minimum(p, 1.0)
    q = np.ones(width)
    q[tested] = benjamini_hochberg(p[tested].tolist())
    kept = [int(k) for k in tested if q[k] <= _LEVEL]
    phrases = []
    holding: dict[Phrase, npt.NDArray[np.intp]] = {}
    for members, where in _same_rows(grams, kept, rows):
        k = members[0]
        text = _joined(table, grams, members)
        limits = wilson(float(hits[k]), float(options[k]))
        phrase = Phrase(text, name, int(hits[k]), int(options[k]), int(questions[k]),
                        float(expected[k]), (limits.low, limits.high), float(p[k]),
                        float(q[k]))  # fmt: skip
        phrases.append(phrase)
        holding[phrase] = where
    phrases.sort(key=lambda phrase: (phrase.p_value, -len(phrase.text), phrase.text))
    return _without_echoes(phrases, holding)


def _exact(chances: npt.NDArray[np.float64], hits: int) -> float:
    mass = poisson_binomial(chances)
    return float(min(1.0, 2 * min(mass[: hits + 1].sum(), mass[hits:].sum())))


def _same_rows(grams: _Grams, kept: list[int], rows: Ints) -> list[tuple[list[int], Ints]]:
    """Phrases that occur in exactly the same options, together, with these options' rows."""
    groups: dict[bytes, tuple[list[int], Ints]] = {}
    inside = np.zeros(grams.matrix.shape[0], dtype=bool)
    inside[rows] = True
    for k in kept:
        indices = grams.matrix.indices[grams.matrix.indptr[k] : grams.matrix.indptr[k + 1]]
        where = np.sort(indices[inside[indices]]).astype(np.intp)
        groups.setdefault(where.tobytes(), ([], where))[0].append(k)
    return list(groups.values())


def _joined(table: Table, grams: _Grams, members: list[int]) -> str:
    """The longest run of tokens that the members cover in one option."""
    row = int(min(grams.place[k, 0] for k in members))
    words = table.words[row]
    covered = np.zeros(len(words), dtype=bool)
    for k in members:
        where, first, length = (int(x) for x in grams.place[k])
        if where == row:
            covered[first : first + length] = True
    runs: list[tuple[int, int]] = []
    start = None
    for i, flag in enumerate([*covered, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            runs.append((start, i))
            start = None
    first, last = max(runs, key=lambda run: (run[1] - run[0], -run[0]))
    return " ".join(words[first:last])


def _without_echoes(phrases: list[Phrase], holding: dict[Phrase, Ints]) -> list[Phrase]:
    """The strongest phrases of each direction, without parts and variants of stronger ones.

    A variant shares a word with a stronger phrase, and most of its options have that one, too.
    """
    kept: list[Phrase] = []
    for direction in ("wrong", "right"):
        own: list[Phrase] = []
        for phrase in phrases:
            if phrase.direction != direction or len(own) >= _SHOWN:
                continue
            if not any(_echoes(phrase, other, holding) for other in own):
                own.append(phrase)
        kept += own
    return sorted(kept, key=lambda phrase: (phrase.p_value, phrase.text))


def _echoes(phrase: Phrase, stronger: Phrase, holding: dict[Phrase, Ints]) -> bool:
    if not set(phrase.text.split()) & set(stronger.text.split()):
        return False
    if f" {stronger.text} " in f" {phrase.text} " or f" {phrase.text} " in f" {stronger.text} ":
        return True
    shared = np.isin(holding[phrase], holding[stronger], assume_unique=True)
    return float(shared.mean()) >= _VARIANT
