"""Counterfactual groups: one text over several pictures, with another right option on each.

The design of NaturalBench, of VQA v2's complementary pairs and of the demo. Whoever reads the text
alone gives all mates the same answer, so that of K mates exactly one is answered. What counts
there is a whole group.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from scalevqa_eval.statistics import Interval, cluster_interval
from scalevqa_eval.types import Question

_BY_DESIGN = 0.75
"""Of the questions whose text recurs. By accident half of the pairs of yes and no are groups."""
_MORE_THAN_A_FEW = 0.1  # of all questions


def counterfactual_groups(
    questions: Sequence[Question], clusters: Sequence[Hashable]
) -> list[list[int]]:
    """The places of each group's questions; none where that is not how the file was made.

    A group is K questions with the same text and K options, on other images each, and each option
    right in one of them. A text that is asked more than K times is looked at cluster by cluster.
    Texts recur by accident, too (a grade that is asked on twenty slides): it is a design where
    nearly all questions whose text recurs stand in groups.
    """
    recurring = 0
    groups = []
    often = Counter(question.text for question in questions)
    places = [i for i, question in enumerate(questions) if often[question.text] > 1]
    shown = ((questions[i].text, frozenset(questions[i].options.values())) for i in places)
    for together in _together(shown):
        if len(together) == 1:
            continue
        members = [places[k] for k in together]
        recurring += len(members)
        size = len(questions[members[0]].options)
        parts = [members]
        if len(members) > size:
            own = _together([clusters[i] for i in members])
            parts = [[members[k] for k in part] for part in own]
        groups += [part for part in parts if _complete([questions[i] for i in part], size)]
    inside = sum(map(len, groups))
    wanted = max(_BY_DESIGN * recurring, _MORE_THAN_A_FEW * len(questions))
    return groups if inside >= wanted else []


def _complete(mates: Sequence[Question], size: int) -> bool:
    """Whether each option is right once. Other answers on the same images are a contradiction."""
    images = [frozenset(q.image_set) for q in mates if q.image_set]
    right = {q.options.get(q.answer) for q in mates}
    return len(mates) == len(right) == size and len(set(images)) == len(images)


def _together(keys: Iterable[Hashable]) -> list[list[int]]:
    known: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        known.setdefault(key, []).append(i)
    return list(known.values())


def group_accuracy(
    scores: Sequence[float], groups: Sequence[Sequence[int]], clusters: Sequence[Hashable | None]
) -> tuple[float, Interval]:
    """How many groups have all their questions right, and an interval for the share.

    `scores` lie in [0, 1]; a group's is their product (ties are broken independently). Groups
    whose questions are all of one cluster are clustered by it; if any group spans clusters, each
    group stands for itself.
    """
    product = [math.prod(scores[i] for i in group) for group in groups]
    spanned = [{clusters[i] for i in group} for group in groups]
    within = all(len(own) == 1 for own in spanned)
    labels = [next(iter(own)) if within else None for own in spanned]
    return sum(product), cluster_interval(product, labels)


def groups_of(
    questions: Sequence[Any], scores: Sequence[float | None], clusters: Sequence[Hashable | None]
) -> dict[str, Any] | None:
    """Groups with all mates right, of all that were answered (score not None), as JSON values.

    None where there are none, or where the questions' texts are not at hand.
    """
    if not all(isinstance(question, Question) for question in questions):
        return None
    closed = [i for i, question in enumerate(questions) if not question.is_open]
    found = counterfactual_groups(
        [questions[i] for i in closed],
        [questions[i].id if clusters[i] is None else clusters[i] for i in closed],
    )
    places = [[closed[k] for k in group] for group in found]
    whole = [group for group in places if all(scores[i] is not None for i in group)]
    if not whole:
        return None
    known = [score or 0 for score in scores]
    correct, interval = group_accuracy(known, whole, clusters)
    return {
        "n": len(whole),
        "questions": sum(map(len, whole)),
        "correct": round(correct, 6),
        "accuracy": round(correct / len(whole), 6),
        "ci": [round(interval.low, 6), round(interval.high, 6)],
        "ci_method": interval.method,
    }
