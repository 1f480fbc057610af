"""Is each view a part of the wider one? Read off file names that give the tile's corner.

Names such as `10_35.36304y_18152x.jpg` give the upper left corner in pixels of the slide. Wider
views lie around narrower ones, so that the narrower corner is right of and below the wider one,
and by no more than the wider view's side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from scalevqa_eval.audit.dataset.noting import note
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.types import SCALES, Question

_FORMS = (
    re.compile(r"(?P<y>\d{1,9})y[_.,-]?(?P<x>\d{1,9})x", re.IGNORECASE),
    re.compile(r"x[_=]?(?P<x>\d{1,9})[_.,-]?y[_=]?(?P<y>\d{1,9})", re.IGNORECASE),
)
_MOST = 0.8  # of the questions with several views must have readable names
_FEWEST = 20
_BEYOND = 1.25  # times the usual largest distance
_BEFORE = 0.1


def misplaced_views(questions: Sequence[Question]) -> list[Finding]:
    """Views that do not lie in the next wider one; nothing where names give no coordinates."""
    pairs = [pair for question in questions for pair in _pairs(question)]
    several = sum(len(question.views) > 1 for question in questions)
    readable = {question.id for question, *_ in pairs}
    if several < _FEWEST or len(readable) < _MOST * several:
        return []
    found = []
    for wide, narrow in pairwise(SCALES):
        chosen = [(q, offset) for q, a, b, offset in pairs if (a, b) == (wide, narrow)]
        if len(chosen) < _FEWEST:
            continue
        offsets = np.array([offset for _, offset in chosen], dtype=np.float64)
        usual = float(np.quantile(np.abs(offsets).max(1), 0.9))
        if usual <= 0:
            continue
        beyond = offsets.max(1) > _BEYOND * usual
        before = offsets.min(1) < -_BEFORE * usual
        outliers = [chosen[k] for k in np.flatnonzero(beyond | before)]
        if outliers:
            found.append(
                note("misplaced-view", "warning", (q.id for q, _ in outliers),
                     f"{{n}} have a {narrow} view that does not lie in their {wide} view, by the "
                     "coordinates in the file names.",
                     {"usual_distance": round(usual), "compared": len(chosen),
                      "offsets": {q.id: list(offset) for q, offset in outliers[:100]}})
            )  # fmt: skip
    return found


Pair = tuple[Question, str, str, tuple[int, int]]


def _pairs(question: Question) -> Iterator[Pair]:
    """Neighbouring scales with the offset (x, y) of the narrower corner."""
    views = sorted(question.views, key=lambda view: SCALES.index(view.scale))
    for wide, narrow in pairwise(views):
        one, two = _corner(wide.image), _corner(narrow.image)
        if one is not None and two is not None and wide.scale != narrow.scale:
            yield question, wide.scale, narrow.scale, (two[0] - one[0], two[1] - one[1])


def _corner(image: str) -> tuple[int, int] | None:
    name = PurePosixPath(image).name
    for form in _FORMS:
        match = form.search(name)
        if match is not None:
            return int(match["x"]), int(match["y"])
    return None
