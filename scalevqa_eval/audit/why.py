"""Why one question leaks: the words that give it away, and the reasons, for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.probes import rules
from scalevqa_eval.audit.table import make_table
from scalevqa_eval.types import Question

_REASONS = 3
_STRONG = 0.05  # a weaker rule or phrase is no reason for one question
_LIKENESS = ("medoid", "medoid-letters")
_LIKE_OTHERS = "the option most similar to the others; marked is what each has alone"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Why:
    """`marks` has, per letter, the spans (start, end) of the option's text that tell, `asked` those
    of the question's. `strength` is that of the strongest reason: how far the near end of its
    interval is from chance.

    `reasons` may be empty: then what tells is spread over many words, or not in words at all.
    """

    marks: Mapping[str, tuple[tuple[int, int], ...]]
    asked: tuple[tuple[int, int], ...]
    reasons: tuple[str, ...]
    strength: float


def why(questions: Sequence[Question], data: Mapping[str, Any]) -> list[Why]:
    """The phrases and rules of an audit.json that speak for the right option of each question.

    Where the right option is told by its likeness to the others, marked is what each has alone.
    """
    if not questions:
        return []
    picks = _picks(questions)
    return [_why(question, data["shortcuts"], picked) for question, picked in
            zip(questions, picks, strict=True)]  # fmt: skip


def _picks(questions: Sequence[Question]) -> list[dict[str, str]]:
    """Per question: the letter that each rule takes, where it takes one."""
    table = make_table(questions)
    features = Features(table)
    found: list[dict[str, str]] = [{} for _ in questions]
    for rule in (rule for rule in rules(features) if not rule.file):
        scores = rule.score(features)
        for i, place in enumerate(table.order):
            first = int(table.start[i])
            own = scores[first : first + int(table.sizes[i])]
            best = np.flatnonzero(own >= own.max() - 1e-9)
            if len(best) == 1:
                found[place][rule.name] = table.letters[first + int(best[0])]
    return found


@dataclass(frozen=True, slots=True)
class _Reason:
    """One reason, for `key` once, with the spans that it marks in options and in the question."""

    key: str
    words: str
    strength: float
    marks: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    asked: Sequence[tuple[int, int]] = ()


def _why(question: Question, shortcuts: Mapping[str, Any], picks: Mapping[str, str]) -> Why:
    found = [
        *_of_rules(question, shortcuts["cues"], picks),
        *_of_phrases(question, shortcuts["phrases"]),
    ]
    best: dict[str, _Reason] = {}
    for reason in sorted(found, key=lambda one: (-one.strength, one.words)):
        if reason.strength > _STRONG:
            best.setdefault(reason.key, reason)
    chosen = list(best.values())[:_REASONS]
    marks = {
        letter: _merged([span for reason in chosen for span in reason.marks.get(letter, ())])
        for letter in question.options
    }
    asked = _merged([span for reason in chosen for span in reason.asked])
    strength = max((reason.strength for reason in chosen), default=0.0)
    return Why(marks, asked, tuple(reason.words for reason in chosen), strength)


def _of_rules(
    question: Question, cues: Sequence[Mapping[str, Any]], picks: Mapping[str, str]
) -> Iterator[_Reason]:
    for cue in cues:
        taken, right = picks.get(cue["rule"]), cue["direction"] == "right"
        if not _concerns(cue, question) or not right or taken != question.answer:
            continue
        alike = cue["rule"] in _LIKENESS
        about = _LIKE_OTHERS if alike else cue["about"]
        words = f"the right option is {about} (so in {cue['correct']:.0f} of {cue['n']} questions)"
        marks = _alone(question.options) if alike else {}
        yield _Reason(about, words, cue["leak_ci"][0], marks)


def _of_phrases(question: Question, phrases: Sequence[Mapping[str, Any]]) -> Iterator[_Reason]:
    for phrase in phrases:
        text, asked, right = phrase["phrase"], phrase["asked"], phrase["direction"] == "right"
        spans = {letter: _find(text, option) for letter, option in question.options.items()}
        having = {letter for letter, found in spans.items() if found}
        if not _concerns(phrase, question) or not 0 < len(having) < len(spans):
            continue
        if right != (question.answer in having):
            continue
        hits = phrase["right"] if right else phrase["questions"] - phrase["right"]
        times = f"({hits} of {phrase['questions']} times)"
        strength = abs(phrase["effect"])
        if asked:
            places = _find(asked, question.text)
            words = f"where the question says “{asked}”, “{text}” is right {times}"
            if places and having == {question.answer}:
                yield _Reason(f"{asked} {text}", words, strength, {}, places)
            continue
        marked = {question.answer} if right else having
        words = f"“{text}” stands in {'the right option' if right else 'wrong options'} {times}"
        yield _Reason(text, words, strength, {letter: spans[letter] for letter in marked})


def _concerns(found: Mapping[str, Any], question: Question) -> bool:
    return found["dimension"] in (None, question.dimension)


def _find(phrase: str, text: str) -> list[tuple[int, int]]:
    """Where a run of words stands in a text."""
    words = r"\W+".join(map(re.escape, phrase.split()))
    return [m.span() for m in re.finditer(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE)]


def _alone(options: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Where each option has words that no other one has."""
    words = {letter: set(_WORD.findall(text.casefold())) for letter, text in options.items()}
    found = {}
    for letter, text in options.items():
        others = set().union(*(own for other, own in words.items() if other != letter))
        places = _WORD.finditer(text)
        found[letter] = [m.span() for m in places if m[0].casefold() not in others]
    return found


def _merged(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:  # neighbours, with one blank between
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
