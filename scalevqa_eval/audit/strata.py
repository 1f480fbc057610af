"""From credits per question to accuracies, intervals and tests, overall and per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.null import Floats, family_test
from scalevqa_eval.audit.probes.stack import NAME as STACK
from scalevqa_eval.audit.results import ProbeResult, StratumResult
from scalevqa_eval.audit.table import Table
from scalevqa_eval.audit.verdict import LEVEL, decide
from scalevqa_eval.statistics import (
    chance_test,
    cluster_interval,
    detectable_accuracy,
    difference_interval,
)


@dataclass(frozen=True)
class Credits:
    """One probe's credit per question: `real` averaged over fold seeds, `test` as in the null.

    `test` (questions, 1 + redraws) has the real labels in its first column and holds as many
    seeds as the redraws do.
    """

    name: str
    kind: str
    about: str
    real: npt.NDArray[np.float64]
    test: npt.NDArray[np.float32]


def evaluate_strata(
    table: Table, clusters: Sequence[str], credits: Sequence[Credits], margin: float
) -> list[StratumResult]:
    """All questions first (name ""), then every dimension in the table's order."""
    masks: dict[str, npt.NDArray[np.bool_]] = {"": np.ones(table.n, dtype=bool)}
    if len(table.dimensions) > 1:
        masks |= {name: table.dimension == k for k, name in enumerate(table.dimensions)}
    accuracy = np.array(
        [[c.test[mask].mean(0, dtype=np.float64) for mask in masks.values()] for c in credits]
    )
    variance = table.chances * (1 - table.chances)
    guessing = np.array([np.sqrt(variance[mask].sum()) / mask.sum() for mask in masks.values()])
    family = family_test(accuracy, guessing)
    return [
        _stratum(table, clusters, credits, name, mask, accuracy[:, s], margin,
                 family.p_value[s], family.p_adjusted[s])
        for s, (name, mask) in enumerate(masks.items())
    ]  # fmt: skip


def _stratum(
    table: Table,
    clusters: Sequence[str],
    credits: Sequence[Credits],
    name: str,
    mask: npt.NDArray[np.bool_],
    accuracy: Floats,
    margin: float,
    p_value: float,
    p_adjusted: float,
) -> StratumResult:
    labels = [label for label, chosen in zip(clusters, mask, strict=True) if chosen]
    chances = table.chances[mask]
    chance = float(chances.mean())
    probes = tuple(
        _probe(credit, credit.real[mask], accuracy[k], labels, chances)
        for k, credit in enumerate(credits)
    )
    upper = max(probe.upper for probe in probes)
    return StratumResult(
        name=name,
        n=int(mask.sum()),
        clusters=len(set(labels)),
        chance=chance,
        p_value=p_value,
        p_adjusted=p_adjusted,
        upper=upper,
        detectable=detectable_accuracy(int(mask.sum()), chance, level=LEVEL),
        verdict=decide(p_adjusted, upper, chance, margin),
        best_name=choose([(c.name, c.real[mask]) for c in credits], labels),
        probes=probes,
    )


def choose(credits: Sequence[tuple[str, Floats]], clusters: Sequence[str]) -> str:
    """The probe that stands for all: the stack, unless another one is clearly better.

    The highest of many accuracies is too high by the luck of the choice: on clean data by about
    two standard errors. So the stack is set beforehand, and gives way only to a probe whose lead,
    paired by question and clustered, is significant after Bonferroni's correction. Without a
    stack (nothing could be trained) it is the highest.
    """
    values = dict(credits)
    ranked = sorted(values, key=lambda name: (-round(float(values[name].mean()), 9), name))
    if STACK not in values:
        return ranked[0]
    level = 1 - 2 * LEVEL / max(1, len(values) - 1)
    for name in ranked[: ranked.index(STACK)]:
        if difference_interval(values[name], values[STACK], clusters, level).low > 0:
            return name
    return STACK


def _probe(
    credit: Credits, real: Floats, accuracy: Floats, labels: list[str], chances: Floats
) -> ProbeResult:
    real = np.clip(real, 0.0, 1.0)
    interval = cluster_interval(real, labels)
    redrawn = accuracy[1:]
    if credit.kind == "rule":
        p, test = chance_test(float(real.sum()), chances.tolist()), "exact binomial"
        if float(np.ptp(chances)):
            test = "exact Poisson-binomial"
    else:
        p, test = float((1 + (redrawn >= accuracy[0] - 1e-9).sum()) / len(accuracy)), "redraws"
    return ProbeResult(
        name=credit.name,
        kind=credit.kind,
        about=credit.about,
        n=len(real),
        correct=float(real.sum()),
        accuracy=float(real.mean()),
        ci=(interval.low, interval.high),
        ci_method=interval.method,
        upper=cluster_interval(real, labels, level=0.90).high,
        chance=float(chances.mean()),
        p_value=p,
        test=test,
        null_mean=float(redrawn.mean()) if len(redrawn) else None,
        null_sd=float(redrawn.std(ddof=1)) if len(redrawn) > 1 else None,
    )
