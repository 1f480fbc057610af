"""How an option compares with its siblings: similarity, length, polarity, what they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from scalevqa_eval.audit.features.grams import Bools, Floats, Grams
from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.audit.tokens import Hashes, characters, normalise

_BLOCK = 2_000_000  # characters and pairs of options to compare at once
_PUNCTUATION = ",;:()-/%"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words whose presence tells kinds of options apart (English; other languages have no such cue).
CUES: dict[str, frozenset[str]] = {
    "negation": _words(
        "no not without lacking lack lacks absent absence neither nor cannot none never non fails "
        "unlike isn't doesn't don't aren't wasn't can't"
    ),
    "absence": _words("absent absence lacking lacks without none devoid unaccompanied"),
    "mismatch": _words(
        "rather instead but while whereas however although though unlike mismatch inconsistent "
        "discordant contrast differs different despite"
    ),
    "hedge": _words(
        "may might could possible possibly suggest suggests suggested suggesting appears appear "
        "likely probably suspected can seems some occasional focal mild sparse"
    ),
    "absolute": _words(
        "all always only every entirely exclusively completely any each both never purely solely "
        "throughout confined predominantly uniform uniformly diffuse"
    ),
    "certainty": _words(
        "clearly clear definite explicit explicitly directly prominent marked strong confirmed "
        "confirms corroborated supports supported consistent consistently"
    ),
    "weakness": _words(
        "limited partial partially unclear uncertain indeterminate minimal vague subtle"
    ),
    "cause": _words(
        "because due causing cause causes leading leads driven result resulting secondary "
        "therefore indicating since reflecting drives induced arising"
    ),
    "addition": _words("and also with along together plus additionally"),
}


# How an option is written, which no word tells.
_SHAPES = {"capital": re.compile(r"^\W*[A-ZÀ-ÖØ-Þ]"), "stop": re.compile(r"[.!?。]\s*$")}
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


def _value(text: str) -> float:
    """The first number of a text; NaN without one."""
    found = _NUMBER.search(text)
    return float(found[0].replace(",", ".")) if found else np.nan


@dataclass(frozen=True)
class Structure:
    """One row per option; `names` are the columns."""

    values: Floats
    names: tuple[str, ...]

    def column(self, name: str) -> Floats:
        return self.values[:, self.names.index(name)]

    def of_options(self) -> Floats:
        """Without the columns that compare an option with the question."""
        return self.values[:, [not name.startswith("question") for name in self.names]]


def structure(table: Table) -> Structure:
    """Describe every option by its relation to the other options of its question."""
    columns: dict[str, Floats] = {}
    for rows in blocks(table):
        for name, values in _described(table, rows).items():
            columns.setdefault(name, np.zeros(table.rows))[rows.ravel()] = values.ravel()
    return Structure(np.column_stack(list(columns.values())), tuple(columns))


def blocks(table: Table) -> Iterator[Ints]:
    """Rows of questions with equally many options, (questions, options); not too much at once."""
    cost = np.add.reduceat([len(text) for text in table.texts], table.start) + table.sizes**2
    for size in np.unique(table.sizes):
        chosen = np.flatnonzero(table.sizes == size)
        number = np.cumsum(cost[chosen]) // _BLOCK
        for part in np.split(chosen, np.flatnonzero(np.diff(number)) + 1):
            yield table.start[part, None] + np.arange(size)


def _described(table: Table, rows: Ints) -> dict[str, Floats]:
    """Columns of a block, each with one number a row."""
    flat, sizes = rows.ravel(), np.full(len(rows), rows.shape[1])
    texts, hashes = [table.texts[row] for row in flat], [table.hashes[row] for row in flat]
    questions = table.owner[rows[:, 0]]
    asked = [table.question_hashes[i] for i in questions]
    said = [characters(" ".join(table.question_words[i])) for i in questions]
    by_word, by_pair, by_triple = (Grams.of_texts(hashes, sizes, n, asked) for n in (1, 2, 3))
    by_letter = Grams.of_texts([characters(normalise(text)) for text in texts], sizes, 4, said)
    lengths = np.array([len(tokens) for tokens in hashes], dtype=np.float64).reshape(rows.shape)
    longest = np.maximum(1.0, np.maximum(lengths[:, :, None], lengths[:, None, :]))
    prefix, suffix = _common_ends(hashes, rows.shape)
    block = _similarities("word", _jaccard(by_word)) | _similarities("pair", _jaccard(by_pair))
    block |= _similarities("triple", _jaccard(by_triple))
    block |= _similarities("letter", _jaccard(by_letter))
    block |= _similarities("ends", np.minimum(1.0, (prefix + suffix) / longest))
    block |= _lengths(lengths, np.array([len(text) for text in texts], dtype=np.float64))
    for name, counts in _cue_counts([table.words[row] for row in flat]).items():
        block |= _cue(name, counts.reshape(rows.shape))
    for name, shape in _SHAPES.items():
        block |= _cue(name, np.array([bool(shape.search(text)) for text in texts], np.float64)
                      .reshape(rows.shape))  # fmt: skip
    values = np.array([_value(text) for text in texts]).reshape(rows.shape)
    near = np.array([_value(" ".join(table.question_words[i])) for i in questions])
    block["value rank"] = rank(np.nan_to_num(values))
    block["question value rank"] = rank(np.nan_to_num(np.abs(values - near[:, None])))
    block |= _sharing("word", by_word) | _sharing("pair", by_pair)
    block |= _ends(prefix, suffix, lengths) | _question_overlap(by_word, by_pair, by_letter)
    for mark in _PUNCTUATION:
        block[f"mark {mark}"] = np.array([min(text.count(mark), 4) for text in texts], np.float64)
    return block


def _jaccard(by: Grams) -> Floats:
    """Likeness of each two options of a question, (questions, options, options)."""
    size = int(by.sizes[0])
    shared = (by.matrix @ by.matrix.T).tocoo()  # of options of one question: columns are its own
    both = np.zeros((len(by.sizes) * size, size))
    both[shared.row, shared.col % size] = shared.data
    square = both.reshape(-1, size, size)
    own = square[:, np.arange(size), np.arange(size)]
    return np.asarray(square / np.maximum(1.0, own[:, :, None] + own[:, None, :] - square))


def rank(values: Floats) -> Floats:
    """Within a line: 0 for the largest, 1 for the smallest, ties in the middle."""
    own, others = values[:, :, None], values[:, None, :]
    more, same = (others > own).sum(2), (others == own).sum(2) - 1
    return np.asarray((more + same / 2) / (values.shape[1] - 1))


def _share(chosen: Bools) -> Floats:
    """Within a line: 1 for the only one chosen, 1/m for m chosen ones."""
    return np.asarray(chosen / np.maximum(1, chosen.sum(1, keepdims=True)), dtype=np.float64)


def _similarities(name: str, similarity: Floats) -> dict[str, Floats]:
    count = similarity.shape[1]
    itself = np.eye(count, dtype=bool)
    others = np.sort(np.where(itself, -1, np.round(similarity, 9)), axis=2)[:, :, 1:]
    mean, least, most = np.round(others.mean(2), 9), others[:, :, 0], others[:, :, -1]
    return {
        f"{name} mean": mean,
        f"{name} max": most,
        f"{name} min": least,
        f"{name} second": others[:, :, max(0, count - 3)],
        f"{name} rank": rank(mean),
        f"{name} medoid": _share(mean >= mean.max(1, keepdims=True)),
        f"{name} outlier": _share(mean <= mean.min(1, keepdims=True)),
        f"{name} hub": (least >= least.max(1, keepdims=True)).astype(np.float64),
        f"{name} closest pair": (most >= most.max(1, keepdims=True)).astype(np.float64),
    }


def _lengths(lengths: Floats, letters: Floats) -> dict[str, Floats]:
    return {
        "length": np.log1p(lengths),
        "characters": np.log1p(letters),
        "length ratio": lengths / np.maximum(1.0, lengths.mean(1, keepdims=True)) - 1,
        "length rank": rank(lengths),
        "longest": _share(lengths >= lengths.max(1, keepdims=True)),
        "shortest": _share(lengths <= lengths.min(1, keepdims=True)),
    }


def _cue_counts(texts: Sequence[tuple[str, ...]]) -> dict[str, Floats]:
    """How many words of each kind each text has; numbers are the last kind."""
    known: dict[str, int] = {}
    codes = [known.setdefault(word, len(known)) for words in texts for word in words]
    ends = np.cumsum([0, *(len(words) for words in texts)])
    said = sparse.csr_matrix((np.ones(len(codes)), codes, ends), shape=(len(texts), len(known)))
    kinds: dict[str, Callable[[str], bool]] = {name: CUES[name].__contains__ for name in CUES}
    kinds["number"] = str.isdigit
    return {
        name: said @ np.array([is_one(word) for word in known], dtype=np.float64)
        for name, is_one in kinds.items()
    }


def _cue(name: str, counts: Floats) -> dict[str, Floats]:
    has = counts > 0
    number = has.sum(1, keepdims=True)
    return {
        f"{name} count": np.minimum(counts, 3),
        name: has.astype(np.float64),
        f"{name} alone": (has & (number == 1)).astype(np.float64),
        f"{name} missing": (~has & (number == counts.shape[1] - 1)).astype(np.float64),
        f"{name} rank": rank(counts),
    }


def _sharing(name: str, by: Grams) -> dict[str, Floats]:
    """How many options share each of an option's grams, and which common ones it lacks."""
    matrix, holders = by.matrix, by.holders
    own = np.maximum(1.0, matrix @ np.ones(len(holders)))
    with_m = {m: matrix @ (holders == m) for m in range(1, 5)}
    result = {f"{name} in {m}": np.log1p(count) for m, count in with_m.items()}
    for lag in (1, 2):
        common = (holders == by.size - lag) & (holders > 1)
        every = np.bincount(by.question, weights=common, minlength=len(by.sizes))
        result[f"{name} lacks {lag}"] = np.log1p(np.repeat(every, by.sizes) - matrix @ common)
    result |= {f"{name} part in {m}": count / own for m, count in with_m.items()}
    return result | {f"{name} shared": (matrix @ (holders / by.size)) / own}


