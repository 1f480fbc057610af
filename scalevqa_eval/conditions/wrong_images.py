"""Whose images a question gets under the condition `wrong-images`: a seeded derangement."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import SCALES, Benchmark, Question, View

Views = tuple[View, ...]
Scales = tuple[str, ...]

# The last tables made, newest last. The questions are held so that their id() stays theirs.
_TABLES: list[tuple[tuple[Question, ...], int, Table]] = []
_KEPT = 4


@dataclass(frozen=True, slots=True)
class ImageSet:
    """All images of one question, in order of scale, and the slide they are of."""

    slide: str
    views: Views

    @property
    def scales(self) -> Scales:
        return tuple(view.scale for view in self.views)

    @property
    def images(self) -> frozenset[str]:
        return frozenset(view.image for view in self.views)


Table = dict[ImageSet, ImageSet]


def wrong_views(question: Question, benchmark: Benchmark, seed: int) -> Views:
    """Views of another slide for `question`, of the same scales where there are such.

    With one slide only, another image set of it. Raises UsageError if there is none.
    """
    own = image_set(question)
    table = _table(benchmark, seed)
    donor = table.get(own) or _pick(own, list(table), seed)
    if donor is None:
        raise UsageError(
            f"wrong-images needs at least two different sets of images, and {benchmark.name} "
            f"({len(benchmark.questions)} questions) has no other for question {question.id!r}: "
            "take more questions or the condition blank-images"
        )
    return _same_scales(donor, own)


def image_set(question: Question) -> ImageSet:
    """The image set of a question. An unknown slide is taken as one of its own."""
    views = tuple(sorted(question.views, key=lambda view: (SCALES.index(view.scale), view.image)))
    slide = question.slide if question.slide is not None else "\x1f".join(v.image for v in views)
    return ImageSet(slide, views)


def _table(benchmark: Benchmark, seed: int) -> Table:
    for questions, made_with, table in _TABLES:
        if questions is benchmark.questions and made_with == seed:
            return table
    table = _derange({image_set(q) for q in benchmark.questions if q.views}, seed)
    _TABLES.append((benchmark.questions, seed, table))
    del _TABLES[:-_KEPT]
    return table


def _derange(sets: set[ImageSet], seed: int) -> Table:
    """A donor for each set: a cyclic shift inside each group of equal scales.

    Sets stand by slide in a seeded order; a shift by the size of the largest slide never lands on
    the same slide if no slide has more than half of the sets. Where one has, or where
    images are shared between slides, the donor is picked from all other sets.
    """
    table: Table = {}
    everything = sorted(sets, key=lambda one: _rank(seed, one.slide, *map(_key, one.views)))
    for scales in sorted({one.scales for one in sets}):
        group = [one for one in everything if one.scales == scales]
        group.sort(key=lambda one: (_rank(seed, one.slide), one.slide))
        shift = max(Counter(one.slide for one in group).values())
        for place, own in enumerate(group):
            donor: ImageSet | None = group[(place + shift) % len(group)]
            if donor is None or donor.slide == own.slide or donor.images & own.images:
                donor = _pick(own, everything, seed)
            if donor is not None:
                table[own] = donor
    return table


def _pick(own: ImageSet, sets: list[ImageSet], seed: int) -> ImageSet | None:
    """The best other set: another slide, then most of the scales, then by lot."""
    others = [one for one in sets if not one.images & own.images]
    others = [one for one in others if one.slide != own.slide] or others
    if not others:
        return None

    def worth(one: ImageSet) -> tuple[int, int, str]:
        missing = (Counter(own.scales) - Counter(one.scales)).total()
        extra = (Counter(one.scales) - Counter(own.scales)).total()
        lot = _rank(seed, *map(_key, own.views), "for", *map(_key, one.views))
        return missing, extra, lot

    return min(others, key=worth)


def _same_scales(donor: ImageSet, own: ImageSet) -> Views:
    """The donor's views of the scales that `own` has; all of them if it has none of these."""
    wanted = Counter(own.scales)
    views = []
    for view in donor.views:
        if wanted[view.scale] > 0:
            wanted[view.scale] -= 1
            views.append(view)
    return tuple(views) or donor.views


def _key(view: View) -> str:
    return f"{view.scale}:{view.image}"


def _rank(seed: int, *key: str) -> str:
    text = "\x1f".join((str(seed), "wrong-images", *key))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
