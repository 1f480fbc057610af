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
    own = [q.id for q, letters in quoted if letters == [q.answer]]
    wrong = sum(bool(letters) and q.answer not in letters for q, letters in quoted)
    quoting, agreeing = _by_siblings(closed, words)
    return [
        Finding.about(
            own, "answer-in-question", "error" if len(own) > 2 * wrong else "warning",
            "{n} quote their right option, and no other option, in the question text "
            f"({wrong:,} quote wrong options alone).", {"wrong_quoted": wrong},
        ),
        Finding.about(
            (id_ for id_, _ in quoting), "answered-by-sibling", "warning",
            "{n} have their right option, and no other, quoted in another question on the same "
            "images (the probe sibling-cues measures what that is worth).",
            {"pairs": quoting[:LISTED]},
        ),
        Finding.about(
            (id_ for id_, _ in agreeing), "same-answer-on-set", "note",
            "{n} have the same right option as another question on the same images.",
            {"pairs": agreeing[:LISTED]},
        ),
    ]  # fmt: skip


def _by_siblings(
    questions: Sequence[Question], words: dict[int, str]
) -> tuple[list[list[str]], list[list[str]]]:
    """Ids of questions with the sibling that quotes their right option, or has the same one."""
    sets: dict[frozenset[str], list[Question]] = defaultdict(list)
    for question in questions:
        if question.views:
            sets[frozenset(question.image_set)].append(question)
    quoting, agreeing = [], []
    for question, members in ((q, group) for group in sets.values() for q in group):
        others = [other for other in members if other is not question][:_COMPARED]
        answer = _padded(question.options[question.answer])
        says = (o for o in others if _quoted(question, words[id(o)]) == [question.answer])
        agrees = (
            o for o in others if _long(answer) and _padded(o.options[o.answer]) == answer
            and words[id(o)] != words[id(question)]
        )  # fmt: skip
        if (sibling := next(says, None)) is not None:
            quoting.append([question.id, sibling.id])
        elif (sibling := next(agrees, None)) is not None:
            agreeing.append([question.id, sibling.id])
    return quoting, agreeing


def _padded(text: str) -> str:
    return f" {' '.join(tokens(text))} "


def _long(padded: str) -> bool:
    return len(padded.split()) >= _LONG_ENOUGH


def _quoted(question: Question, text: str) -> list[str]:
    """Letters of the options that a text quotes in full."""
    options = {letter: _padded(option) for letter, option in question.options.items()}
    return [letter for letter, option in options.items() if _long(option) and option in text]
