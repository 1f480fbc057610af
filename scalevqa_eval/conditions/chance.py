"""What a condition leaves to chance: orders of options and views, and whose images are wrong.

All of it follows from the seed and a key, such as a question's id, on every platform.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

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


class ImageSet(NamedTuple):
    """All images of one question, in order of scale, and the slide they are of."""

    slide: str
    views: Views

    @classmethod
    def of(cls, question: Question) -> ImageSet:
        """The image set of a question. An unknown slide is taken as one of its own."""
        views = sorted(question.views, key=lambda view: (SCALES.index(view.scale), view.image))
        own = "\x1f".join(view.image for view in views)
        return cls(own if question.slide is None else question.slide, tuple(views))

    @property
    def scales(self) -> tuple[str, ...]:
        return tuple(view.scale for view in self.views)

    def apart(self, other: ImageSet) -> bool:
        return not {view.image for view in self.views} & {view.image for view in other.views}


class Donors:
    """Whose images each image set gets: a derangement within each group of equal scales.

    In a group, sets stand by slide in a seeded order. A shift by the size of the largest slide
    uses each set once, and lands on another slide if no slide has more than half of the sets.
    Where one has, its sets go round those of the other slides; where no set of another slide is
    left, the group whose scales are nearest gives one, and at last the slide itself.
    """

    def __init__(self, questions: Sequence[Question], seed: int) -> None:
        def order(one: ImageSet) -> tuple[bytes, str, bytes]:
            keys = (f"{view.scale}:{view.image}" for view in one.views)
            slide = _digest(seed, "wrong-images", one.slide)
            return slide, one.slide, _digest(seed, "wrong-images", one.slide, *keys)

        self._groups: dict[tuple[str, ...], list[ImageSet]] = defaultdict(list)
        for one in sorted({ImageSet.of(q) for q in questions if q.views}, key=order):
            self._groups[one.scales].append(one)
        self._places = {one: n for group in self._groups.values() for n, one in enumerate(group)}
        # By group and slide: where its block begins, and how many sets it has.
        self._blocks: dict[tuple[tuple[str, ...], str], tuple[int, int]] = {}
        self._shifts: dict[tuple[str, ...], int] = {}
        for scales, group in self._groups.items():
            sizes, first = Counter(one.slide for one in group), 0
            self._shifts[scales] = max(sizes.values())
            for slide, size in sizes.items():
                self._blocks[scales, slide] = first, size
                first += size

    def of(self, own: ImageSet) -> ImageSet | None:
        """The donor of a set; None if there is none."""
        place, group = self._places[own], self._groups[own.scales]
        donor = group[(place + self._shifts[own.scales]) % len(group)]
        if donor.slide != own.slide and donor.apart(own):
            return donor
        wanted = Counter(own.scales)

        def distance(scales: tuple[str, ...]) -> tuple[int, int, tuple[str, ...]]:
            given = Counter(scales)
            return (wanted - given).total(), (given - wanted).total(), scales

        nearest = sorted(self._groups, key=distance)
        for same_slide in (False, True):
            for scales in nearest:
                group = self._groups[scales]
                first, size = self._blocks.get((scales, own.slide), (0, 0))
                inside = slice(first, first + size)
                others = group[inside] if same_slide else group[first + size :] + group[:first]
                for step in range(len(others)):
                    donor = others[(place - first + step) % len(others)]
                    if donor.apart(own):
                        return donor
        return None


# The last ones made. The questions are held so that they stay the same object.
_made: deque[tuple[Sequence[Question], int, Donors]] = deque(maxlen=4)


def wrong_views(question: Question, benchmark: Benchmark, seed: int) -> Views:
    """Views of another slide for a question of the benchmark, of the same scales if there are such.

    With one slide only, another image set of it. Raises UsageError if there is none.
    """
    asked = benchmark.questions
    donors = next((d for known, made, d in _made if known is asked and made == seed), None)
    if donors is None:
        donors = Donors(asked, seed)
        _made.append((asked, seed, donors))
    own = ImageSet.of(question)
    donor = donors.of(own)
    if donor is None:
        raise UsageError(
            f"wrong-images needs at least two different sets of images, and {benchmark.name} "
            f"({len(asked)} questions) has no other for question {question.id!r}: "
            "take more questions or the condition blank-images"
        )
    wanted, views = Counter(own.scales), []
    for view in donor.views:
        if wanted[view.scale] > 0:
            wanted[view.scale] -= 1
            views.append(view)
    return tuple(views) or donor.views
