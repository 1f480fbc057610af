"""Latin option blocks: K questions share one set of options, and each option is right once.

A block takes K questions of one dimension from K slides. All get the same wording and the same
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

from scalevqa_eval.audit.folds import make_folds
from scalevqa_eval.audit.tokens import normalise, tokens
from scalevqa_eval.statistics import Interval, wilson
from scalevqa_eval.types import LETTERS, Question

WORDING = "Which of these options fits the images?"
_MOST_GROUPS = 5
_SIMILAR = 0.6  # right answers more alike than this may both be true of one slide
_TRIES = 12
_LOOKED_AT = 8  # places of a slide that are weighed: bounds the time
_WORTH = 0.9  # of what the best number of groups keeps; more groups are better folds


@dataclass(frozen=True, slots=True)
class Block:
    """`members[k]` has the right answer that stands at letter k."""

    id: str
    group: int
    members: tuple[Question, ...]

    def questions(self, wording: str) -> tuple[Question, ...]:
        """The members with the block's wording and options."""
        options = {
            letter: member.options[member.answer]
            for letter, member in zip(LETTERS, self.members, strict=False)
        }
        return tuple(
            replace(
                member,
                text=wording,
                options=options,
                answer=letter,
                extra={**member.extra, "block": self.id, "slide_group": f"group-{self.group}"},
            )
            for letter, member in zip(LETTERS, self.members, strict=False)
        )


def build_blocks(
    questions: Sequence[Question], clusters: Sequence[str], *, seed: int
) -> tuple[Block, ...]:
    """As many blocks as a search finds. Questions in none of them are to be left out.

    `clusters` has the slide of each question. The same questions and seed give the same blocks.
    """
    slides = sorted(set(clusters))
    size = min((len(q.options) for q in questions), default=2)
    most = max(1, min(_MOST_GROUPS, len(slides) // size))
    found = [_in_groups(questions, clusters, count, seed) for count in range(most, 0, -1)]
    enough = _WORTH * max(map(_kept, found))
    return next(blocks for blocks in found if _kept(blocks) >= enough)


def _kept(blocks: Sequence[Block]) -> int:
    return sum(len(block.members) for block in blocks)


def _in_groups(
    questions: Sequence[Question],
    clusters: Sequence[str],
    count: int,
    seed: int,
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
            shuffled = list(members)
            chance.shuffle(shuffled)
            blocks.append(Block(f"block-{len(blocks) + 1:04d}", group, tuple(shuffled)))
    return tuple(blocks)


_Place = dict[str, list[Question]]  # the questions on one set of images, by dimension


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
            rest = [slide for slide in order if slide not in used][: size + 1]
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
    """One question of each place, of one dimension, with right answers that differ: all there."""
    rows = []
    for dimension in sorted(set.intersection(*(set(place) for place in places))):
        for members in zip(*(place[dimension] for place in places), strict=False):
            if all(_fits(q, members[:k]) for k, q in enumerate(members)):
                rows.append(list(members))
    return rows


def _fits(question: Question, members: Sequence[Question]) -> bool:
    own = question.options[question.answer]
    return all(not _alike(own, other.options[other.answer]) for other in members)


@lru_cache(maxsize=1_000_000)
def _alike(one: str, two: str) -> bool:
    if normalise(one) == normalise(two):
        return True
    a, b = set(tokens(one)), set(tokens(two))
    if not a or not b:
        return False
    return len(a & b) >= _SIMILAR * len(a | b) or a <= b or b <= a


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
