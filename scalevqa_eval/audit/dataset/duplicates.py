"""Questions that say nearly the same: MinHash finds candidates, their texts decide.

Two questions are near duplicates if the three-word runs of their texts (the question and each
option, in whatever order) have a Jaccard similarity of 0.8 or more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from scalevqa_eval.audit.dataset.noting import SHOWN, counted, note
from scalevqa_eval.audit.dataset.splits import Other
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.tokens import Hasher, hashed_ngrams, normalise, tokens
from scalevqa_eval.types import Question

SIMILARITY = 0.8
_PERMUTATIONS = 96
_CANDIDATES = 40  # compared for one text: bounds the time where all texts look alike

Shingles = frozenset[int]


@dataclass(frozen=True, slots=True)
class Match:
    """A question and those that say nearly the same.

    `like` is the nearest of them (one on the same images first), `similarity` its Jaccard
    similarity, `same_images` whether it shows the same images. `decided` is whether all of them
    have the same right option's text as the question: then the text alone gives it away.
    """

    question: Question
    like: Question
    similarity: float
    same_images: bool
    decided: bool


class Shingler:
    """Questions → sets of hashed three-word runs; texts of fewer words count as one run."""

    def __init__(self) -> None:
        self._hash = Hasher()

    def __call__(self, question: Question) -> Shingles:
        found: set[int] = set()
        for text in (question.text, *question.options.values()):
            hashes = self._hash(tokens(text))
            runs = hashed_ngrams(hashes, min(3, len(hashes))) if len(hashes) else hashes
            found.update((runs >> 32).tolist())  # the hash that MinHash takes has 32 bits
        return frozenset(found)


def jaccard(one: Shingles, two: Shingles) -> float:
    if not one and not two:
        return 1.0
    both = len(one & two)
    return both / (len(one) + len(two) - both)


class _Members:
    """Questions of equal text: by images, and how often each right option's text is right."""

    def __init__(self) -> None:
        self.by_images: dict[frozenset[str], list[Question]] = {}
        self.answers: Counter[str] = Counter()
        self.first: list[Question] = []

    def add(self, question: Question) -> None:
        if len(self.first) < 2:
            self.first.append(question)
        on_images = self.by_images.setdefault(frozenset(question.image_set), [])
        if len(on_images) < 2:
            on_images.append(question)
        self.answers[_answer(question)] += 1


class TextIndex:
    """Questions by what they say; equal texts are looked at once."""

    def __init__(self, questions: Sequence[tuple[Question, Shingles]]) -> None:
        self._lsh = MinHashLSH(threshold=SIMILARITY - 0.1, num_perm=_PERMUTATIONS)
        self._members: dict[Shingles, _Members] = {}
        self._known: list[Shingles] = []
        self._near: dict[Shingles, list[tuple[float, Shingles]]] = {}
        self._sketch = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=int)
        self.cut = False
        for question, shingles in questions:
            if shingles not in self._members:
                self._members[shingles] = _Members()
                if shingles:
                    self._lsh.insert(
                        len(self._known), self._minhash(shingles), check_duplication=False
                    )
                    self._known.append(shingles)
            self._members[shingles].add(question)

    def match(self, question: Question, shingles: Shingles, inside: bool) -> Match | None:
        """The near duplicates of a question, which is itself in the index if `inside`."""
        images = frozenset(question.image_set)
        nearest: tuple[float, Question] | None = None
        on_images: tuple[float, Question] | None = None
        answers: Counter[str] = Counter()
        for similarity, key in self._alike(shingles):
            members = self._members[key]
            answers += members.answers
            there = [q for q in members.by_images.get(images, ()) if q is not question]
            if images and there and on_images is None:
                on_images = (similarity, there[0])
            others = [q for q in members.first if q is not question]
            if others and nearest is None:
                nearest = (similarity, others[0])
        if inside:
            answers[_answer(question)] -= 1
        shown = on_images or nearest
        if shown is None:
            return None
        decided = {text for text, number in answers.items() if number} == {_answer(question)}
        return Match(question, shown[1], shown[0], on_images is not None, decided)

    def _alike(self, shingles: Shingles) -> list[tuple[float, Shingles]]:
        """Distinct texts of the index that are near, nearest first, with their similarity."""
        if shingles not in self._near:
            found = [(1.0, shingles)] if shingles in self._members else []
            candidates = sorted(self._lsh.query(self._minhash(shingles))) if shingles else []
            self.cut = self.cut or len(candidates) > _CANDIDATES
            for number in candidates[:_CANDIDATES]:
                similarity = jaccard(shingles, self._known[number])
                if similarity >= SIMILARITY and self._known[number] != shingles:
                    found.append((similarity, self._known[number]))
            found.sort(key=lambda pair: -pair[0])
            self._near[shingles] = found
        return self._near[shingles]

    def _minhash(self, shingles: Shingles) -> MinHash:
        sketch = self._sketch.copy()
        sketch.update_batch(shingles)
        return sketch


