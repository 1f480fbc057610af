"""What pruning would leave of a benchmark: a diagnosis, for pruning is no repair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalevqa_eval.audit.crossval import make_folds
from scalevqa_eval.audit.probes import COMBINED
from scalevqa_eval.audit.repair import judges
from scalevqa_eval.audit.repair.judges import ABOUT, Setting
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Question


def pruning(setting: Setting) -> dict[str, Any]:
    """What would be left if the questions that text answers were taken out.

    The slides are dealt to two halves. In each, probes that know this half alone choose what to
    take out, and probes fitted on the other half, which took no part, answer what is left.
    """
    questions, clusters = setting.audited.questions, setting.audited.clusters.labels
    labels = clusters if len(set(clusters)) > 1 else tuple(q.id for q in questions)
    few = {"status": "diagnosis",
           "statement": "There are too few questions to say what pruning would leave."}  # fmt: skip
    if len(set(labels)) < 2:
        return few
    half = make_folds(labels, 2, setting.seed)
    outside: dict[int, float] = {}
    try:
        for k in (0, 1):
            setting.tick(f"what pruning would leave: half {k + 1} of 2")
            own, other = np.flatnonzero(half == k), np.flatnonzero(half != k)
            left = own[_left([questions[i] for i in own], [labels[i] for i in own], setting.seed)]
            if left.size:
                answers = judges.fitted_on(
                    [questions[i] for i in other], [questions[i] for i in left],
                    [labels[i] for i in left], setting.unused,
                )  # fmt: skip
                outside |= dict(zip(left.tolist(), answers, strict=True))
    except DataError:  # a half has too few to learn from
        return few
    kept = sorted(outside)
    remaining, on = [questions[i] for i in kept], [clusters[i] for i in kept]
    runs = judges.characters(questions, labels, setting.unused)
    checks = judges.shares({
        "other half": np.array([outside[i] for i in kept]),
        "characters": None if runs is None else runs[kept],
        "external": setting.fitted_outside(remaining, on),
    }, remaining, on) if kept else {}  # fmt: skip
    worst = judges.worst(checks)
    why = (
        "What is left looks clean to the probes that chose it, whatever it holds; that no reader "
        "who took no part finds a leak in it does not show that there is none."
        if worst is None else
        f"It would be no repair: {ABOUT[worst]} still answers {checks[worst]} of them (chance "
        f"{100 * checks[worst].chance:.1f} %)."
    )  # fmt: skip
    sizes = Counter(len(question.options) for question in questions)
    return {
        "status": "diagnosis",
        "statement": f"Pruning until all probes combined are at chance would leave {len(kept)} of "
        f"{len(questions)} questions. {why} Option blocks (--repair blocks) do not depend on what "
        "a probe has learned.",
        "kept": len(kept),
        "checks": judges.as_json(checks),
        "lines": [
            f"Of questions with {size} options {sum(len(q.options) == size for q in remaining)} of "
            f"{number} would be left."
            for size, number in sorted(sizes.items()) if len(sizes) > 1
        ],
    }  # fmt: skip


def _left(questions: Sequence[Question], clusters: Sequence[str], seed: int) -> list[int]:
    """Places of the questions that would be left.

    The most leaky of those that all probes combined have right go, each ranked against its own
    chance, until as many are right as by guessing. Never all: where a blind reader is always
    wrong, avoiding its picks is a shortcut.
    """
    found = judges.probes(questions, clusters, seed)
    chance = np.array([1 / len(question.options) for question in questions])
    credits = found.get(COMBINED, chance)
    above = np.round((found[judges.LEAK] - chance) / (1 - chance), 6)
    excess = float((credits - chance).sum())
    left = set(range(len(questions)))
    for i in sorted(left, key=lambda i: (-above[i], questions[i].id)):
        if excess > 0 and credits[i] > chance[i]:
            left.discard(i)
            excess -= float(credits[i] - chance[i])
    return sorted(left)
