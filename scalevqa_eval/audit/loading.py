"""Reading a benchmark for an audit: rows that are no question become findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scalevqa_eval.audit.clusters import cluster_fields
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Benchmark

if TYPE_CHECKING:
    from scalevqa_eval.data import Loaded

_SHOWN = 20


def read_for_audit(
    name_or_path: str, split: str | None = None, data_dir: Path | None = None
) -> tuple[Benchmark, tuple[Finding, ...]]:
    """The questions that could be read, and one finding per kind of defect of the others.

    Raises UsageError or DataError if nothing can be read.
    """
    from scalevqa_eval.data import Location, read_benchmark

    loaded = read_benchmark(Location(name_or_path, split, data_dir))
    if not loaded.benchmark.questions:
        first = loaded.defects[0] if loaded.defects else None
        why = f": row {first.row}: {first.message}" if first else ""
        raise DataError(f"{name_or_path}: no question could be read{why}")
    kinds: dict[str, list[str]] = {}
    for defect in loaded.defects:
        kinds.setdefault(defect.kind, []).append(f"row {defect.row}: {defect.message}")
    findings = tuple(
        Finding(
            f"defect-{kind}",
            "error",
            f"{len(rows):,} row{'s' * (len(rows) > 1)} could not be read and "
            f"{'are' if len(rows) > 1 else 'is'} left out: {rows[0]}",
            {"rows": rows[:_SHOWN], "count": len(rows)},
        )
        for kind, rows in kinds.items()
    )
    return _with_cluster_fields(loaded), findings


def _with_cluster_fields(loaded: Loaded) -> Benchmark:
    """Where slides are missing: fields that no card mentions and that may name the slide."""
    benchmark = loaded.benchmark
    if all(question.slide for question in benchmark.questions):
        return benchmark
    from scalevqa_eval.audit.repair.dataset import raw_rows

    rows = {id_: cluster_fields(row) for id_, row in raw_rows(loaded).items()}
    return replace(
        benchmark,
        questions=tuple(
            replace(q, extra={**rows.get(q.id, {}), **q.extra}) for q in benchmark.questions
        ),
    )
