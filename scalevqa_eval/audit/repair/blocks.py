"""Latin option blocks: K questions share one set of options, and each option is right once.

A block takes K questions from K slides that ask the same: of one dimension, in nearly the same
words, with right answers of one kind. All get the same wording (that of one of them) and the same
options in the same order, namely their K right answers. Whoever reads the text only gives the same
answer to all K, and is right for exactly one: by design, whatever was learned. The same K places
make blocks in all their dimensions, so that the other questions on the same images give nothing
away either. Slides are dealt to groups first and no block crosses a group, so that groups can be
folds: who has learned three answers of a block would know the fourth.

The borrowed options must be false for the images: an expert has to confirm that.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scalevqa_eval.audit.crossval import make_folds
from scalevqa_eval.audit.tokens import normalise, tokens
from scalevqa_eval.types import LETTERS, Question

_MOST_GROUPS = 5
_SAME_WORDING = 0.6  # cosine of the weighted words of two questions that ask the same
_SAME_ANSWER = 0.6  # right answers more alike than this may both be true of one slide
_LENGTHS = 3.0  # times as many words: no longer an answer of the same kind
_TRIES = 12
_LOOKED_AT = 8  # places of a slide that are weighed: bounds the time
_WORTH = 0.9  # of what the best number of groups keeps; more groups are better folds

_Place = dict[str, list[Question]]  # the questions on one set of images, by dimension
_Fits = Callable[[Question, Question], bool]


@dataclass(frozen=True, slots=True)
class Block:
    """`members[k]` has the right answer that stands at letter k; `wording` is for all of them."""

    id: str
    group: int
    members: tuple[Question, ...]

    @property
    def wording(self) -> str:
        """The member's question that is most like the others'."""
        return max(
            (member.text for member in self.members),
            key=lambda text: (sum(_overlap(text, m.text) for m in self.members), text),
        )

    @property
    def options(self) -> dict[str, str]:
        answers = (member.options[member.answer] for member in self.members)
        return dict(zip(LETTERS, answers, strict=False))

    @property
    def borrowed(self) -> int:
        """How many options a reviewer has to confirm."""
        return len(self.members) * (len(self.members) - 1)

    def questions(self) -> tuple[Question, ...]:
        """The members with the block's wording and options."""
        new = {"block": self.id, "slide_group": f"group-{self.group}"}
        return tuple(
            replace(member, text=self.wording, options=self.options, answer=letter,
                    extra={**member.extra, **new})
            for letter, member in zip(LETTERS, self.members, strict=False)
        )  # fmt: skip


