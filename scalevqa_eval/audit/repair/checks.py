"""Is it a repair? What is asked of what remains, and the statement that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scalevqa_eval.audit.folds import make_folds
from scalevqa_eval.audit.repair.outsider import NAMES, outsider_credits
from scalevqa_eval.audit.results import rounded
from scalevqa_eval.audit.transfer import probe_transfer
from scalevqa_eval.audit.verdict import SIDE_LEVEL
from scalevqa_eval.errors import DataError
from scalevqa_eval.statistics import chance_test, cluster_interval
from scalevqa_eval.types import Benchmark, Question

Status = Literal["repaired", "not repaired", "not shown"]
_FOLDS = 3
Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One adversary on what remains. `upper` is its one-sided 95 % upper limit."""

    name: str
    about: str
    correct: float
    n: int
    ci: tuple[float, float]
    upper: float
    chance: float
    p_value: float

    @property
    def found(self) -> bool:
        """Whether it still answers better than guessing."""
        return self.p_value <= SIDE_LEVEL

    def passed(self, margin: float) -> bool:
        return self.upper < self.chance + margin

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about,
            "correct": rounded(self.correct),
            "n": self.n,
            "accuracy": rounded(self.correct / self.n),
            "ci": [rounded(x) for x in self.ci],
            "upper_bound": rounded(self.upper),
            "chance": rounded(self.chance),
            "p_value": rounded(self.p_value),
        }


def check(
    name: str, about: str, credits: Sequence[float], questions: Sequence[Question],
    clusters: Sequence[str],
) -> Check:  # fmt: skip
    """Credits per question as a check; the p-value is exact (binomial or Poisson-binomial)."""
    chances = [1 / len(question.options) for question in questions]
    interval = cluster_interval(credits, clusters)
    total = min(float(sum(credits)), float(len(credits)))
    return Check(
        name, about, total, len(credits), (interval.low, interval.high),
        cluster_interval(credits, clusters, level=0.90).high,
        sum(chances) / len(chances), chance_test(total, chances),
    )  # fmt: skip


def outsiders(
    questions: Sequence[Question],
    folds_by: Sequence[str],
    clusters: Sequence[str],
    seed: int,
) -> list[Check]:
    """Probes of a family that took no part; folds by `folds_by`, intervals by `clusters`."""
    found = outsider_credits(questions, folds_by, seed)
    return [check(name, NAMES[name], value, questions, clusters) for name, value in found.items()]


def external_check(
    questions: Sequence[Question], clusters: Sequence[str], external: Benchmark, *,
    seed: int, workers: int, tick: Tick,
) -> Check:  # fmt: skip
    """The stack fitted on a split that took no part in the selection."""
    found = probe_transfer(
        questions, clusters, external, seed=seed, workers=workers, tick=tick
    ).to_json()
    return _of_transfer("external", f"stack fitted on {found['trained_on']}", [found])


def removed_check(
    kept: Sequence[Question], kept_clusters: Sequence[str],
    removed: Sequence[Question], removed_clusters: Sequence[str], *,
    seed: int, workers: int, tick: Tick,
) -> Check | None:  # fmt: skip
    """The stack fitted on the questions that were removed, of other slides than it answers.

    None if there are too few to fit on.
    """
    labels = [*kept_clusters, *removed_clusters]
    count = min(_FOLDS, len(set(labels)))
    if count < 2:
        return None
    fold = make_folds(labels, count, seed)
    parts = []
    for k in range(count):
        inside = [i for i in range(len(kept)) if fold[i] == k]
        train = tuple(q for q, f in zip(removed, fold[len(kept) :], strict=True) if f != k)
        if not inside:
            continue
        try:
            found = probe_transfer(
                [kept[i] for i in inside], [kept_clusters[i] for i in inside],
                Benchmark("removed questions", "", "", train),
                seed=seed, workers=workers, tick=_quiet,
            )  # fmt: skip
        except DataError:
            return None
        parts.append(found.to_json())
    tick("repair: probes fitted on what was removed")
    return _of_transfer("removed", "stack fitted on the removed questions of other slides", parts)


def _of_transfer(name: str, about: str, parts: Sequence[dict[str, Any]]) -> Check:
    n = sum(part["n"] for part in parts)
    correct = sum(part["correct"] for part in parts)
    chance = sum(part["chance"] * part["n"] for part in parts) / n
    if len(parts) == 1:
        low, high = parts[0]["ci"]
        upper = high
    else:  # each part holds other slides
        values = [x for part in parts for x in _spread(part["correct"], part["n"])]
        interval = cluster_interval(values, [None] * len(values))
        low, high = interval.low, interval.high
        upper = cluster_interval(values, [None] * len(values), level=0.90).high
    return Check(name, about, correct, n, (low, high), upper, chance,
                 chance_test(correct, [chance] * n))  # fmt: skip


def _spread(correct: float, n: int) -> list[float]:
    """n scores of 0 and 1 with this sum (its fraction as one score between)."""
    whole = int(correct)
    rest = [correct - whole] if whole < n else []
    return [1.0] * whole + rest + [0.0] * (n - whole - len(rest))


def _quiet(_: str) -> None:
    pass
