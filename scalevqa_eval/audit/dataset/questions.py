"""What is wrong with questions by themselves, and with those on the same images."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from scalevqa_eval.audit.findings import LISTED, Finding, counted
from scalevqa_eval.audit.tokens import tokens
from scalevqa_eval.types import SCALES, Question

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
            "images (the rule sibling-support measures what that is worth).",
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


_CORNERS = (
    re.compile(r"(?P<y>\d{1,9})y[_.,-]?(?P<x>\d{1,9})x", re.IGNORECASE),
    re.compile(r"x[_=]?(?P<x>\d{1,9})[_.,-]?y[_=]?(?P<y>\d{1,9})", re.IGNORECASE),
)
_MOST = 0.8  # of the questions with several views must have readable names
_FEWEST = 20
_BEYOND = 1.25  # times the usual largest distance
_BEFORE = 0.1


def views_and_sets(questions: Sequence[Question]) -> list[Finding]:
    """Views that are missing where others have them; files shown twice; sets asked about often."""
    with_views = [q for q in questions if q.views]
    if not with_views:
        return [Finding("no-views", "note", "No question has images: it is a benchmark of text.")]
    found = [
        Finding.about((q.id for q in questions if not q.views), "without-images", "warning",
                      "{n} have no image, though others have.")
    ]  # fmt: skip
    scales = Counter(scale for q in with_views for scale in {view.scale for view in q.views})
    for scale in sorted(scales):
        if scale == "single" or scales[scale] * 2 <= len(with_views):
            continue
        lacking = [q for q in with_views if all(view.scale != scale for view in q.views)]
        where = Counter(q.dimension for q in lacking)
        found.append(
            Finding.about((q.id for q in lacking), "missing-view", "note",
                          f"{{n}} have no {scale} view: conditions on it do not apply to them.",
                          {"scale": scale, "by_dimension": dict(sorted(where.items()))})
        )  # fmt: skip
    sets = Counter(tuple(sorted(q.image_set)) for q in with_views)
    shared = {key for key, number in sets.items() if number > 1}
    return [
        *found,
        Finding.about((q.id for q in with_views if len(set(q.image_set)) < len(q.image_set)),
                      "view-repeated", "error",
                      "{n} show the same file as two views: one scale is no magnification of the "
                      "other."),
        Finding.about(
            (q.id for q in with_views if tuple(sorted(q.image_set)) in shared),
            "shared-image-set", "note",
            f"{{n}} share their images with others: {counted(len(shared), 'image set')}, up "
            f"to {max(sets.values())} questions each. A model that sees several at once can "
            "compare them.", {"sets": len(shared), "most": max(sets.values())},
        ),
    ]  # fmt: skip


def misplaced_views(questions: Sequence[Question]) -> list[Finding]:
    """Views that do not lie in the next wider one; nothing where names give no coordinates."""
    pairs = [pair for question in questions for pair in _pairs(question)]
    several = sum(len(question.views) > 1 for question in questions)
    if several < _FEWEST or len({question.id for question, *_ in pairs}) < _MOST * several:
        return []
    found = []
    for wide, narrow in pairwise(SCALES):
        chosen = [(q, offset) for q, a, b, offset in pairs if (a, b) == (wide, narrow)]
        if len(chosen) < _FEWEST:
            continue
        offsets = np.array([offset for _, offset in chosen], dtype=np.float64)
        usual = float(np.quantile(np.abs(offsets).max(1), 0.9))
        outside = (offsets.max(1) > _BEYOND * usual) | (offsets.min(1) < -_BEFORE * usual)
        outliers = [chosen[k] for k in np.flatnonzero(outside)] if usual > 0 else []
        found.append(
            Finding.about(
                (q.id for q, _ in outliers), "misplaced-view", "warning",
                f"{{n}} have a {narrow} view that does not lie in their {wide} view, by the "
                "coordinates in the file names.",
                {"usual_distance": round(usual), "compared": len(chosen),
                 "offsets": {q.id: list(offset) for q, offset in outliers[:LISTED]}},
            )
        )  # fmt: skip
    return found


def _pairs(question: Question) -> Iterator[tuple[Question, str, str, tuple[int, int]]]:
    """Neighbouring scales with the offset (x, y) of the narrower corner."""
    views = sorted(question.views, key=lambda view: SCALES.index(view.scale))
    for wide, narrow in pairwise(views):
        one, two = _corner(wide.image), _corner(narrow.image)
        if one is not None and two is not None and wide.scale != narrow.scale:
            yield question, wide.scale, narrow.scale, (two[0] - one[0], two[1] - one[1])


def _corner(image: str) -> tuple[int, int] | None:
    name = PurePosixPath(image).name
    match = next(filter(None, (form.search(name) for form in _CORNERS)), None)
    return (int(match["x"]), int(match["y"])) if match else None