def _common_ends(hashes: Sequence[Hashes], shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Lengths of the common beginnings and ends of each two options, in tokens."""
    tokens = np.concatenate(hashes)
    lengths = np.array([len(tokens) for tokens in hashes])
    ends = np.cumsum(lengths)
    a, b = np.triu_indices(shape[1], 1)
    one, other = (np.arange(len(hashes)).reshape(shape)[:, k].ravel() for k in (a, b))
    shorter = np.minimum(lengths[one], lengths[other])

    def common(first: Ints, step: int) -> Floats:
        count = np.zeros(len(one))
        alike, place = np.arange(len(one)), 0  # pairs that are, up to this place
        while len(alike):
            alike = alike[place < shorter[alike]]
            x, y = (tokens[first[k[alike]] + step * place] for k in (one, other))
            alike, place = alike[x == y], place + 1
            count[alike] += 1
        both = np.zeros((*shape, shape[1]))
        both[:, a, b] = both[:, b, a] = count.reshape(len(both), -1)
        return both

    return common(ends - lengths, 1), common(ends - 1, -1)


def _ends(prefix: Floats, suffix: Floats, lengths: Floats) -> dict[str, Floats]:
    own, others = np.maximum(1.0, lengths), lengths.shape[1] - 1
    return {
        "beginning shared": prefix.sum(2) / others / own,
        "beginning shared most": prefix.max(2) / own,
        "end shared": suffix.sum(2) / others / own,
        "end shared most": suffix.max(2) / own,
    }


def _question_overlap(words: Grams, pairs: Grams, letters: Grams) -> dict[str, Floats]:
    """The parts of an option's grams that the question's own text has, too."""

    def part(by: Grams, counted: Bools) -> Floats:
        return np.asarray((by.matrix @ (counted & by.asked)) / np.maximum(1, by.matrix @ counted))

    return {
        "question overlap": part(words, words.holders > 0),
        "question pairs": part(pairs, pairs.holders > 0),
        "question overlap of own": part(words, words.holders < words.size),
        "question letters": part(letters, letters.holders > 0),
        "question letters of own": part(letters, letters.holders < letters.size),
    }