def _answer(question: Question) -> str:
    text = question.answer if question.is_open else question.options[question.answer]
    return normalise(text)


def repeated_texts(questions: Sequence[Question], others: Sequence[Other]) -> list[Finding]:
    """Near-duplicate texts within the audited questions, and in each other split."""
    shingler = Shingler()
    audited = [(question, shingler(question)) for question in questions]
    found = _within(audited)
    for other in others:
        index = TextIndex([(question, shingler(question)) for question in other.questions])
        matches = [m for q, s in audited if (m := index.match(q, s, inside=False)) is not None]
        found += _across(other.name, matches)
    return found


def _within(audited: Sequence[tuple[Question, Shingles]]) -> list[Finding]:
    index = TextIndex(audited)
    matches = [m for q, s in audited if (m := index.match(q, s, inside=True)) is not None]
    found = []
    twice = [match for match in matches if match.same_images]
    if twice:
        found.append(
            note("repeated-question", "warning", _ids(twice),
                 "{n} are asked about the same images in nearly the same words as another.",
                 _evidence(twice))
        )  # fmt: skip
    decided = [match for match in matches if not match.same_images and match.decided]
    if decided:
        found.append(
            note("repeated-text", "warning", _ids(decided),
                 "{n} have nearly the same text as others on other images, always with the same "
                 "right option: it can be learned from the text.", _evidence(decided))
        )  # fmt: skip
    open_ = [match for match in matches if not match.same_images and not match.decided]
    if open_:
        found.append(
            note("counterfactual-text", "note", _ids(open_),
                 "{n} have nearly the same text as others on other images, with other right "
                 "options: their text alone does not decide.", _evidence(open_))
        )  # fmt: skip
    if index.cut:
        found.append(
            note("many-alike", "note", [],
                 f"Many texts look alike: each was compared with {_CANDIDATES} candidates only.")
        )  # fmt: skip
    return found


def _across(name: str, matches: list[Match]) -> list[Finding]:
    found = []
    same = [match for match in matches if match.decided]
    if same:
        found.append(
            note("split-text", "error" if any(m.same_images for m in same) else "warning",
                 (match.question.id for match in same),
                 f"{{n}} have nearly the same text as questions of {name}, always with the same "
                 "right option.", {"split": name, **_evidence(same)})
        )  # fmt: skip
    rest = [match for match in matches if not match.decided]
    if rest:
        found.append(
            note("split-text-differs", "note", (match.question.id for match in rest),
                 f"{{n}} have nearly the same text as questions of {name}, with other right "
                 "options.", {"split": name, **_evidence(rest)})
        )  # fmt: skip
    return found


def _ids(matches: Sequence[Match]) -> set[str]:
    return {q.id for match in matches for q in (match.question, match.like)}


def _evidence(matches: Sequence[Match]) -> dict[str, object]:
    strongest = sorted(matches, key=lambda m: (-m.similarity, m.question.id, m.like.id))[:SHOWN]
    pairs = [[m.question.id, m.like.id, round(m.similarity, 3)] for m in strongest]
    return {"pairs": pairs, "found": counted(len(matches), "pair"), "jaccard": SIMILARITY}
