"""A repair from beginning to end: change, write, audit again, and say what it is worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_limits

from scalevqa_eval.audit.intake import take_in
from scalevqa_eval.audit.repair.by_blocks import by_blocks
from scalevqa_eval.audit.repair.by_pruning import by_pruning
from scalevqa_eval.audit.repair.dataset import file_name, raw_rows, rows_text
from scalevqa_eval.audit.repair.judging import UNUSED, Setting
from scalevqa_eval.audit.verdict import MARGIN
from scalevqa_eval.data import Loaded
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Benchmark

Method = Literal["prune", "blocks"]
METHODS: tuple[Method, ...] = ("prune", "blocks")


def repair(
    method: str,
    benchmark: Benchmark,
    directory: Path | str,
    *,
    external: Benchmark | None = None,
    loaded: Loaded | None = None,
    seed: int = 0,
    margin: float = MARGIN,
    tick: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a repaired question file and what goes with it into `directory`.

    `external` is a split that takes no part in the repair and judges it. `loaded` keeps the rows'
    other fields. Returns the section `repair` of audit.json. The same input and seed give the
    same files. Raises UsageError for an unknown method and DataError if nothing can be kept.
    """
    if method not in METHODS:
        raise UsageError(f"--repair is {' or '.join(METHODS)}, not {method!r}")
    setting = Setting(
        benchmark, take_in(benchmark.questions), external, seed, margin,
        tick or (lambda _: None),
    )  # fmt: skip
    with threadpool_limits(limits=1):  # as in an audit: the same bits on any number of cores
        result = by_pruning(setting) if method == "prune" else by_blocks(setting)
    directory = Path(directory)
    original = raw_rows(loaded) if loaded is not None else {}
    card = loaded.card if loaded is not None else None
    dataset = file_name(benchmark.split)
    changes = {
        "method": method,
        "seed": seed,
        "source": {"name": benchmark.name, "split": benchmark.split,
                   "revision": benchmark.revision},
        "dataset": dataset,
        "questions": result.changes,
    }  # fmt: skip
    files = {
        dataset: rows_text(result.questions, original, card),
        "changes.json": json.dumps(changes, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        **result.extra_files,
    }
    from scalevqa_eval.audit.output import write_text

    for name, text in files.items():
        write_text(directory / name, text)
    return {
        "method": method,
        "status": result.status,
        "statement": result.statement,
        "questions": len(setting.taken.questions),
        "kept": len(result.questions),
        "files": [f"{directory.name}/{name}" for name in files],
        "checks": [one.to_json() for one in result.checks],
        "lines": result.lines,
        "seed": seed + UNUSED,
    }
