"""Pruning: remove what two blind adversaries answer, until both are at chance and no further.

Each round both adversaries are trained anew on what is left (cross-validated by slide, other
folds in each round) and the most leaky of the questions that they have right are removed. Never
all of them: where a blind reader is always wrong, avoiding its picks is a shortcut. The target is
an accuracy of 1/K; so of n questions that one and the same adversary answers with accuracy a, at
most n (1 - a) K / (K - 1) can remain. Adversaries trained on less are weaker, so that more may.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.crossval import Draw, cross_validate
from scalevqa_eval.audit.evidence import Evidence
from scalevqa_eval.audit.folds import fold_count, make_folds
from scalevqa_eval.audit.probes import PROBES
from scalevqa_eval.audit.probes.learned import Learned
from scalevqa_eval.audit.probes.stack import NAME as STACK
from scalevqa_eval.audit.table import gold_offsets, make_table
from scalevqa_eval.types import Question

ADVERSARIES: dict[str, tuple[str, ...]] = {
    "words": ("answer-prior", "tokens", "contrast"),
    "shape": ("structure", "sibling-cues"),
}
_STEP = 0.10  # of what is left, in one round
_PART = 0.6  # of the hits above chance: adversaries that learn from less find less
_ROUNDS = 60
_FEWEST = 24
_SEEDS = 2  # assignments to folds a round, averaged

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Round:
    """Accuracies of the adversaries on what was left, and how many were removed then."""

    left: int
    accuracy: dict[str, float]
    removed: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """`removed` maps places in the given list to (round, leak score). `cap` is the bound above.

    `reached` says whether both adversaries came down to chance.
    """

    kept: tuple[int, ...]
    removed: dict[int, tuple[int, float]]
    rounds: tuple[Round, ...]
    chance: float
    cap: int
    reached: bool


def prune(
    questions: Sequence[Question],
    clusters: Sequence[str],
    *,
    seed: int,
    workers: int = 2,
    tick: Callable[[str], None] = lambda _: None,
) -> Pruned:
    """Choose what to remove. The same questions and seed give the same choice."""
    left = list(range(len(questions)))
    removed: dict[int, tuple[int, float]] = {}
    rounds: list[Round] = []
    chance = sum(1 / len(q.options) for q in questions) / len(questions)
    reached = False
    for number in range(_ROUNDS):
        chosen = [questions[i] for i in left]
        labels = [clusters[i] for i in left]
        if len(left) < _FEWEST or not fold_count(len(left), len(set(labels))):
            break
        found = adversaries(chosen, labels, seed=seed + 1_000 * number, workers=workers)
        accuracy = {name: float(hits.mean()) for name, (hits, _) in found.items()}
        target = sum(1 / len(q.options) for q in chosen) / len(chosen)
        excess = max(_excess(hits, target) for hits, _ in found.values())
        tick(
            f"prune: {len(left)} left, "
            + ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
        )
        count = min(math.ceil(_PART * excess), math.ceil(_STEP * len(left))) if excess > 0 else 0
        rounds.append(Round(len(left), accuracy, count))
        if not count:
            reached = True
            break
        leak = np.max([score for _, score in found.values()], axis=0)
        # A hit of either adversary, most leaky first; ties by the questions' ids.
        hit = np.max([hits for hits, _ in found.values()], axis=0) > target
        order = sorted(
            (i for i in range(len(left)) if hit[i]),
            key=lambda i: (-round(float(leak[i]), 6), chosen[i].id),
        )
        out = order[:count]
        removed |= {left[i]: (number + 1, float(leak[i])) for i in out}
        gone = set(out)
        left = [place for i, place in enumerate(left) if i not in gone]
    first = max(rounds[0].accuracy.values()) if rounds else chance
    cap = min(len(questions), math.floor(len(questions) * (1 - first) / (1 - chance)))
    return Pruned(tuple(left), removed, tuple(rounds), chance, cap, reached)


def _excess(hits: Floats, target: float) -> float:
    """How many hits must go for the accuracy to be `target` on what is left."""
    return (float(hits.sum()) - target * len(hits)) / (1 - target)


def adversaries(
    questions: Sequence[Question], clusters: Sequence[str], *, seed: int, workers: int
) -> dict[str, tuple[Floats, Floats]]:
    """Per adversary: credit and probability of the right option, by question as given."""
    table = make_table(questions)
    gold = gold_offsets(table, questions)
    evidence = Evidence(table)
    labels = [clusters[i] for i in table.order]
    count = fold_count(table.n, len(set(labels)))
    draws = [Draw(make_folds(labels, count, seed + s), _pair(gold)) for s in range(_SEEDS)]
    found = {}
    for name, probes in ADVERSARIES.items():
        used: list[Learned] = []
        for key in probes:
            probe = PROBES[key]
            if not hasattr(probe, "prepare") or (probe.siblings and not evidence.has_siblings):
                continue
            used.append(probe)
        answers = cross_validate(
            evidence, used, draws, seed=seed, workers=workers, tick=lambda _: None
        )
        hits = np.mean([a.credit[STACK][:, 0] for a in answers], axis=0, dtype=np.float64)
        scores = np.mean(
            [a.probability[table.start + gold] for a in answers], axis=0, dtype=np.float64
        )
        hits_given, scores_given = np.empty(table.n), np.empty(table.n)
        hits_given[table.order], scores_given[table.order] = hits, scores
        found[name] = (hits_given, scores_given)
    return found


def _pair(gold: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Two equal sets of labels: cross-validation keeps scores of the first two."""
    return np.column_stack([gold, gold])
