"""What a condition leaves to chance: orders of options and views, and whose images are wrong.

All of it follows from the seed and a key, such as a question's id, on every platform.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import SCALES, Benchmark, Question, View

Views = tuple[View, ...]


def _digest(seed: int, *key: str) -> bytes:
    """sha256 of the seed and a key: chance that is the same on every platform."""
    text = "\x1f".join((str(seed), *key))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def permutation(count: int, index: int, seed: int, *key: str) -> tuple[int, ...]:
    """The `index`-th reordering of `range(count)` for this seed and key.

    Entry i says which old place comes to place i. Never the identity (for two places or more),
    and no repetition before all `count! - 1` others were used.
    """
    others = math.factorial(count) - 1
    if others < 1:
        return tuple(range(count))
    generator = random.Random(_digest(seed, "permutation", *key))
    start = generator.randrange(others)
    step = generator.randrange(1, others + 1)
    while math.gcd(step, others) != 1:
        step = step % others + 1
    rank = 1 + (start + index * step) % others
    left = list(range(count))
    result = []
    for size in range(count, 0, -1):
        place, rank = divmod(rank, math.factorial(size - 1))
        result.append(left.pop(place))
    return tuple(result)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """All images of one question, in order of scale, and the slide they are of."""

    slide: str
    views: Views

    @classmethod
    def of(cls, question: Question) -> ImageSet:
        """The image set of a question. An unknown slide is taken as one of its own."""
        views = sorted(question.views, key=lambda view: (SCALES.index(view.scale), view.image))
        slide = question.slide
        own = "\x1f".join(view.image for view in views) if slide is None else slide
        return cls(own, tuple(views))

    @property
    def scales(self) -> tuple[str, ...]:
        return tuple(view.scale for view in self.views)

    def apart(self, other: ImageSet) -> bool:
        return not {view.image for view in self.views} & {view.image for view in other.views}

    def rank(self, seed: int) -> bytes:
        keys = (f"{view.scale}:{view.image}" for view in self.views)
        return _digest(seed, "wrong-images", self.slide, *keys)


class Donors:
    """Whose images each image set gets: a derangement within each group of equal scales.

    In a group, sets stand by slide in a seeded order. A shift by the size of the largest slide
    uses each set once, and lands on another slide if no slide has more than half of the sets.
    Where one has, its sets go round those of the other slides; where no set of another slide is
    left, the group whose scales are nearest gives one, and at last the slide itself.
    """

    def __init__(self, questions: Sequence[Question], seed: int) -> None:
        self._seed = seed
        self._groups: dict[tuple[str, ...], list[ImageSet]] = defaultdict(list)
        self._places: dict[ImageSet, int] = {}
        # By group and slide: where its block begins, and how many sets it has.
        self._blocks: dict[tuple[tuple[str, ...], str], tuple[int, int]] = {}
        self._shift: dict[tuple[str, ...], int] = {}
        sets = {ImageSet.of(question) for question in questions if question.views}
        slides = {one.slide: _digest(seed, "wrong-images", one.slide) for one in sets}
        for one in sorted(sets, key=lambda one: (slides[one.slide], one.slide, one.rank(seed))):
            group = self._groups[one.scales]
            first, size = self._blocks.get((one.scales, one.slide), (len(group), 0))
            self._blocks[one.scales, one.slide] = first, size + 1
            self._shift[one.scales] = max(self._shift.get(one.scales, 0), size + 1)
            self._places[one] = len(group)
            group.append(one)

    def of(self, own: ImageSet) -> ImageSet | None:
        """The donor of a set, which need not be one of those known; None if there is none."""
        place = self._places.get(own)
        if place is not None:
            group = self._groups[own.scales]
            donor = group[(place + self._shift[own.scales]) % len(group)]
            if donor.slide != own.slide and donor.apart(own):
                return donor
        else:
            place = int.from_bytes(own.rank(self._seed)[:8], "big")
        wanted = Counter(own.scales)

        def distance(scales: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
            given = Counter(scales)
            return (wanted - given).total(), (given - wanted).total(), scales

        nearest = sorted(self._groups, key=distance)
        for same_slide in (False, True):
            for scales in nearest:
                group = self._groups[scales]
                first, size = self._blocks.get((scales, own.slide), (0, 0))
                begin, count = (first, size) if same_slide else (first + size, len(group) - size)
                for step in range(count):
                    donor = group[(begin + (place - first + step) % count) % len(group)]
                    if donor.apart(own):
                        return donor
        return None


# The last ones made. The questions are held so that they stay the same object.
_made: deque[tuple[Sequence[Question], int, Donors]] = deque(maxlen=4)


def _donors(questions: Sequence[Question], seed: int) -> Donors:
    for known, made_with, donors in _made:
        if known is questions and made_with == seed:
            return donors
    donors = Donors(questions, seed)
    _made.append((questions, seed, donors))
    return donors


def wrong_views(question: Question, benchmark: Benchmark, seed: int) -> Views:
    """Views of another slide for `question`, of the same scales where there are such.

    With one slide only, another image set of it. Raises UsageError if there is none.
    """
    own = ImageSet.of(question)
    donor = _donors(benchmark.questions, seed).of(own)
    if donor is None:
        raise UsageError(
            f"wrong-images needs at least two different sets of images, and {benchmark.name} "
            f"({len(benchmark.questions)} questions) has no other for question {question.id!r}: "
            "take more questions or the condition blank-images"
        )
    wanted, views = Counter(own.scales), []
    for view in donor.views:
        if wanted[view.scale] > 0:
            wanted[view.scale] -= 1
            views.append(view)
    return tuple(views) or donor.views
