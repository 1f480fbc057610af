"""An audit from beginning to end."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from scalevqa_eval import __version__
from scalevqa_eval.audit.conclusions import cues, design_findings, reasons
from scalevqa_eval.audit.crossval import WORKERS
from scalevqa_eval.audit.dataset import examine, other_splits
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.phrases import find_phrases
from scalevqa_eval.audit.position import PositionBias, position_bias
from scalevqa_eval.audit.probes import COMBINED, COMBINED_FILE
from scalevqa_eval.audit.reading import (
    MOST,
    Selection,
    read_for_audit,
    sample_slides,
    select,
)
from scalevqa_eval.audit.report import LEVELS, AuditReport, QuestionLeak
from scalevqa_eval.audit.results import MARGIN, StratumResult, Verdict, overall, rounded
from scalevqa_eval.audit.textonly import TextOnly, probe_text
from scalevqa_eval.audit.transfer import Transfer, probe_transfer
from scalevqa_eval.errors import UsageError
from scalevqa_eval.scoring.groups import counterfactual_groups, group_accuracy
from scalevqa_eval.types import Benchmark

Tick = Callable[[str], None]


def audit(
    benchmark: Benchmark | str | Path,
    *,
    train: Benchmark | str | Path | None = None,
    permutations: int = 100,
    seeds: int = 3,
    seed: int = 0,
    margin: float = MARGIN,
    most: int = MOST,
    findings: Sequence[Finding] = (),
    look_at_data: bool = True,
    progress: Tick | None = None,
    workers: int | None = None,
) -> AuditReport:
    """Find out whether a benchmark can be answered without looking at its images.

    A name or path is read as by the command: rows that are no question become findings.
    `train` is another split (or another benchmark) to fit on for the transfer probe.
    `permutations` is the number of redraws of the right options, `seeds` of assignments to folds;
    `margin` is how large a leak is still small. Of more than `most` questions whole slides are
    drawn at random, and the report says so. `findings` are put first in the report.
    `look_at_data` adds what is wrong with texts, images and splits (those beside the benchmark,
    and `train`).
    `progress` is told what is being done. The same questions and seed give the same report,
    whatever the order of questions and options and the options' letters (the counts of positions
    excepted). Raises UsageError, DataError, or SelfTestFailed if a probe saw a label.
    """
    if permutations < 1 or seeds < 1 or most < 1:
        raise UsageError("--permutations, --seeds and --most are 1 or more")
    if not 0 < margin < 1:
        raise UsageError(f"the margin above chance lies between 0 and 1, not {margin}")
    tick = progress or (lambda _: None)
    loaded, found = _read(benchmark)
    other = None if train is None else _loaded(train)
    selected = select(loaded.questions)
    if look_at_data:
        splits, unread = other_splits(loaded, other)
        found += (*unread, *examine(loaded, splits, tick=tick))
    selected, sampled = sample_slides(selected, most, seed)
    shared: dict[str, Any] = {
        "seed": seed, "margin": margin, "tick": tick,
        "workers": workers or WORKERS,
    }  # fmt: skip
    labels = selected.clusters.labels
    # One thread per matrix product, and several products at once: faster for products of this
    # size, and the same bits on any number of cores.
    with threadpool_limits(limits=1):
        # First: what is wrong with `train` is said before the long work.
        transfer = None
        if other is not None:
            transfer = probe_transfer(selected.questions, labels, other, **shared)
        text = probe_text(
            selected.questions, labels, permutations=permutations, seeds=seeds, **shared
        )
        tick("phrases")
        phrases = find_phrases(text.table, text.gold, text.clusters)
    position = position_bias(selected.questions, labels, seed)
    settings = {
        "permutations": permutations, "seeds": text.seeds, "null_seeds": text.null_seeds,
        "folds": text.folds, "seed": seed, "margin": margin, "most": most, "levels": LEVELS,
    }  # fmt: skip
    strata = _ordered(text.strata, loaded.dimensions)
    by_dimension, parts = _verdicts(strata, text, position, transfer, margin)
    return AuditReport(
        benchmark={
            "name": loaded.name,
            "split": loaded.split,
            "revision": loaded.revision,
            "card": loaded.card,
            "questions": len(loaded.questions),
            "audited": text.table.n,
            "clusters": selected.clusters.count,
            "clusters_from": selected.clusters.source,
            "clusters_known": selected.clusters.known,
            "sampled": None if sampled is None else sampled.to_json(),
        },
        settings=settings,
        versions=_versions(),
        parts=parts,
        verdict_by_dimension=by_dimension,
        reasons=reasons(strata, position, transfer, sampled, settings),
        strata=strata,
        whole_file=_ordered(text.whole_file, loaded.dimensions),
        partial_inputs=text.partial_inputs,
        position=position,
        groups=_groups(selected, text),
        phrases=tuple(phrases),
        cues=cues(text),
        questions=_leaks(selected, text),
        findings=(
            *findings, *found, *selected.findings, *design_findings(text, position, settings),
            *(transfer.findings if transfer is not None else ()),
        ),
        self_test={"passed": True, "probes": list(text.checked)},
        sections={} if transfer is None else {"transfer": transfer.section},
        source=selected.questions,
    )  # fmt: skip


def _read(benchmark: Benchmark | str | Path) -> tuple[Benchmark, tuple[Finding, ...]]:
    """The benchmark to audit, and findings about rows that could not be read."""
    if isinstance(benchmark, Benchmark):
        return benchmark, ()
    return read_for_audit(str(benchmark))


def _loaded(benchmark: Benchmark | str | Path) -> Benchmark:
    if isinstance(benchmark, Benchmark):
        return benchmark
    from scalevqa_eval.data import load_benchmark

    return load_benchmark(benchmark)


def _verdicts(
    strata: Sequence[StratumResult], text: TextOnly, position: PositionBias,
    transfer: Transfer | None, margin: float,
) -> tuple[dict[str, Verdict], dict[str, Verdict]]:  # fmt: skip
    """Per dimension, and the parts of the whole verdict."""
    by_dimension: dict[str, Verdict] = {s.name: s.verdict for s in strata[1:]}
    if len(strata) == 1:
        by_dimension = {text.table.dimensions[0]: strata[0].verdict}
    for name, verdict in by_dimension.items():
        # With one dimension, all questions are that dimension.
        own = position.verdict(name if len(strata) > 1 else "", margin)
        by_dimension[name] = overall([verdict, own])
    parts: dict[str, Verdict] = {
        "text": overall(stratum.verdict for stratum in strata),
        "position": overall(position.verdict(name, margin) for name in position.counts),
    }
    if transfer is not None:
        parts["transfer"] = transfer.verdict
    return by_dimension, parts


def _ordered(strata: Sequence[StratumResult], names: Sequence[str]) -> tuple[StratumResult, ...]:
    place = {name: k for k, name in enumerate(names)}
    rest = sorted(strata[1:], key=lambda s: (place.get(s.name, len(place)), s.name))
    return (strata[0], *rest)


def _groups(selected: Selection, text: TextOnly) -> dict[str, Any] | None:
    """Counterfactual groups, and how many the text alone answers whole."""
    labels = text.clusters.tolist()
    asked = [selected.questions[place] for place in text.table.order]
    groups = counterfactual_groups(asked, labels)
    if not groups:
        return None
    correct, interval = group_accuracy(text.credit(COMBINED).tolist(), groups, labels)
    chances = [math.prod(text.table.chances[group].tolist()) for group in groups]
    return {
        "groups": len(groups),
        "questions": sum(map(len, groups)),
        "all_right": {
            "correct": rounded(correct),
            "n": len(groups),
            "accuracy": rounded(correct / len(groups)),
            "ci": [rounded(interval.low), rounded(interval.high)],
            "ci_method": interval.method,
            "chance": rounded(sum(chances) / len(groups)),
        },
    }


def _leaks(selected: Selection, text: TextOnly) -> tuple[QuestionLeak, ...]:
    single, file, spread = text.credit(COMBINED), text.credit(COMBINED_FILE), text.spread
    asked = [selected.questions[place] for place in text.table.order]
    rows = [
        QuestionLeak(
            id=question.id,
            dimension=question.dimension,
            slide=question.slide,
            leak_score=float(text.leak[i]),
            leak_sd=None if spread is None else float(spread[i]),
            chance=float(text.table.chances[i]),
            credit=float(single[i]),
            credit_file=float(file[i]),
        )
        for i, question in enumerate(asked)
    ]
    return tuple(sorted(rows, key=lambda row: (-round(row.leak_score, 6), row.id)))


def _versions() -> dict[str, str]:
    names = ("numpy", "scipy", "scikit-learn")
    found = {name: version(name) for name in names}
    return {"scalevqa-eval": __version__, "python": platform.python_version(), **found}
