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
from scalevqa_eval.statistics import benjamini_hochberg, cluster_interval

LONGEST = 4
_FEWEST = 4  # questions in which a phrase tells options apart
_LEVEL = 0.05
_SHOWN = 25
_VARIANT = 0.75  # of a variant's options have the stronger phrase
_EXACT_BELOW = 0.2  # of the normal approximation: what is far from significant stays approximate


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase and how often the right option has it.

    Counted are `questions` in which some options have the phrase and others do not, from `slides`
    slides; `options` options have it there. The right option has it in `right` of the questions,
    where `expected` would by chance. `ci` is of right / questions, clustered by slide. The
    p-value is the larger of an exact one (Poisson-binomial) and one that knows slides; `q_value`
    is Benjamini and Hochberg's, among all phrases of the dimension ("" is all questions).
    """

    text: str
    dimension: str
    right: int
    options: int
    questions: int
    slides: int
    expected: float
    ci: tuple[float, float]
    p_value: float
    q_value: float

    @property
    def direction(self) -> str:
        return "right" if self.right > self.expected else "wrong"

    @property
    def effect(self) -> float:
        """How far the near end of the interval is from chance; 0 if it covers it."""
        chance = self.expected / self.questions
        return max(0.0, self.ci[0] - chance) + min(0.0, self.ci[1] - chance)

    def to_json(self) -> dict[str, Any]:
        return {
            "phrase": self.text,
            "dimension": self.dimension or None,
            "direction": self.direction,
            "right": self.right,
            "options": self.options,
            "questions": self.questions,
            "slides": self.slides,
            "rate": rounded(self.right / self.questions),
            "expected_rate": rounded(self.expected / self.questions),
            "ci": [rounded(x) for x in self.ci],
            "effect": rounded(self.effect),
            "expected": rounded(self.expected),
            "p_value": float(f"{self.p_value:.3g}"),
            "q_value": float(f"{self.q_value:.3g}"),
        }


@dataclass(frozen=True)
class _Grams:
    """Which rows have which phrase; `place` is one (row, first token, length) of each."""

    matrix: sparse.csc_matrix
    place: npt.NDArray[np.intp]


def find_phrases(table: Table, gold: Ints, clusters: Ints) -> list[Phrase]:
    """Telling phrases of each dimension, largest effect first; those of all questions last.

    Phrases are runs of up to four tokens. Runs that occur in the same options are joined into
    the longest one. The dimension of phrases over all questions is "".
    """
    grams = _collect(table)
    found: list[Phrase] = []
    if not grams.matrix.shape[1]:
        return found
    if len(table.dimensions) > 1:
        for k, name in enumerate(table.dimensions):
            found += _of_stratum(table, gold, clusters, grams, name, table.dimension == k)
    found += _of_stratum(table, gold, clusters, grams, "", np.ones(table.n, dtype=bool))
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
    table: Table,
    gold: Ints,
    clusters: Ints,
    grams: _Grams,
    name: str,
    mask: npt.NDArray[np.bool_],
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
    own = clusters[chosen]
    for k in tested[p[tested] < _EXACT_BELOW]:
        these = order[bounds[k] : bounds[k + 1]]
        slides = own[question[these]]
        p[k] = max(
            _exact(chance[these], int(hits[k])), _of_slides(chance[these], hit[these], slides)
        )
    p = np.minimum(p, 1.0)
    q = np.ones(width)
    q[tested] = benjamini_hochberg(p[tested].tolist())
    kept = [int(k) for k in tested if q[k] <= _LEVEL]
    phrases = []
    holding: dict[Phrase, npt.NDArray[np.intp]] = {}
    for members, where in _same_rows(grams, kept, rows):
        k = members[0]
        text = _joined(table, grams, members)
        these = order[bounds[k] : bounds[k + 1]]
        slides = own[question[these]]
        limits = cluster_interval(hit[these].astype(float), slides.tolist())
        phrase = Phrase(text, name, int(hits[k]), int(options[k]), int(questions[k]),
                        len(set(slides.tolist())), float(expected[k]), (limits.low, limits.high),
                        float(p[k]), float(q[k]))  # fmt: skip
        phrases.append(phrase)
        holding[phrase] = where
    phrases.sort(key=lambda one: (-abs(one.effect), one.p_value, -len(one.text), one.text))
    return _without_echoes(phrases, holding)


def _exact(chances: npt.NDArray[np.float64], hits: int) -> float:
    unequal = float(np.ptp(chances)) > 0
    guessed = stats.poisson_binom(chances) if unequal else stats.binom(len(chances), chances[0])
    return float(np.clip(2 * min(guessed.cdf(hits), guessed.sf(hits - 1)), 1e-15, 1.0))


def _of_slides(
    chances: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_], slides: Ints
) -> float:
    """Two-sided p-value of hits beyond chance, by Student's t with a degree less than slides.

    The error is the larger of what the slides' sums show and what guessing would have: three
    slides that agree by luck show no spread, and prove little.
    """
    codes = np.unique(slides, return_inverse=True)[1]
    sums = np.bincount(codes, weights=hits - chances)
    count = len(sums)
    if count < 2:
        return 1.0
    between = float(sums.var() * count * count / (count - 1))
    error = max(between, float((chances * (1 - chances)).sum())) ** 0.5
    return float(2 * stats.t.sf(abs(float(sums.sum())) / error, count - 1))


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
    return sorted(kept, key=lambda phrase: (-abs(phrase.effect), phrase.p_value, phrase.text))


def _echoes(phrase: Phrase, stronger: Phrase, holding: dict[Phrase, Ints]) -> bool:
    if not set(phrase.text.split()) & set(stronger.text.split()):
        return False
    if f" {stronger.text} " in f" {phrase.text} " or f" {phrase.text} " in f" {stronger.text} ":
        return True
    shared = np.isin(holding[phrase], holding[stronger], assume_unique=True)
    return float(shared.mean()) >= _VARIANT
