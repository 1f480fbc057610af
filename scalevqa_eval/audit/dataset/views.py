"""Views that are missing, shown twice, or outside the wider one; sets that are asked about often.

Where a view lies is read off file names that give the tile's upper left corner in pixels of the
slide, such as `10_35.36304y_18152x.jpg`. Wider views lie around narrower ones: the narrower corner
is right of and below the wider one, and by no more than the wider view's side.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from scalevqa_eval.audit.findings import LISTED, Finding, counted
from scalevqa_eval.types import SCALES, Question

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
