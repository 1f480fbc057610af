"""An audit from beginning to end."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from scalevqa_eval import __version__
from scalevqa_eval.audit.dataset import examine, other_splits
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.intake import Intake, take_in
from scalevqa_eval.audit.loading import read_for_audit
from scalevqa_eval.audit.position import PositionBias, position_bias
from scalevqa_eval.audit.report import LEVELS, AuditReport, Cue, QuestionLeak
from scalevqa_eval.audit.results import StratumResult
from scalevqa_eval.audit.shortcuts import find_phrases
from scalevqa_eval.audit.textonly import TextOnly, probe_text
from scalevqa_eval.audit.transfer import Transfer, probe_transfer
from scalevqa_eval.audit.verdict import LEVEL, MARGIN, SIDE_LEVEL, Verdict, overall
from scalevqa_eval.errors import UsageError
from scalevqa_eval.statistics import benjamini_hochberg, chance_test
from scalevqa_eval.types import Benchmark, Question

Tick = Callable[[str], None]
_CUE_LEVEL = 0.05


def audit(
    benchmark: Benchmark | str | Path,
    *,
    train: Benchmark | str | Path | None = None,
    permutations: int = 100,
    seeds: int = 3,
    seed: int = 0,
    margin: float = MARGIN,
    findings: Sequence[Finding] = (),
    look_at_data: bool = True,
    progress: Tick | None = None,
    workers: int | None = None,
) -> AuditReport:
    """Find out whether a benchmark can be answered without looking at its images.

    A name or path is read as by the command: rows that are no question become findings.
    `train` is another split (or another benchmark) to fit on for the transfer probe.
    `permutations` is the number of redraws of the right options, `seeds` of assignments to folds;
    `margin` is how far above chance is still clean. `findings` are put first in the report.
    `look_at_data` adds what is wrong with texts, images and splits (those beside the benchmark,
    and `train`).
    `progress` is told what is being done. The same questions and seed give the same report,
    whatever the order of questions and options and the options' letters (the counts of positions
    excepted). Raises UsageError, DataError, or SelfTestFailed if a probe saw a label.
    """
    if permutations < 1 or seeds < 1:
        raise UsageError("--permutations and --seeds are 1 or more")
    if not 0 < margin < 1:
        raise UsageError(f"the margin above chance lies between 0 and 1, not {margin}")
    tick = progress or _silent
    loaded, found = _read(benchmark)
    other = None if train is None else _loaded(train)
    taken = take_in(loaded.questions)
    if look_at_data:
        splits, unread = other_splits(loaded, other)
        found += (*unread, *examine(loaded, splits, tick=tick))
    # One thread per matrix product, and several products at once: faster for products of this
    # size, and the same bits on any number of cores.
    with threadpool_limits(limits=1):
        # First: what is wrong with `train` is said before the long work.
        transfer = None
        if other is not None:
            transfer = probe_transfer(
                taken.questions,
                taken.clusters.labels,
                other,
                seed=seed,
                workers=workers or max(1, min(4, os.cpu_count() or 1)),
                tick=tick,
            )
        text = probe_text(
            taken.questions,
            taken.clusters.labels,
            permutations=permutations,
            seeds=seeds,
            seed=seed,
            margin=margin,
            workers=workers or max(1, min(4, os.cpu_count() or 1)),
            tick=tick,
        )
        tick("phrases")
        phrases = find_phrases(text.table, text.gold)
    position = position_bias(taken.questions, seed)
    return _report(
        loaded, taken, text, transfer, position, tuple(phrases), (*findings, *found),
        {"permutations": permutations, "seeds": text.seeds, "null_seeds": text.null_seeds,
         "folds": text.folds, "seed": seed, "margin": margin, "levels": LEVELS},
    )  # fmt: skip


def _silent(_: str) -> None:
    pass


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


def _report(
    benchmark: Benchmark,
    taken: Intake,
    text: TextOnly,
    transfer: Transfer | None,
    position: PositionBias,
    phrases: tuple[Any, ...],
    findings: tuple[Finding, ...],
    settings: dict[str, Any],
) -> AuditReport:
    strata = _ordered(text.strata, benchmark.dimensions)
    more = [*_design_findings(text, settings), *_below_chance(strata), *_skew(position)]
    by_dimension: dict[str, Verdict] = {
        stratum.name: stratum.verdict for stratum in strata[1:] or strata
    }
    if len(strata) == 1:
        by_dimension = {text.table.dimensions[0]: strata[0].verdict}
    for name in by_dimension:
        # With one dimension, all questions are that dimension.
        skew = position.p_adjusted.get(name if len(strata) > 1 else "", 1.0)
        if skew <= SIDE_LEVEL:
            by_dimension[name] = "leaky"
    others: list[Verdict] = [stratum.verdict for stratum in strata[1:]]
    if min(position.p_adjusted.values()) <= SIDE_LEVEL:
        others.append("leaky")
    if transfer is not None:
        more += transfer.findings
        others.append(transfer.verdict)
    verdict = overall(strata[0].verdict, others)
    return AuditReport(
        benchmark={
            "name": benchmark.name,
            "split": benchmark.split,
            "revision": benchmark.revision,
            "card": benchmark.card,
            "questions": len(benchmark.questions),
            "audited": text.table.n,
            "clusters": taken.clusters.count,
            "clusters_from": taken.clusters.source,
            "clusters_known": taken.clusters.known,
        },
        settings=settings,
        versions=_versions(),
        verdict=verdict,
        verdict_by_dimension=by_dimension,
        reasons=_reasons(verdict, strata, position, transfer, settings["margin"]),
        strata=strata,
        position=position,
        phrases=phrases,
        cues=_cues(strata),
        questions=_leaks(taken.questions, text),
        findings=(*findings, *taken.findings, *more),
        self_test={"passed": True, "probes": list(text.checked)},
        sections={} if transfer is None else {"transfer": transfer.to_json()},
        source=taken.questions,
    )


def _ordered(strata: Sequence[StratumResult], names: Sequence[str]) -> tuple[StratumResult, ...]:
    place = {name: k for k, name in enumerate(names)}
    rest = sorted(strata[1:], key=lambda s: (place.get(s.name, len(place)), s.name))
    return (strata[0], *rest)


def _design_findings(text: TextOnly, settings: dict[str, Any]) -> list[Finding]:
    found = []
    if not text.folds:
        found.append(
            Finding("too-few-questions", "warning",
                    "No probe could be trained: there is only one question to learn from.")
        )  # fmt: skip
    floor = 1 / (settings["permutations"] + 1)
    if floor > LEVEL:
        needed = int(1 / LEVEL)
        found.append(
            Finding("few-redraws", "warning",
                    f"{settings['permutations']} redraws cannot make a p-value of {LEVEL}: no "
                    f"benchmark can be called leaky. Use --permutations {needed} or more.")
        )  # fmt: skip
    return found


def _below_chance(strata: Sequence[StratumResult]) -> list[Finding]:
    """Rules that do much worse than guessing: avoiding their picks beats chance."""
    found = []
    rules = [p for p in strata[0].probes if p.kind == "rule"]
    for probe in rules:
        p = chance_test(probe.correct, [probe.chance] * probe.n, "less")
        if p * len(rules) <= LEVEL:
            found.append(
                Finding(
                    "below-chance",
                    "warning",
                    f"{probe.about} is right in {probe.correct:.0f}/{probe.n} questions, below "
                    f"chance ({probe.chance:.3f}): avoiding it is a shortcut.",
                    {"probe": probe.name, "accuracy": round(probe.accuracy, 6), "p_value": p},
                )
            )
    return found


def _skew(position: PositionBias) -> list[Finding]:
    found = []
    for name, p in position.p_adjusted.items():
        if p <= SIDE_LEVEL:
            where = f" of {name}" if name else ""
            counts = "/".join(str(c) for c in position.counts[name])
            found.append(
                Finding("answer-position", "error",
                        f"Right options{where} are not spread evenly over positions: {counts}.",
                        {"counts": list(position.counts[name]), "p_adjusted": p})
            )  # fmt: skip
    return found


def _reasons(
    verdict: Verdict,
    strata: Sequence[StratumResult],
    position: PositionBias,
    transfer: Transfer | None,
    margin: float,
) -> tuple[str, ...]:
    """Why the verdict is what it is, for people."""
    lines = []
    for stratum in strata:
        if stratum.verdict == "leaky":
            best, name = stratum.best, stratum.name or "all questions"
            lines.append(
                f"{name}: {best.name} answers {best.correct:.0f}/{best.n} = {best.accuracy:.3f} "
                f"(95 % {best.ci[0]:.3f} to {best.ci[1]:.3f}) without images; chance is "
                f"{stratum.chance:.3f}"
            )
    if min(position.p_adjusted.values()) <= SIDE_LEVEL:
        lines.append("right options are not spread evenly over positions")
    if transfer is not None and transfer.verdict == "leaky":
        lines.append(
            f"fitted on {transfer.trained_on}, the stack answers {transfer.correct:.0f}/"
            f"{transfer.n} = {transfer.accuracy:.3f} without images"
        )
    if verdict == "undecided":
        whole = strata[0]
        lines.append(
            f"no leak was shown, but with {whole.n} questions accuracies up to {whole.upper:.3f} "
            f"remain possible (limit for a pass: {whole.chance + margin:.3f})"
        )
    if verdict == "clean":
        whole = strata[0]
        lines.append(
            f"no probe can be above {whole.upper:.3f} (limit for a pass: "
            f"{whole.chance + margin:.3f})"
        )
    return tuple(lines)


def _cues(strata: Sequence[StratumResult]) -> tuple[Cue, ...]:
    rows = []
    for stratum in strata:
        for probe in stratum.probes:
            if probe.kind == "rule":
                above = probe.p_value
                below = chance_test(probe.correct, [probe.chance] * probe.n, "less")
                rows.append((stratum.name, probe, min(1.0, 2 * min(above, below))))
    adjusted = benjamini_hochberg([p for _, _, p in rows])
    cues = [
        Cue(probe.name, probe.about, name, probe.correct, probe.n, probe.ci, probe.chance, p, q)
        for (name, probe, p), q in zip(rows, adjusted, strict=True)
        if q <= _CUE_LEVEL
    ]
    return tuple(sorted(cues, key=lambda cue: (cue.p_value, cue.dimension, cue.rule)))


def _leaks(questions: Sequence[Question], text: TextOnly) -> tuple[QuestionLeak, ...]:
    spread = text.leak_spread
    rows = [
        QuestionLeak(
            id=questions[place].id,
            dimension=questions[place].dimension,
            leak_score=float(text.leak[i]),
            leak_sd=None if spread is None else float(spread[i]),
            chance=float(text.table.chances[i]),
        )
        for i, place in enumerate(text.table.order)
    ]
    return tuple(sorted(rows, key=lambda row: (-round(row.leak_score, 6), row.id)))


def _versions() -> dict[str, str]:
    names = ("numpy", "scipy", "scikit-learn")
    found = {name: version(name) for name in names}
    return {"scalevqa-eval": __version__, "python": platform.python_version(), **found}
