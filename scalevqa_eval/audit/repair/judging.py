"""What both repairs have in common: their setting, their result, and who judges it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalevqa_eval.audit.intake import Intake
from scalevqa_eval.audit.repair.checks import Check, Status, check, external_check, outsiders
from scalevqa_eval.types import Benchmark, Question

UNUSED = 7_919  # added to the seed for everything that judges a repair
WORKERS = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class Setting:
    benchmark: Benchmark
    taken: Intake
    external: Benchmark | None
    seed: int
    margin: float
    tick: Callable[[str], None]


@dataclass(frozen=True)
class Result:
    questions: tuple[Question, ...]
    changes: list[dict[str, Any]]
    checks: list[Check]
    status: Status
    statement: str
    lines: list[str]
    extra_files: dict[str, str]


def judged(
    setting: Setting,
    questions: Sequence[Question],
    folds_by: Sequence[str],
    clusters: Sequence[str],
) -> list[Check]:
    """Retrained probes with unused seeds, outsiders, and the external split."""
    seed = setting.seed + UNUSED
    names = {name: name for name in ("medoid", "structure", "contrast", "sibling-cues", "stack")}
    checks = retrained(setting, questions, folds_by, clusters, names)
    if len(set(folds_by)) > 1:
        setting.tick("repair: probes that took no part")
        checks += outsiders(questions, folds_by, clusters, seed)
    if setting.external is not None:
        setting.tick("repair: probes fitted on the external split")
        checks.append(
            external_check(questions, clusters, setting.external, seed=seed, workers=WORKERS,
                           tick=lambda _: None)
        )  # fmt: skip
    return checks


def retrained(
    setting: Setting,
    questions: Sequence[Question],
    folds_by: Sequence[str],
    clusters: Sequence[str],
    names: Mapping[str, str],
) -> list[Check]:
    """The audit's own probes, trained again with unused seeds; `names` says which, and how named.

    None where there are too few slides for two folds.
    """
    from scalevqa_eval.audit.textonly import probe_text

    if len(set(folds_by)) < 2:
        return []
    setting.tick("repair: probes trained again, with unused seeds")
    text = probe_text(
        questions, folds_by, permutations=1, seeds=3, seed=setting.seed + UNUSED,
        margin=setting.margin, workers=WORKERS, tick=lambda _: None,
    )  # fmt: skip
    checks = []
    for found in text.credits:
        if found.name in names:
            credits = [0.0] * len(questions)
            for value, place in zip(found.real, text.table.order, strict=True):
                credits[place] = min(1.0, max(0.0, float(value)))
            about = (
                f"{found.about}{'' if found.kind == 'rule' else '; trained again, unused seeds'}"
            )
            checks.append(check(names[found.name], about, credits, questions, clusters))
    return checks


def share(one: Check) -> str:
    return f"{one.correct:.0f}/{one.n} = {100 * one.correct / one.n:.1f} %"
