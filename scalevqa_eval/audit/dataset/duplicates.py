"""Questions that say nearly the same: MinHash finds candidates, their texts decide.

Two questions are near duplicates if the three-word runs of their texts (the question and each
option, in whatever order) have a Jaccard similarity of 0.8 or more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from scalevqa_eval.audit.findings import LISTED, Finding, Severity, counted
from scalevqa_eval.audit.tokens import Hasher, hashed_ngrams, normalise, tokens
from scalevqa_eval.types import Benchmark, Question

SIMILARITY = 0.8
_PERMUTATIONS = 96
_CANDIDATES = 40  # compared for one text: bounds the time where all texts look alike

Shingles = frozenset[int]


@dataclass(frozen=True, slots=True)
class Match:
    """A question and the nearest of those that say nearly the same (one on its images first).

    `similarity` is their Jaccard similarity. `decided` is whether all that say nearly the same
    have the same right option's text as the question: then the text alone gives it away.
    """

    question: Question
    like: Question
    similarity: float
    same_images: bool
    decided: bool


def shingles(question: Question, hasher: Hasher) -> Shingles:
    """Hashed three-word runs of question and options; texts of fewer words count as one run."""
    found: set[int] = set()
    for text in (question.text, *question.options.values()):
        hashes = hasher(tokens(text))
        runs = hashed_ngrams(hashes, min(3, len(hashes))) if len(hashes) else hashes
        found.update((runs >> 32).tolist())  # the hash that MinHash takes has 32 bits
    return frozenset(found)


def jaccard(one: Shingles, two: Shingles) -> float:
    both = len(one & two)
    return both / (len(one) + len(two) - both) if one or two else 1.0


class TextIndex:
    """Questions by what they say; equal texts are looked at once."""

    def __init__(self, questions: Iterable[tuple[Question, Shingles]]) -> None:
        self._lsh = MinHashLSH(threshold=SIMILARITY - 0.1, num_perm=_PERMUTATIONS)
        self._sketch = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=int)
        self._members: dict[Shingles, list[Question]] = defaultdict(list)
        self._on_images: dict[tuple[Shingles, frozenset[str]], list[Question]] = defaultdict(list)
        self._answers: dict[Shingles, Counter[str]] = defaultdict(Counter)
        self._near: dict[Shingles, list[tuple[float, Shingles]]] = {}
        for question, key in questions:
            self._members[key].append(question)
            self._on_images[key, frozenset(question.image_set)].append(question)
            self._answers[key][_answer(question)] += 1
        self._known = [key for key in self._members if key]
        self.cut = False
        for number, key in enumerate(self._known):
            self._lsh.insert(number, self._minhash(key), check_duplication=False)

    def match(self, question: Question, key: Shingles) -> Match | None:
        """The near duplicates of a question, which may itself be in the index."""
        near = self._alike(key)
        images = frozenset(question.image_set)
        on_images = [(s, self._on_images.get((k, images), [])) for s, k in near] if images else []
        like = _first(question, on_images)
        same_images = like is not None
        like = like or _first(question, [(s, self._members[k]) for s, k in near])
        if like is None:
            return None
        own = _answer(question)
        decided = all(self._answers[k][own] == len(self._members[k]) for _, k in near)
        return Match(question, like[1], like[0], same_images, decided)

    def _alike(self, key: Shingles) -> list[tuple[float, Shingles]]:
        """Distinct texts of the index that are near, nearest first, with their similarity."""
        if key not in self._near:
            found = [(1.0, key)] if key in self._members else []
            candidates = sorted(self._lsh.query(self._minhash(key))) if key else []
            self.cut = self.cut or len(candidates) > _CANDIDATES
            for other in (self._known[number] for number in candidates[:_CANDIDATES]):
                similarity = jaccard(key, other)
                if similarity >= SIMILARITY and other != key:
                    found.append((similarity, other))
            self._near[key] = sorted(found, key=lambda pair: -pair[0])
        return self._near[key]

    def _minhash(self, key: Shingles) -> MinHash:
        sketch = self._sketch.copy()
        sketch.update_batch(key)
        return sketch


def _first(
    question: Question, near: Iterable[tuple[float, Sequence[Question]]]
) -> tuple[float, Question] | None:
    """The first of these questions that is not the question itself, with its similarity."""
    return next(((s, q) for s, members in near for q in members if q is not question), None)


def _answer(question: Question) -> str:
    text = question.answer if question.is_open else question.options[question.answer]
    return normalise(text)


def repeated_texts(questions: Sequence[Question], others: Sequence[Benchmark]) -> list[Finding]:
    """Near-duplicate texts within the audited questions, and in each other split."""
    hasher = Hasher()
    audited = [(question, shingles(question, hasher)) for question in questions]
    index = TextIndex(audited)
    found = _within(_matches(index, audited))
    if index.cut:
        found.append(
            Finding("many-alike", "note",
                    f"Many texts look alike: each was compared with {_CANDIDATES} candidates only.")
        )  # fmt: skip
    for other in others:
        index = TextIndex((question, shingles(question, hasher)) for question in other.questions)
        found += _across(other.name, _matches(index, audited))
    return found


def _matches(index: TextIndex, audited: Iterable[tuple[Question, Shingles]]) -> list[Match]:
    return [match for q, key in audited if (match := index.match(q, key)) is not None]


def _within(matches: Sequence[Match]) -> list[Finding]:
    apart = [match for match in matches if not match.same_images]
    kinds: list[tuple[str, Severity, list[Match], str]] = [
        ("repeated-question", "warning", [match for match in matches if match.same_images],
         "{n} are asked about the same images in nearly the same words as another."),
        ("repeated-text", "warning", [match for match in apart if match.decided],
         "{n} have nearly the same text as others on other images, and the same right option: "
         "who learned one knows the other."),
        ("counterfactual-text", "note", [match for match in apart if not match.decided],
         "{n} have nearly the same text as others on other images, with other right options: "
         "their text alone does not decide."),
    ]  # fmt: skip
    return [
        Finding.about({q.id for match in group for q in (match.question, match.like)},
                      kind, severity, message, _evidence(group))
        for kind, severity, group, message in kinds
    ]  # fmt: skip


def _across(name: str, matches: Sequence[Match]) -> list[Finding]:
    same = [match for match in matches if match.decided]
    rest = [match for match in matches if not match.decided]
    worst: Severity = "error" if any(match.same_images for match in same) else "warning"
    kinds: list[tuple[str, Severity, list[Match], str]] = [
        ("split-text", worst, same, "and the same right option"),
        ("split-text-differs", "note", rest, "with other right options"),
    ]
    return [
        Finding.about((match.question.id for match in group), kind, severity,
                      f"{{n}} have nearly the same text as questions of {name}, {how}.",
                      {"split": name, **_evidence(group)})
        for kind, severity, group, how in kinds
    ]  # fmt: skip


def _evidence(matches: Sequence[Match]) -> dict[str, object]:
    strongest = sorted(matches, key=lambda m: (-m.similarity, m.question.id, m.like.id))[:LISTED]
    pairs = [[m.question.id, m.like.id, round(m.similarity, 3)] for m in strongest]
    return {"pairs": pairs, "found": counted(len(matches), "pair"), "jaccard": SIMILARITY}