def build_blocks(
    questions: Sequence[Question], clusters: Sequence[str], *, seed: int
) -> tuple[Block, ...]:
    """As many blocks as a search finds. Questions in none of them are to be left out.

    `clusters` has the slide of each question. The same questions and seed give the same blocks.
    """
    size = min((len(q.options) for q in questions), default=2)
    most = max(1, min(_MOST_GROUPS, len(set(clusters)) // size))
    fits = _fitting(questions)
    found = [
        _in_groups(questions, clusters, count, seed, fits)
        for count in range(most, min(most, 2) - 1, -1)
    ]
    kept = [sum(len(block.members) for block in blocks) for blocks in found]
    return next(b for b, number in zip(found, kept, strict=True) if number >= _WORTH * max(kept))


def _in_groups(
    questions: Sequence[Question], clusters: Sequence[str], count: int, seed: int, fits: _Fits
) -> tuple[Block, ...]:
    fold = make_folds(clusters, count, seed) if count > 1 else [0] * len(clusters)
    places: dict[tuple[int, int], dict[str, dict[tuple[str, ...], _Place]]] = {}
    for i in sorted(range(len(questions)), key=lambda i: questions[i].id):
        question = questions[i]
        piles = places.setdefault((int(fold[i]), len(question.options)), {})
        key = tuple(sorted(question.image_set)) or (question.id,)
        place = piles.setdefault(clusters[i], {}).setdefault(key, {})
        place.setdefault(question.dimension, []).append(question)
    blocks: list[Block] = []
    for (group, size), piles in sorted(places.items()):
        chance = random.Random(f"{seed}/{group}/{size}")
        left = {slide: list(pile.values()) for slide, pile in sorted(piles.items())}
        tries = [_deal(left, size, chance, fits) for _ in range(_TRIES)]
        for members in max(tries, key=len):
            shuffled = chance.sample(members, len(members))
            blocks.append(Block(f"block-{len(blocks) + 1:04d}", group, tuple(shuffled)))
    return tuple(blocks)


def _deal(
    piles: Mapping[str, Sequence[_Place]], size: int, chance: random.Random, fits: _Fits
) -> list[list[Question]]:
    """Blocks from places, of `size` slides each: the largest piles first, as one deals evenly.

    All dimensions of the places that are joined make blocks together, so that what the other
    questions on the same images say is the same for all members, too.
    """
    left = {slide: chance.sample(list(pile), len(pile)) for slide, pile in piles.items()}
    blocks: list[list[Question]] = []
    while sum(bool(pile) for pile in left.values()) >= size:
        order = sorted((s for s in left if left[s]), key=lambda s: (-len(left[s]), chance.random()))
        joined, used = [left[order[0]].pop()], {order[0]}
        while len(joined) < size and _rows(joined, fits):
            rest = [slide for slide in order if slide not in used][: 3 * size]
            offers = [
                (len(_rows([*joined, place], fits)), -order.index(slide), slide, place)
                for slide in rest for place in left[slide][-_LOOKED_AT:]
            ]  # fmt: skip
            number, _, slide, place = max(offers, key=lambda offer: offer[:2])
            if not number:
                break
            joined.append(place)
            used.add(slide)
            left[slide] = [other for other in left[slide] if other is not place]
        if len(joined) == size:
            blocks += _rows(joined, fits)
    return blocks


def _rows(places: Sequence[_Place], fits: _Fits) -> list[list[Question]]:
    """One question of each place, of one dimension, that may share a block: all there are."""
    rows = []
    for dimension in sorted(set.intersection(*(set(place) for place in places))):
        for members in zip(*(place[dimension] for place in places), strict=False):
            if all(fits(q, other) for k, q in enumerate(members) for other in members[:k]):
                rows.append(list(members))
    return rows


def _fitting(questions: Sequence[Question]) -> _Fits:
    """Whether two questions ask the same, and their answers are of one kind but differ.

    The same is asked where the TF-IDF cosine of the two sets of words is large: rare words weigh
    most, for "capital of Maine" and "capital of Ohio" ask for other things, and paraphrases differ
    in words that others use, too. One word for another in the same place ("Is cedar a tree?", "Is
    cedar a rock?") makes another question, however common it is.
    """
    said = {text: tokens(text) for text in {q.text for q in questions}}
    number = Counter(word for q in questions for word in set(said[q.text]))
    weight = {word: (math.log(len(questions) / n) + 1) ** 2 for word, n in number.items()}

    def total(words: Iterable[str]) -> float:
        return sum(weight[word] for word in words)

    @lru_cache(maxsize=200_000)
    def wording(one: str, two: str) -> float:
        first, second = said[one], said[two]
        a, b = set(first), set(second)
        if a == b:
            return 1.0
        if len(first) == len(second) and sum(map(str.__ne__, first, second)) == 1:
            return 0.0
        return total(a & b) / math.sqrt(total(a) * total(b)) if a & b else 0.0

    def fits(one: Question, two: Question) -> bool:
        mine, theirs = one.options[one.answer], two.options[two.answer]
        return (
            wording(one.text, two.text) >= _SAME_WORDING
            and _one_kind(mine, theirs)
            and not _same_answer(mine, theirs)
        )

    return fits


@lru_cache(maxsize=200_000)
def _overlap(one: str, two: str) -> float:
    a, b = set(tokens(one)), set(tokens(two))
    return len(a & b) / len(a | b) if a | b else 1.0


@lru_cache(maxsize=200_000)
def _one_kind(one: str, two: str) -> bool:
    """Both a number, or neither; of comparable length."""
    short, long = sorted((len(tokens(one)), len(tokens(two))))
    digits = [any(c.isdigit() for c in text) and len(tokens(text)) <= 3 for text in (one, two)]
    return digits[0] == digits[1] and long <= _LENGTHS * max(short, 1)


@lru_cache(maxsize=200_000)
def _same_answer(one: str, two: str) -> bool:
    if normalise(one) == normalise(two):
        return True
    a, b = set(tokens(one)), set(tokens(two))
    return bool(a and b) and (_overlap(one, two) >= _SAME_ANSWER or a <= b or b <= a)
