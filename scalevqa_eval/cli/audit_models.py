"""The part of `scalevqa audit` that asks models: --adversary and --visual."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scalevqa_eval.cli.options import engine_options
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import say

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.cli.audit import AuditOptions
    from scalevqa_eval.models import Model
    from scalevqa_eval.types import Benchmark


def confirm(given: AuditOptions, loaded: Benchmark) -> None:
    """Say what asking will take; on a terminal, ask before money is spent. Raises UsageError."""
    adversaries, visuals = given.adversary or [], given.visual or []
    if not (adversaries or visuals):
        if given.base_url or given.engine_option:
            raise UsageError("--base-url and -O go with --adversary or --visual")
        return
    from scalevqa_eval.audit import blind, visual
    from scalevqa_eval.audit.models import estimate
    from scalevqa_eval.run import run_sync

    target, seed = _closed(loaded), given.seed
    for name in (*adversaries, *visuals):  # a wrong name or key is said before the long work
        run_sync(_open(given, name).aclose())
    estimates = [
        *(estimate(name, target, blind.plan(target, True), seed) for name in adversaries),
        *(estimate(name, target, visual.plan(target, seed)[0], seed) for name in visuals),
    ]
    for one in estimates:
        say(one, err=True)
    costs = sum(one.dollars or 0.0 for one in estimates)
    if costs > 0 and not given.yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(f"Spend about ${costs:.2f}?", abort=True, err=True)


def ask(
    given: AuditOptions, report: AuditReport, loaded: Benchmark, directory: Path
) -> AuditReport:
    """Ask all models; their runs lie in DIRECTORY/runs, and are continued by a repetition."""
    target = _closed(loaded)
    common: dict[str, Any] = {
        "output": directory / "runs", "seed": given.seed, "max_concurrency": given.max_concurrency,
    }  # fmt: skip
    if given.adversary:
        from scalevqa_eval.audit.blind import Known, run_blind, with_blind

        known = Known.of(report, target.questions)
        blind = _each(
            given, given.adversary, f"without images, {target.name}",
            lambda models, **progress: run_blind(models, target, known, **common, **progress),
        )  # fmt: skip
        report = with_blind(report, blind)
    if given.visual:
        from scalevqa_eval.audit.visual import run_visual

        section, findings = _each(
            given, given.visual, f"image conditions, {target.name}",
            lambda models, **progress: run_visual(models, target, **common, **progress),
        )  # fmt: skip
        report = report.with_section("visual", section, findings)
    return report


def _each(given: AuditOptions, names: Sequence[str], title: str, work: Callable[..., Any]) -> Any:
    from scalevqa_eval.run import run_sync, shown

    models = [_open(given, name) for name in names]
    try:
        with shown(title) as show:
            return work(models, on_progress=show.update, warn=show.warn)
    finally:
        for model in models:
            run_sync(model.aclose())


def _open(given: AuditOptions, name: str) -> Model:
    from scalevqa_eval.models import load_model

    return load_model(name, **engine_options(given.engine_option, given.base_url))


def _closed(loaded: Benchmark) -> Benchmark:
    """The questions with options: open ones are no part of an audit."""
    return replace(loaded, questions=tuple(q for q in loaded.questions if not q.is_open))
