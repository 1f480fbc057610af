"""What one question gives away: about itself, and about the others on the same images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from scalevqa_eval.audit.findings import LISTED, Finding
from scalevqa_eval.audit.tokens import tokens
from scalevqa_eval.types import Question

_LONG_ENOUGH = 3  # words of an option that a question can be said to quote
_COMPARED = 30  # other questions on the same images


def given_away(questions: Sequence[Question]) -> list[Finding]:
    """Right options quoted in their own question, or by another question on the same images."""
    closed = [question for question in questions if not question.is_open]
    words = {id(q): _padded(q.text) for q in closed}
    quoted = [(q, _quoted(q, words[id(q)])) for q in closed]
    own = [q for q, letters in quoted if letters == [q.answer]]
    wrong = sum(bool(letters) and q.answer not in letters for q, letters in quoted)
    found = _by_siblings(closed, words)
    if own:
        found.insert(
            0,
            Finding.about(
                (q.id for q in own), "answer-in-question",
                "error" if len(own) > 2 * wrong else "warning",
                "{n} quote their right option, and no other option, in the question text "
                f"({wrong:,} quote wrong options alone).", {"wrong_quoted": wrong},
            ),
        )  # fmt: skip
    return found


def _by_siblings(questions: Sequence[Question], words: dict[int, str]) -> list[Finding]:
    sets: dict[frozenset[str], list[Question]] = defaultdict(list)
    for question in questions:
        if question.views:
            sets[frozenset(question.image_set)].append(question)
    quoting: list[tuple[str, str]] = []
    agreeing: list[tuple[str, str]] = []
    for question, members in ((q, group) for group in sets.values() for q in group):
        others = [other for other in members if other is not question][:_COMPARED]
        answer = _padded(question.options[question.answer])
        for other in others:
            if _quoted(question, words[id(other)]) == [question.answer]:
                quoting.append((question.id, other.id))
                break
        else:
            for other in others:
                same = _padded(other.options[other.answer]) == answer
                if same and _long(answer) and words[id(other)] != words[id(question)]:
                    agreeing.append((question.id, other.id))
                    break
    found = []
    if quoting:
        found.append(
            Finding.about(
                (id_ for id_, _ in quoting), "answered-by-sibling", "warning",
                "{n} have their right option, and no other, quoted in another question on the "
                "same images (the probe sibling-cues measures what that is worth).",
                {"pairs": [list(pair) for pair in quoting[:LISTED]]},
            )
        )  # fmt: skip
    if agreeing:
        found.append(
            Finding.about(
                (id_ for id_, _ in agreeing), "same-answer-on-set", "note",
                "{n} have the same right option as another question on the same images.",
                {"pairs": [list(pair) for pair in agreeing[:LISTED]]},
            )
        )  # fmt: skip
    return found


def _padded(text: str) -> str:
    return f" {' '.join(tokens(text))} "


def _long(padded: str) -> bool:
    return len(padded.split()) >= _LONG_ENOUGH


def _quoted(question: Question, text: str) -> list[str]:
    """Letters of the options that a text quotes in full."""
    options = {letter: _padded(option) for letter, option in question.options.items()}
    return [letter for letter, option in options.items() if _long(option) and option in text]
