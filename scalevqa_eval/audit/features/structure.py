"""How an option compares with its siblings: similarity, length, polarity, what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.tokens import Hashes, character_grams, hashed_ngrams, normalise

Floats = npt.NDArray[np.float64]

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
    counts = _cue_counts(table)
    lines: list[Floats] = []
    names: list[str] = []
    for i in range(table.n):
        first = int(table.start[i])
        rows = range(first, first + int(table.sizes[i]))
        block: dict[str, Floats] = {}
        grams = [[hashed_ngrams(table.hashes[r], n) for r in rows] for n in (1, 2, 3)]
        letters = [character_grams(normalise(table.texts[r])) for r in rows]
        lengths = np.array([len(table.words[r]) for r in rows], dtype=np.float64)
        prefix, suffix = _common_ends([table.hashes[r] for r in rows])
        families = [_incidence(gram)[0] for gram in [*grams, letters]]
        for name, family in zip(("word", "pair", "triple", "letter"), families, strict=True):
            block |= _similarities(name, _jaccard(family))
        longest = np.maximum(1.0, np.maximum(lengths[:, None], lengths[None, :]))
        block |= _similarities("ends", np.minimum(1.0, (prefix + suffix) / longest))
        block |= _lengths(lengths, [table.texts[r] for r in rows])
        block |= _cues(counts[first : first + len(rows)])
        for name, family in zip(("word", "pair"), families[:2], strict=True):
            block |= _sharing(name, family)
        block |= _ends(prefix, suffix, lengths)
        block |= _question_overlap(grams[0], grams[1], table.question_hashes[i])
        block |= {f"mark {m}": _marks([table.texts[r] for r in rows], m) for m in _PUNCTUATION}
        names = names or list(block)
        lines.append(np.column_stack(list(block.values())))
    return Structure(np.concatenate(lines), tuple(names))


def _incidence(grams: list[Hashes]) -> tuple[Floats, Hashes]:
    """A (K, distinct) matrix of which option has which gram, and the grams."""
    known = np.unique(np.concatenate(grams)) if grams else np.empty(0, dtype=np.uint64)
    found = np.zeros((len(grams), len(known)))
    for k, gram in enumerate(grams):
        found[k, np.searchsorted(known, gram)] = 1.0
    return found, known


def _jaccard(found: Floats) -> Floats:
    both = found @ found.T
    size = np.diag(both)
    either = size[:, None] + size[None, :] - both
    return np.asarray(both / np.maximum(1.0, either))


def _rank(values: Floats) -> Floats:
    """0 for the largest, 1 for the smallest, ties in the middle."""
    more = (values[None, :] > values[:, None]).sum(1)
    same = (values[None, :] == values[:, None]).sum(1) - 1
    return np.asarray((more + same / 2) / (len(values) - 1))


def _share(chosen: npt.NDArray[np.bool_]) -> Floats:
    """1 for the only one chosen, 1/m for m chosen ones."""
    return np.asarray(chosen / max(1, int(chosen.sum())), dtype=np.float64)


def _similarities(name: str, similarity: Floats) -> dict[str, Floats]:
    similarity = np.round(similarity, 9)
    count = len(similarity)
    others = similarity[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    others = np.sort(others, axis=1)
    mean, least, most = others.mean(1), others[:, 0], others[:, -1]
    mean = np.round(mean, 9)
    return {
        f"{name} mean": mean,
        f"{name} max": most,
        f"{name} min": least,
        f"{name} second": others[:, max(0, count - 3)],
        f"{name} rank": _rank(mean),
        f"{name} medoid": _share(mean >= mean.max()),
        f"{name} outlier": _share(mean <= mean.min()),
        f"{name} hub": (least >= least.max()).astype(np.float64),
        f"{name} closest pair": (most >= most.max()).astype(np.float64),
    }


def _lengths(lengths: Floats, texts: list[str]) -> dict[str, Floats]:
    return {
        "length": np.log1p(lengths),
        "characters": np.log1p(np.array([len(text) for text in texts], dtype=np.float64)),
        "length ratio": lengths / max(1.0, float(lengths.mean())) - 1,
        "length rank": _rank(lengths),
        "longest": _share(lengths >= lengths.max()),
        "shortest": _share(lengths <= lengths.min()),
    }


def _cues(counts: Floats) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for k, name in enumerate([*CUES, "number"]):
        value = counts[:, k]
        has = value > 0
        found[f"{name} count"] = np.minimum(value, 3)
        found[f"{name}"] = has.astype(np.float64)
        found[f"{name} alone"] = (has & (has.sum() == 1)).astype(np.float64)
        found[f"{name} missing"] = (~has & (has.sum() == len(has) - 1)).astype(np.float64)
        found[f"{name} rank"] = _rank(value)
    return found


def _sharing(name: str, found: Floats) -> dict[str, Floats]:
    """How many options share each of an option's grams, and which common ones it lacks."""
    count = len(found)
    holders = found.sum(0)
    own = np.maximum(1.0, found.sum(1))
    result = {f"{name} shared": (found @ holders) / own / count}
    for m in range(1, min(count, 4) + 1):
        with_m = found @ (holders == m)
        result[f"{name} in {m}"] = np.log1p(with_m)
        result[f"{name} part in {m}"] = with_m / own
    for m in range(min(count, 4) + 1, 5):  # the same columns for questions of fewer options
        result[f"{name} in {m}"] = result[f"{name} part in {m}"] = np.zeros(count)
    missing = 1.0 - found
    for lag in (1, 2):
        common = (holders == count - lag) & (holders > 1)
        result[f"{name} lacks {lag}"] = np.log1p(missing @ common)
    return dict(sorted(result.items()))


