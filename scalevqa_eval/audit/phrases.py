"""Shortcuts in words: phrases that are almost never, or almost always, right.

A phrase stands in options; or, where the options are labels (yes and no, grades), in the question:
"necrosis" is asked about, and "yes" is right.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, special, stats

from scalevqa_eval.audit.results import rounded
from scalevqa_eval.audit.table import ASKED_OFTEN, Ints, Table
from scalevqa_eval.audit.tokens import Hashes, hashed_ngrams
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
    where `expected` would by chance: an option is right 1 time in K or, as one of a set of labels
    that is asked often (yes and no, grades), as often as its label is. `ci` is of
    right / questions, clustered by slide. The p-value is the larger of an exact one
    (Poisson-binomial) and one that knows slides; `q_value` is Benjamini and Hochberg's, among all
    phrases of the dimension ("" is all questions). With `asked`, `text` is a whole label, and
    counted are the questions that ask in these words.
    """

    text: str
    asked: str
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
            "asked": self.asked or None,
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
    """Which rows have which phrase; `place` is one (row, first token, length) of each.

    Tokens are counted through the option's words and on through the question's.
    """

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

    def add(number: int, tokens: Hashes, behind: int, label: np.uint64) -> None:
        for n in range(1, LONGEST + 1):
            gram = hashed_ngrams(tokens, n)
            hashes.append(gram ^ label)
            rows.append(np.full(len(gram), number, dtype=np.intp))
            starts = np.arange(len(gram), dtype=np.int32) + behind
            places.append(np.column_stack([starts, np.full_like(starts, n)]))

    for number, tokens in enumerate(table.hashes):
        add(number, tokens, 0, np.uint64(0))
        question = table.owner[number]
        if table.labelled[question] and len(tokens):  # asked about in these words, and this label
            digest = hashlib.blake2b(tokens.tobytes(), digest_size=8).digest()
            label = np.frombuffer(digest, np.uint64)[0]
            add(number, table.question_hashes[question], len(tokens), label)
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
    place = (owner, np.arange(len(rows)))
    adding = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), place))
    likely = sparse.csr_matrix((_base_rates(table, gold, chosen), place))
    holders = sparse.csc_matrix(adding @ within)  # (questions, phrases)
    chances = sparse.csc_matrix(likely @ within)  # the same entries
    telling = holders.data < sizes[holders.indices]
    right_rows = table.start[chosen] + gold[chosen]
    right = sparse.csc_matrix(grams.matrix[right_rows])
    column = np.repeat(np.arange(holders.shape[1]), np.diff(holders.indptr))[telling]
    chance = np.minimum(1.0, chances.data[telling].round(9))
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
        text, asked = _joined(table, grams, members)
        these = order[bounds[k] : bounds[k + 1]]
        slides = own[question[these]]
        limits = cluster_interval(hit[these].astype(float), slides.tolist())
        phrase = Phrase(text, asked, name, int(hits[k]), int(options[k]), int(questions[k]),
                        len(set(slides.tolist())), float(expected[k]), (limits.low, limits.high),
                        float(p[k]), float(q[k]))  # fmt: skip
        if asked and phrase.direction == "wrong":
            continue  # another label is right there, and says it
        if not phrase.effect:
            continue  # few slides
        phrases.append(phrase)
        holding[phrase] = where
    phrases.sort(key=lambda one: (-abs(one.effect), one.p_value, -len(one.text), one.text))
    return _without_echoes(phrases, holding)


def _base_rates(table: Table, gold: Ints, chosen: Ints) -> npt.NDArray[np.float64]:
    """How often each option of the chosen questions is right by its label alone, (rows,)."""
    sets, sizes = table.option_set[chosen], table.sizes[chosen]
    asked = np.bincount(sets)
    width = int(sizes.max())
    right = np.bincount(sets * width + gold[chosen], minlength=len(asked) * width)
    labels = np.repeat(sets, sizes)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rate = right[labels * width + place] / asked[labels]
    # Never 0: a sparse matrix would lose the entry.
    rate = np.maximum(rate, 1e-6)
    return np.where(asked[labels] >= ASKED_OFTEN, rate, np.repeat(1 / sizes, sizes))


def _exact(chances: npt.NDArray[np.float64], hits: int) -> float:
    if np.ptp(chances) > 0:
        fewer = stats.poisson_binom.cdf(hits, chances)
        more = stats.poisson_binom.sf(hits - 1, chances)
    else:  # thousands of phrases: a frozen distribution each would take most of the time
        fewer = special.bdtr(hits, len(chances), chances[0])
        more = special.bdtrc(hits - 1, len(chances), chances[0]) if hits else 1.0
    return float(np.clip(2 * min(fewer, more), 1e-15, 1.0))


def _of_slides(
    chances: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_], slides: Ints
) -> float:
    """Two-sided p-value of hits beyond chance where slides differ by more than guessing would:
    Student's t with a degree less than slides. Where they do not, 0: the exact one decides.
    """
    codes = np.unique(slides, return_inverse=True)[1]
    sums = np.bincount(codes, weights=hits - chances)
    count = len(sums)
    if count < 2:
        return 1.0
    between = float(sums.var() * count * count / (count - 1))
    if between <= float((chances * (1 - chances)).sum()):
        return 0.0
    return float(2 * stats.t.sf(abs(float(sums.sum())) / between**0.5, count - 1))


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


def _joined(table: Table, grams: _Grams, members: list[int]) -> tuple[str, str]:
    """The longest run of tokens that the members cover in one option.

    If they stand in the question: the option, and the longest run there.
    """
    row = int(min(grams.place[k, 0] for k in members))
    own = table.words[row]
    words = (*own, *table.question_words[table.owner[row]])
    covered = np.zeros(len(words), dtype=bool)
    for k in members:
        where, first, length = (int(x) for x in grams.place[k])
        if where == row:
            covered[first : first + length] = True
    if covered[: len(own)].any():
        covered[len(own) :] = False
    runs: list[tuple[int, int]] = []
    start = None
    for i, flag in enumerate([*covered, False]):
        if flag and start is None:
            start = i
        elif not flag and start is not None:
            runs.append((start, i))
            start = None
    first, last = max(runs, key=lambda run: (run[1] - run[0], -run[0]))
    found = " ".join(words[first:last])
    return (found, "") if first < len(own) else (" ".join(own), found)


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
    one, other = (p.asked or p.text for p in (phrase, stronger))
    if bool(phrase.asked) != bool(stronger.asked) or not set(one.split()) & set(other.split()):
        return False
    if f" {other} " in f" {one} " or f" {one} " in f" {other} ":
        return True
    shared = np.isin(holding[phrase], holding[stronger], assume_unique=True)
    return float(shared.mean()) >= _VARIANT
