"""What a vision model does with the images: visual gain, and whether each scale is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.inference import share
from scalevqa_eval.audit.models import Round, applicable
from scalevqa_eval.audit.results import rounded
from scalevqa_eval.compare import Comparison, condition_gap
from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import Model
from scalevqa_eval.run import Progress, Run, evaluate
from scalevqa_eval.types import Benchmark

CONDITIONS = (
    "full", "no-images", "blank-images", "wrong-images", "only-low", "only-mid", "only-high",
    "without-low", "without-mid", "without-high", "shuffled-views",
)  # fmt: skip


def plan(benchmark: Benchmark, seed: int = 0) -> tuple[list[Round], list[str]]:
    """What a vision model is asked, and the conditions that apply to no question here."""
    there = [name for name in CONDITIONS if applicable(name, benchmark, seed)]
    absent = [name for name in CONDITIONS if name not in there]
    return [Round("", benchmark.prompt, name) for name in there], absent


def run_visual(
    models: Sequence[Model],
    benchmark: Benchmark,
    *,
    output: Path,
    seed: int = 0,
    max_concurrency: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """The section `visual` of audit.json, and findings. Runs lie under `output`.

    Raises UsageError if there are no images, DataError if an image cannot be used, ModelError if
    a question got no reply (the same call asks again).
    """
    asked, absent = plan(benchmark, seed)
    names = [one.condition for one in asked]
    if "blank-images" not in names:
        raise UsageError(f"{benchmark.name} has no images: --visual has nothing to show a model")
    sections, findings = [], []
    for model in models:
        evaluation = evaluate(
            model, benchmark, names, output=output, seed=seed, max_concurrency=max_concurrency,
            progress=on_progress or False, warn=warn,
        )  # fmt: skip
        if not evaluation.complete:
            raise ModelError(
                f"{model.name}: some questions got no reply "
                f"({evaluation.stopped or 'see its runs'}); the same command asks them again"
            )
        section = summarise(model.name, evaluation.runs, absent, seed)
        sections.append(section)
        findings += _findings(section)
    return {"models": sections}, tuple(findings)


def summarise(
    model: str, runs: Mapping[str, Run], absent: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:
    """One model's part of the section, from complete runs by condition (`full` among them)."""
    full = runs["full"]
    keys = {key.id: key for key in full.questions}
    scored = [(record, keys[record.question_id]) for record in full.records]
    chances = np.array([1 / key.n_options if key.n_options else 0.0 for _, key in scored])
    # A question without a slide stands for itself.
    slides = [key.slide or f"\0{number}" for number, (_, key) in enumerate(scored)]
    gaps = [condition_gap(full, runs[k], seed=seed) for k in CONDITIONS[1:] if k in runs]
    return {
        "model": model,
        "full": share([float(r.score) for r, _ in scored], chances, slides).to_json(),
        "gaps": [
            {
                "condition": gap.second,
                "meaning": gap.meaning,
                "overall": _row(gap.overall),
                "rows": [_row(row) for row in gap.rows],
                "left_out": gap.left_out,
            }
            for gap in gaps
        ],
        "answer": _answer(gaps),
        "not_applicable": list(absent),
        "runs": {name: str(run.path) for name, run in runs.items()},
    }


def _row(row: Any) -> dict[str, Any]:
    return {k: rounded(v) if isinstance(v, float) else v for k, v in asdict(row).items()}


def _answer(gaps: Sequence[Comparison]) -> str:
    """Visual gain, and whether this model shows that several scales are needed, in words."""
    by_name = {gap.second: gap.overall for gap in gaps}
    parts = []
    blind = by_name.get("no-images")
    if blind is not None:
        parts.append(
            f"Visual gain: {_points(blind.difference, blind.low, blind.high)}"
            + ("." if blind.low > 0 else ", not shown to differ from none.")
        )
    singles = {name: row for name, row in by_name.items() if name.startswith("only-")}
    if len(singles) > 1:
        name, least = min(singles.items(), key=lambda item: item[1].difference)
        scale = name.removeprefix("only-")
        loss = _points(least.difference, least.low, least.high)
        open_ = [n.removeprefix("only-") for n, row in singles.items() if row.low <= 0]
        if not open_:
            parts.append(f"No single scale is enough: even the {scale} view alone loses {loss}.")
        else:
            parts.append(
                "It is not shown that several scales are needed: a loss is not shown with the "
                f"{' or the '.join(open_)} view alone; with the {scale} view this model loses "
                f"{loss}."
            )
    needed = [
        name.removeprefix("without-") for name, row in by_name.items()
        if name.startswith("without-") and row.low > 0
    ]  # fmt: skip
    if any(name.startswith("without-") for name in by_name):
        parts.append(
            f"Leaving one scale out costs something for: {', '.join(needed)}."
            if needed else "Leaving out any one scale costs nothing that could be shown."
        )  # fmt: skip
    return " ".join(parts)


def _points(difference: float, low: float, high: float) -> str:
    return f"{100 * difference:+.1f} points (95 % {100 * low:+.1f} to {100 * high:+.1f})"


def _findings(section: Mapping[str, Any]) -> list[Finding]:
    found = []
    for gap in section["gaps"]:
        row = gap["overall"]
        if gap["condition"] in ("no-images", "wrong-images") and row["high"] < 0:
            found.append(
                Finding("images-mislead", "warning",
                        f"{section['model']} does better under {gap['condition']} than with the "
                        f"images: {_points(row['difference'], row['low'], row['high'])}.",
                        {"model": section["model"], "condition": gap["condition"]})
            )  # fmt: skip
    return found
