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

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scalevqa_eval.audit.crossval import make_folds
from scalevqa_eval.audit.tokens import normalise, tokens
from scalevqa_eval.statistics import Interval, wilson
from scalevqa_eval.types import LETTERS, Question

_MOST_GROUPS = 5
_SAME_WORDING = 0.5  # Jaccard similarity of the words of two questions that ask the same
_SAME_ANSWER = 0.6  # right answers more alike than this may both be true of one slide
_LENGTHS = 3.0  # times as many words: no longer an answer of the same kind
_TRIES = 12
_LOOKED_AT = 8  # places of a slide that are weighed: bounds the time
_WORTH = 0.9  # of what the best number of groups keeps; more groups are better folds


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
    found = [
        _in_groups(questions, clusters, count, seed) for count in range(most, min(most, 2) - 1, -1)
    ]
    enough = _WORTH * max(map(_kept, found))
    return next(blocks for blocks in found if _kept(blocks) >= enough)


def _kept(blocks: Sequence[Block]) -> int:
    return sum(len(block.members) for block in blocks)


_Place = dict[str, list[Question]]  # the questions on one set of images, by dimension


def _in_groups(
    questions: Sequence[Question], clusters: Sequence[str], count: int, seed: int
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
        tries = [_deal(left, size, chance) for _ in range(_TRIES)]
        for members in max(tries, key=len):
            shuffled = chance.sample(members, len(members))
            blocks.append(Block(f"block-{len(blocks) + 1:04d}", group, tuple(shuffled)))
    return tuple(blocks)


def _deal(
    piles: Mapping[str, Sequence[_Place]], size: int, chance: random.Random
) -> list[list[Question]]:
    """Blocks from places, of `size` slides each: the largest piles first, as one deals evenly.

    All dimensions of the places that are joined make blocks together, so that what the other
    questions on the same images say is the same for all members, too.
    """
    left = {slide: chance.sample(list(pile), len(pile)) for slide, pile in piles.items()}
    blocks: list[list[Question]] = []
    while sum(bool(pile) for pile in left.values()) >= size:
        order = sorted((s for s in left if left[s]), key=lambda s: (-len(left[s]), chance.random()))
        joined = [left[order[0]].pop()]
        best = _rows(joined)
        used = {order[0]}
        while len(joined) < size and best:
            rest = [slide for slide in order if slide not in used][: 3 * size]
            offers = [(slide, place) for slide in rest for place in left[slide][-_LOOKED_AT:]]
            found = [(len(_rows([*joined, place])), slide, place) for slide, place in offers]
            if not found:
                break
            number, slide, place = max(found, key=lambda offer: (offer[0], -order.index(offer[1])))
            if not number:
                break
            joined.append(place)
            used.add(slide)
            left[slide] = [other for other in left[slide] if other is not place]
            best = _rows(joined)
        if len(joined) == size:
            blocks += best
    return blocks


def _rows(places: Sequence[_Place]) -> list[list[Question]]:
    """One question of each place, of one dimension, that may share a block: all there are."""
    rows = []
    for dimension in sorted(set.intersection(*(set(place) for place in places))):
        for members in zip(*(place[dimension] for place in places), strict=False):
            if all(_fits(q, other) for k, q in enumerate(members) for other in members[:k]):
                rows.append(list(members))
    return rows


def _fits(one: Question, two: Question) -> bool:
    """Whether two questions ask the same, and their answers are of one kind but differ."""
    mine, theirs = one.options[one.answer], two.options[two.answer]
    return (
        _overlap(one.text, two.text) >= _SAME_WORDING
        and _one_kind(mine, theirs)
        and not _alike(mine, theirs)
    )


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
def _alike(one: str, two: str) -> bool:
    if normalise(one) == normalise(two):
        return True
    a, b = set(tokens(one)), set(tokens(two))
    return bool(a and b) and (_overlap(one, two) >= _SAME_ANSWER or a <= b or b <= a)


@dataclass(frozen=True, slots=True)
class BlockAccuracy:
    """Blocks with all questions right; the interval counts blocks as independent (Wilson)."""

    right: int
    blocks: int
    interval: Interval


def block_accuracy(scores: Mapping[str, float], blocks: Mapping[str, str]) -> BlockAccuracy:
    """How many blocks have all their questions right.

    `scores` maps question ids to 1 or 0, `blocks` to the block (`extra["block"]`, or `block` in
    changes.json). A block with an unanswered question raises ValueError that names it.
    """
    whole: dict[str, bool] = {}
    for id_, block in blocks.items():
        if id_ not in scores:
            raise ValueError(f"question {id_} of {block} has no score")
        whole[block] = whole.get(block, True) and scores[id_] == 1
    right = sum(whole.values())
    return BlockAccuracy(right, len(whole), wilson(right, len(whole)))
