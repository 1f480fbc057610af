"""The transfer probe: fit on one split, answer another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.clusters import find_clusters
from scalevqa_eval.audit.crossval import credit
from scalevqa_eval.audit.evidence import Evidence
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.folds import fold_count, make_folds
from scalevqa_eval.audit.intake import take_in
from scalevqa_eval.audit.logit import Singles
from scalevqa_eval.audit.probes import learned
from scalevqa_eval.audit.probes.learned import Fitter
from scalevqa_eval.audit.probes.stack import NAME as STACK
from scalevqa_eval.audit.probes.stack import stack
from scalevqa_eval.audit.results import p_rounded, rounded
from scalevqa_eval.audit.shown import full_name
from scalevqa_eval.audit.table import Table, content_key, gold_offsets, make_table
from scalevqa_eval.audit.textonly import SAME, sees_labels
from scalevqa_eval.audit.verdict import SIDE_LEVEL, Verdict
from scalevqa_eval.errors import DataError
from scalevqa_eval.statistics import chance_test, cluster_interval
from scalevqa_eval.types import Benchmark, Question


@dataclass(frozen=True, slots=True)
class _Part:
    n: int
    correct: float
    accuracy: float
    ci: tuple[float, float]
    chance: float
    p_value: float

    def to_json(self) -> dict[str, Any]:
        return {
            "accuracy": rounded(self.accuracy),
            "correct": rounded(self.correct),
            "ci": [rounded(x) for x in self.ci],
            "n": self.n,
            "chance": rounded(self.chance),
            "p_value": p_rounded(self.p_value),
        }


@dataclass(frozen=True, slots=True)
class Transfer:
    """The stack fitted on `trained_on`, on the audited questions. The test is exact."""

    trained_on: str
    trained_questions: int
    whole: _Part
    by_dimension: dict[str, _Part]
    by_probe: dict[str, _Part]
    findings: tuple[Finding, ...]
    credits: tuple[float, ...]

    @property
    def n(self) -> int:
        return self.whole.n

    @property
    def correct(self) -> float:
        return self.whole.correct

    @property
    def accuracy(self) -> float:
        return self.whole.accuracy

    @property
    def verdict(self) -> Verdict:
        return "leaky" if self.whole.p_value <= SIDE_LEVEL else "undecided"

    def to_json(self) -> dict[str, Any]:
        return {
            **self.whole.to_json(),
            "probe": STACK,
            "trained_on": self.trained_on,
            "trained_questions": self.trained_questions,
            "by_dimension": {name: part.to_json() for name, part in self.by_dimension.items()},
            "by_probe": {name: part.to_json() for name, part in self.by_probe.items()},
        }


def probe_transfer(
    questions: Sequence[Question],
    clusters: Sequence[str],
    train: Benchmark,
    *,
    seed: int,
    workers: int,
    tick: Callable[[str], None],
) -> Transfer:
    """Fit on `train`, answer `questions`. Questions that are in both are not fitted on.

    Raises DataError if `train` has too few questions to fit on, SelfTestFailed if the answers
    depend on labels of `questions`.
    """
    tick("transfer: features")
    taken = take_in(train.questions)
    known = {content_key(question) for question in questions}
    fresh = [q for q in taken.questions if content_key(q) not in known]
    name = full_name(train.name, train.split)
    findings = _overlap_findings(name, len(taken.questions) - len(fresh), fresh, questions)
    if len(fresh) < 4:
        raise DataError(
            f"{name} has {len(fresh)} questions that are not among those audited: too few to fit on"
        )
    both = [*questions, *fresh]
    table = make_table(both)
    gold = gold_offsets(table, both)
    audited = table.order < len(questions)
    # The second set of labels is for the self-test: the audited questions have other answers.
    gold = np.column_stack([gold, np.where(audited, (gold + 1) % table.sizes, gold)])
    groups = [q.slide for q in fresh]
    labels = find_clusters(fresh).labels if not all(groups) else tuple(str(g) for g in groups)
    if len(set(labels)) < 2:
        labels = tuple(str(i) for i in range(len(fresh)))
    count = fold_count(len(fresh), len(set(labels)))
    ordered = [labels[place - len(questions)] for place in table.order[~audited]]
    fold = np.full(table.n, count, dtype=np.intp)  # the audited questions are the last fold
    fold[~audited] = make_folds(ordered, count, seed)
    evidence = Evidence(table)
    inner: dict[str, Singles] = {}
    for probe in learned():
        if probe.siblings and not evidence.has_siblings:
            continue
        tick(f"transfer: {probe.name}")
        inner[probe.name] = _scores(table, probe.prepare(evidence, seed), gold, fold, workers)
    rows = audited[table.owner]
    scores = {key: value[rows] for key, value in inner.items()}
    scores[STACK] = stack(np.stack(list(inner.values())), table.sizes, gold, ~audited)
    _check(scores)
    target = make_table(questions)  # the same canonical order, without the training questions
    truth = gold_offsets(target, questions)[:, None]
    credits = {key: credit(target, value[:, :1], truth)[:, 0] for key, value in scores.items()}
    slides = [clusters[i] for i in target.order]
    everything = np.ones(target.n, dtype=bool)
    return Transfer(
        trained_on=name,
        trained_questions=len(fresh),
        whole=_part(target, credits[STACK], slides, everything),
        by_dimension={
            dimension: _part(target, credits[STACK], slides, target.dimension == k)
            for k, dimension in enumerate(target.dimensions)
        },
        by_probe={key: _part(target, value, slides, everything) for key, value in credits.items()},
        findings=tuple(findings),
        credits=tuple(float(x) for x in credits[STACK][np.argsort(target.order)]),
    )


def _scores(
    table: Table, fitter: Fitter, gold: npt.NDArray[np.intp], fold: npt.NDArray[np.intp],
    workers: int,
) -> Singles:  # fmt: skip
    """Held-out scores of the training questions, and of the audited after fitting on all."""
    fitter.use_folds(fold)
    last = int(fold.max())
    row_fold = fold[table.owner]
    result = np.zeros((table.rows, gold.shape[1]), dtype=np.float32)

    def one(i: int) -> None:
        rows = row_fold == i
        result[rows] = fitter.scores(gold, (fold != i) & (fold != last), rows)

    with ThreadPoolExecutor(workers) as pool:
        for job in [pool.submit(one, i) for i in range(last + 1)]:
            job.result()
    return result


def _check(scores: dict[str, Singles]) -> None:
    """What audited questions are answered must not move when their own labels change."""
    for name, found in scores.items():
        moved = float(np.abs(found[:, 0] - found[:, 1]).max())
        if moved > SAME * max(1.0, float(np.abs(found[:, 0]).max())):
            raise sees_labels(name, f"scores of audited questions change by up to {moved:.3g}")


def _part(
    table: Table,
    credits: npt.NDArray[np.float32],
    slides: Sequence[str],
    mask: npt.NDArray[np.bool_],
) -> _Part:
    values = np.clip(credits[mask].astype(np.float64), 0, 1)
    labels = [label for label, chosen in zip(slides, mask, strict=True) if chosen]
    interval = cluster_interval(values, labels)
    chances = table.chances[mask]
    return _Part(
        n=len(values),
        correct=float(values.sum()),
        accuracy=float(values.mean()),
        ci=(interval.low, interval.high),
        chance=float(chances.mean()),
        p_value=chance_test(float(values.sum()), chances.tolist()),
    )


def _overlap_findings(
    name: str, repeated: int, fresh: Sequence[Question], questions: Sequence[Question]
) -> list[Finding]:
    found = []
    if repeated:
        found.append(
            Finding("transfer-overlap", "error",
                    f"{repeated:,} questions of {name} are among those audited, too; the transfer "
                    "probe was not fitted on them.", {"questions": repeated})
        )  # fmt: skip
    slides = {q.slide for q in questions if q.slide} & {q.slide for q in fresh if q.slide}
    if slides:
        found.append(
            Finding("transfer-slides", "warning",
                    f"{len(slides):,} slides are both in {name} and among those audited: the "
                    "transfer probe may know them.",
                    {"slides": sorted(str(slide) for slide in slides)[:100]})
        )  # fmt: skip
    return found