def _common_ends(hashes: list[Hashes]) -> tuple[Floats, Floats]:
    """Lengths of the common beginnings and ends of each two options, in tokens."""
    count = len(hashes)
    prefix, suffix = np.zeros((count, count)), np.zeros((count, count))
    for a in range(count):
        for b in range(a + 1, count):
            size = min(len(hashes[a]), len(hashes[b]))
            if not size:
                continue
            ahead = hashes[a][:size] != hashes[b][:size]
            behind = hashes[a][::-1][:size] != hashes[b][::-1][:size]
            prefix[a, b] = prefix[b, a] = int(ahead.argmax()) if ahead.any() else size
            suffix[a, b] = suffix[b, a] = int(behind.argmax()) if behind.any() else size
    return prefix, suffix


def _ends(prefix: Floats, suffix: Floats, lengths: Floats) -> dict[str, Floats]:
    own, others = np.maximum(1.0, lengths), max(1, len(lengths) - 1)
    return {
        "beginning shared": prefix.sum(1) / others / own,
        "beginning shared most": prefix.max(1) / own,
        "end shared": suffix.sum(1) / others / own,
        "end shared most": suffix.max(1) / own,
    }


def _question_overlap(words: list[Hashes], pairs: list[Hashes], asked: Hashes) -> dict[str, Floats]:
    found, known = _incidence(words)
    in_question = np.isin(known, asked)
    distinct = found * (found.sum(0) < len(found))
    pair_found, pair_known = _incidence(pairs)
    pair_in_question = np.isin(pair_known, hashed_ngrams(asked, 2))
    return {
        "question overlap": (found @ in_question) / np.maximum(1.0, found.sum(1)),
        "question pairs": (pair_found @ pair_in_question) / np.maximum(1.0, pair_found.sum(1)),
        "question overlap of own": (distinct @ in_question) / np.maximum(1.0, distinct.sum(1)),
    }


def _marks(texts: list[str], mark: str) -> Floats:
    return np.array([min(text.count(mark), 4) for text in texts], dtype=np.float64)


def _cue_counts(table: Table) -> npt.NDArray[np.float64]:
    """How many words of each kind a row has, (rows, len(CUES) + 1); numbers are the last column."""
    found = np.zeros((table.rows, len(CUES) + 1))
    for row, words in enumerate(table.words):
        for k, wanted in enumerate(CUES.values()):
            found[row, k] = sum(word in wanted for word in words)
        found[row, -1] = sum(word.isdigit() for word in words)
    return found
