"""The transfer probe: fit on one split, answer another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.crossval import Draw, cross_validate, fold_count, make_folds, option_credit
from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.inference import clustered_p, label_or_guess, share
from scalevqa_eval.audit.probes import BASE_RATES, COMBINED, COMBINED_FILE, learned
from scalevqa_eval.audit.reading import select
from scalevqa_eval.audit.redraws import DRAWS, Floats, given_answers, relabelled_together
from scalevqa_eval.audit.results import MARGIN, SIDE_LEVEL, Share, Verdict, decide, p_rounded
from scalevqa_eval.audit.selftest import must_not_move
from scalevqa_eval.audit.table import content_key, gold_offsets, make_table, numbered
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Benchmark, Question

Tested = tuple[Share, float]
"""A share of right answers and its one-sided p-value, which knows slides."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """All probes combined, fitted on `trained_on`, on the audited questions one at a time.

    `section` is what audit.json holds, `credits` has each probe's credit per audited question, in
    their order.
    """

    trained_on: str
    share: Share
    verdict: Verdict
    section: dict[str, Any]
    credits: dict[str, list[float]]
    findings: tuple[Finding, ...]


def probe_transfer(
    questions: Sequence[Question],
    clusters: Sequence[str],
    train: Benchmark,
    *,
    seed: int,
    workers: int,
    tick: Callable[[str], None],
    margin: float = MARGIN,
) -> Transfer:
    """Fit on `train`, answer `questions`. Questions that are in both are not fitted on.

    Raises DataError if `train` has too few questions to fit on, SelfTestFailed if the answers
    depend on labels of `questions`.
    """
    tick("transfer: features")
    taken = select(train.questions)
    known = {content_key(question) for question in questions}
    place = [i for i, q in enumerate(taken.questions) if content_key(q) not in known]
    fresh = [taken.questions[i] for i in place]
    name = " ".join(dict.fromkeys(filter(None, (train.name, train.split))))
    if len(fresh) < 4:
        raise DataError(
            f"{name} has {len(fresh)} questions that are not among those audited: too few to fit on"
        )
    both = [*questions, *fresh]
    table = make_table(both)
    gold = gold_offsets(table, both)
    audited = table.order < len(questions)
    # The second set of labels is for the self-test: the audited questions have other answers.
    labels = np.column_stack([gold, np.where(audited, (gold + 1) % table.sizes, gold)])
    own = [f"train {taken.clusters.labels[i]}" for i in place]
    if len(set(own)) < 2:
        own = [str(i) for i in range(len(fresh))]
    every = [*(f"audited {label}" for label in clusters), *own]
    cluster = numbered([every[i] for i in table.order])
    count = fold_count(len(fresh), len(set(own)))
    fold = np.full(table.n, count, dtype=np.intp)  # the audited questions are the last fold
    fold[~audited] = make_folds(cluster[~audited], count, seed)
    trained = learned()
    answers = cross_validate(
        Features(table), [*BASE_RATES, *trained], [Draw(fold, labels, (count,))],
        {COMBINED: [p.name for p in trained if not p.file],
         COMBINED_FILE: [p.name for p in trained]},
        seed=seed, workers=workers, tick=lambda text: tick(f"transfer: {text}"),
    )[0]  # fmt: skip
    rows = audited[table.owner]
    for key, scores in answers.first.items():
        must_not_move(key, scores[rows], "audited")
    worth = {key: option_credit(table, value[:, :1])[:, 0].astype(np.float64)
             for key, value in answers.first.items()}  # fmt: skip
    credits = {key: value[table.start + gold] for key, value in worth.items()}
    together = relabelled_together(table, cluster)
    commonest, own_commonest = (credits.pop(one.name) for one in BASE_RATES)

    def tested(
        key: str, mask: npt.NDArray[np.bool_] = audited, label: Floats = commonest
    ) -> Tested:
        own, given = credits[key][mask], worth[key][mask[table.owner]]
        chances, here = table.chances[mask], cluster[mask]
        base = label_or_guess(label[mask, None], chances, here)[:, 0]
        p, _ = given_answers(given, table.sizes[mask], together[mask], gold[mask], seed=seed)
        return share(own, chances, here, base), max(p, clustered_p(own, base, here))

    whole, p_value = tested(COMBINED)
    verdict = decide(p_value <= SIDE_LEVEL, whole.leak_ci[1], 0.0, margin)
    present = {question.dimension for question in questions}
    section = {
        **_json((whole, p_value)),
        "probe": COMBINED,
        "verdict": verdict,
        "trained_on": name,
        "trained_questions": len(fresh),
        "by_dimension": {
            dimension: _json(tested(COMBINED, audited & (table.dimension == k), own_commonest))
            for k, dimension in enumerate(table.dimensions) if dimension in present
        },
        "by_probe": {key: _json(tested(key)) for key in credits},
        "whole_file": _json(tested(COMBINED_FILE)),
    }  # fmt: skip
    as_asked = np.argsort(table.order)[: len(questions)]
    return Transfer(
        name, whole, verdict, section,
        {key: np.clip(value[as_asked], 0, 1).tolist() for key, value in credits.items()},
        tuple(_overlap_findings(name, len(taken.questions) - len(fresh), fresh, questions)),
    )  # fmt: skip


def _json(tested: Tested) -> dict[str, Any]:
    found, p = tested
    return {**found.to_json(), "p_value": p_rounded(p), "p_least": 1 / (DRAWS + 1)}


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
