"""Counterfactual groups: one text over several pictures, with another right option on each.

The design of NaturalBench, of VQA v2's complementary pairs and of the demo. Whoever reads the text
alone gives all mates the same answer, so that of K mates with each of K options right once exactly
one is answered. What counts there is a whole group.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from scalevqa_eval.statistics import group_accuracy
from scalevqa_eval.types import Question


def counterfactual_groups(
    texts: Sequence[Hashable],
    answers: Sequence[Hashable],
    sizes: Sequence[int],
    clusters: Sequence[Hashable],
    images: Sequence[Hashable | None],
) -> list[int]:
    """The group of each question, -1 for none; all five have one entry a question.

    Mates have the same text (and options), and two to K of them (of `sizes` options) all have other
    answers. A text that is asked more often is looked at cluster by cluster. Other answers on the
    same images (None: not known) are a contradiction, and no group.
    """
    found = [-1] * len(texts)
    count = 0
    for members in _together(texts, range(len(texts))):
        size = sizes[members[0]]
        for part in [members] if len(members) <= size else _together(clusters, members):
            seen = [images[i] for i in part if images[i] is not None]
            others = len({answers[i] for i in part}) == len(part)
            if 2 <= len(part) <= size and others and len(set(seen)) == len(seen):
                for i in part:
                    found[i] = count
                count += 1
    return found


def _together(keys: Sequence[Hashable], places: Sequence[int]) -> list[list[int]]:
    known: dict[Hashable, list[int]] = {}
    for i in places:
        known.setdefault(keys[i], []).append(i)
    return list(known.values())


def groups_of(questions: Sequence[Any], scores: Sequence[float]) -> dict[str, Any] | None:
    """Groups with all mates right, of all groups, as `groups` in summary.json.

    None where there are none, or where the questions' texts are not at hand.
    """
    closed = [q for q in questions if isinstance(q, Question) and not q.is_open]
    if not closed or len(closed) < len(questions):
        return None
    groups = counterfactual_groups(
        [(q.text, frozenset(q.options.values())) for q in closed],
        [q.options.get(q.answer, q.answer) for q in closed],
        [len(q.options) for q in closed],
        [q.slide or q.id for q in closed],
        [q.image_set or None for q in closed],
    )
    chosen = [i for i, group in enumerate(groups) if group >= 0]
    if not chosen:
        return None
    correct, n, interval = group_accuracy(
        [scores[i] for i in chosen], [groups[i] for i in chosen], [closed[i].slide for i in chosen]
    )
    return {
        "n": n,
        "questions": len(chosen),
        "correct": int(correct),
        "accuracy": round(correct / n, 6),
        "ci": [round(interval.low, 6), round(interval.high, 6)],
        "ci_method": interval.method,
    }
