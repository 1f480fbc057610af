"""Why one question leaks: the words that give it away, and the reasons, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.probes import rules
from scalevqa_eval.audit.table import make_table
from scalevqa_eval.types import Question

_REASONS = 3
_STRONG = 0.05  # a weaker rule is no reason for one question
_LIKENESS = ("medoid", "medoid-letters")
_LIKE_OTHERS = "the option most similar to the others; marked is what each has alone"
_ABOUT = dict.fromkeys(_LIKENESS, _LIKE_OTHERS)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Why:
    """`marks` has, per letter, the spans (start, end) of the option's text that tell, `asked` those
    of the question's.

    `reasons` may be empty: then what tells is spread over many words, or not in words at all.
    """

    marks: Mapping[str, tuple[tuple[int, int], ...]]
    asked: tuple[tuple[int, int], ...]
    reasons: tuple[str, ...]


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


def _why(question: Question, shortcuts: Mapping[str, Any], picks: Mapping[str, str]) -> Why:
    marks: dict[str, list[tuple[int, int]]] = {letter: [] for letter in question.options}
    alone = _alone(question.options)
    reasons: list[str] = []
    asked: list[tuple[int, int]] = []
    for cue in shortcuts["cues"]:
        taken = picks.get(cue["rule"])
        right = cue["direction"] == "right"
        strong = cue["leak_ci"][0] > _STRONG
        if _concerns(cue, question) and right and strong and taken == question.answer:
            if cue["rule"] in _LIKENESS:
                marks = {k: [*v, *alone[k]] for k, v in marks.items()}
            reason = f"the right option is {_ABOUT.get(cue['rule'], cue['about'])}"
            if not any(reason in known for known in reasons):
                reasons.append(f"{reason} (so in {cue['correct']:.0f} of {cue['n']} questions)")
    for phrase in shortcuts["phrases"]:
        spans = {letter: _find(phrase["phrase"], text) for letter, text in question.options.items()}
        having = {letter for letter, found in spans.items() if found}
        if not _concerns(phrase, question) or not 0 < len(having) < len(spans):
            continue
        right = phrase["direction"] == "right"
        words = _find(phrase["asked"], question.text) if phrase["asked"] else []
        if phrase["asked"]:
            if words and having == {question.answer}:
                asked += words
                reasons.append(
                    f"where the question says “{phrase['asked']}”, “{phrase['phrase']}” "
                    f"is right {phrase['right']} of {phrase['questions']} times"
                )
            continue
        if right != (question.answer in having):
            continue
        for letter in {question.answer} if right else having:
            marks[letter] += spans[letter]
        says = "stands in the right option" if right else "stands in wrong options"
        of = phrase["right"] if right else phrase["questions"] - phrase["right"]
        reasons.append(f"“{phrase['phrase']}” {says} ({of} of {phrase['questions']} times)")
    merged = {letter: _merged(spans) for letter, spans in marks.items()}
    return Why(merged, _merged(asked), tuple(reasons[:_REASONS]))


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
