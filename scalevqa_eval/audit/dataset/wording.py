"""What one question gives away: about itself, and about the others on the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scalevqa_eval.audit.dataset.noting import counted, note
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.tokens import tokens
from scalevqa_eval.types import Question

_LONG_ENOUGH = 3  # words of an option that a question can be said to quote
_COMPARED = 30  # other questions on the same images


def given_away(questions: Sequence[Question]) -> list[Finding]:
    """Right options quoted in their own question, or by another question on the same images."""
    words = {id(q): _padded(q.text) for q in questions}
    own = [q for q in questions if not q.is_open and _only_right_in(q, words[id(q)])]
    wrong = [q for q in questions if not q.is_open and _only_wrong_in(q, words[id(q)])]
    found = []
    if own:
        found.append(
            note("answer-in-question", "error" if len(own) > 2 * len(wrong) else "warning",
                 (q.id for q in own),
                 "{n} quote their right option, and no other option, in the question text "
                 f"({len(wrong):,} quote wrong options alone).", {"wrong_quoted": len(wrong)})
        )  # fmt: skip
    return found + _by_siblings(questions, words)


def _by_siblings(questions: Sequence[Question], words: dict[int, str]) -> list[Finding]:
    sets: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        if question.views and not question.is_open:
            sets.setdefault(tuple(sorted(question.image_set)), []).append(question)
    quoted: list[tuple[str, str]] = []
    agreeing: list[tuple[str, str]] = []
    for members in sets.values():
        for question in members:
            others = [other for other in members if other is not question][:_COMPARED]
            asked = next((o for o in others if _only_right_in(question, words[id(o)])), None)
            if asked is not None:
                quoted.append((question.id, asked.id))
                continue
            answer = _padded(question.options[question.answer])
            same = next(
                (o for o in others
                 if _counts(answer) and _padded(o.options[o.answer]) == answer
                 and _padded(o.text) != words[id(question)]), None,
            )  # fmt: skip
            if same is not None:
                agreeing.append((question.id, same.id))
    found = []
    if quoted:
        found.append(
            note("answered-by-sibling", "warning", (id_ for id_, _ in quoted),
                 "{n} have their right option, and no other, quoted in another question on the "
                 "same images (the probe sibling-cues measures what that is worth).",
                 {"pairs": [list(pair) for pair in quoted[:100]]})
        )  # fmt: skip
    if agreeing:
        found.append(
            note("same-answer-on-set", "note", (id_ for id_, _ in agreeing),
                 "{n} have the same right option as another question on the same images.",
                 {"pairs": [list(pair) for pair in agreeing[:100]]})
        )  # fmt: skip
    return found


def _padded(text: str) -> str:
    return f" {' '.join(tokens(text))} "


def _counts(padded: str) -> bool:
    return len(padded.split()) >= _LONG_ENOUGH


def _quoted(question: Question, text: str) -> list[str]:
    """Letters of the options that a text quotes in full."""
    options = {letter: _padded(option) for letter, option in question.options.items()}
    return [letter for letter, option in options.items() if _counts(option) and option in text]


def _only_right_in(question: Question, text: str) -> bool:
    return _quoted(question, text) == [question.answer]


def _only_wrong_in(question: Question, text: str) -> bool:
    quoted = _quoted(question, text)
    return bool(quoted) and question.answer not in quoted


def views_and_sets(questions: Sequence[Question]) -> list[Finding]:
    """Views that are missing where others have them; files shown twice; sets asked about often."""
    with_views = [q for q in questions if q.views]
    found: list[Finding] = []
    if not with_views:
        return [note("no-views", "note", [], "No question has images: it is a benchmark of text.")]
    if len(with_views) < len(questions):
        found.append(
            note("without-images", "warning", (q.id for q in questions if not q.views),
                 "{n} have no image, though others have.")
        )  # fmt: skip
    scales = Counter(view.scale for q in with_views for view in q.views)
    for scale, number in sorted(scales.items()):
        lacking = [q for q in with_views if all(view.scale != scale for view in q.views)]
        if lacking and scale != "single" and number * 2 > len(with_views):
            where = Counter(q.dimension for q in lacking)
            found.append(
                note("missing-view", "note", (q.id for q in lacking),
                     f"{{n}} have no {scale} view: conditions on it do not apply to them.",
                     {"scale": scale, "by_dimension": dict(sorted(where.items()))})
            )  # fmt: skip
    double = [q for q in with_views if len(set(q.image_set)) < len(q.image_set)]
    if double:
        found.append(
            note("view-repeated", "error", (q.id for q in double),
                 "{n} show the same file as two views: one scale is no magnification of the other.")
        )  # fmt: skip
    sets = Counter(tuple(sorted(q.image_set)) for q in with_views)
    most = max(sets.values())
    shared = {key for key, number in sets.items() if number > 1}
    if shared:
        found.append(
            note("shared-image-set", "note",
                 (q.id for q in with_views if tuple(sorted(q.image_set)) in shared),
                 f"{{n}} share their images with others: {counted(len(shared), 'image set')}, up "
                 f"to {most} questions each. A model that sees several at once can compare them.",
                 {"sets": len(shared), "most": most})
        )  # fmt: skip
    return found
