"""The part of `scalevqa audit` that asks models: --adversary and --visual."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import say

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.cli.audit import AuditOptions
    from scalevqa_eval.models import Model
    from scalevqa_eval.types import Benchmark


class Models:
    """The models that were named, and how to reach them. Raises UsageError."""

    def __init__(self, given: AuditOptions) -> None:
        self._given = given
        self._adversaries, self._visual = given.adversary or [], given.visual or []
        self.named = [*self._adversaries, *self._visual]
        if not self.named and (given.base_url or given.engine_option):
            raise UsageError("--base-url and -O go with --adversary or --visual")

    def confirm(self, loaded: Benchmark, ask: bool) -> None:
        """Say what asking will take; on a terminal, ask before money is spent."""
        if not self.named:
            return
        from scalevqa_eval.audit import blind, visual
        from scalevqa_eval.audit.models import estimate
        from scalevqa_eval.run import run_blocking

        target, seed = _closed(loaded), self._given.seed
        for name in self.named:  # what is wrong with a name or a key is said before the long work
            run_blocking(self._open(name).aclose())
        estimates = [
            *(estimate(name, target, blind.plan(target, True), seed) for name in self._adversaries),
            *(estimate(name, target, visual.plan(target, seed)[0], seed) for name in self._visual),
        ]
        for one in estimates:
            say(one, err=True)
        costs = sum(one.dollars or 0.0 for one in estimates)
        if ask and costs > 0 and sys.stdin.isatty() and sys.stderr.isatty():
            typer.confirm(f"Spend about ${costs:.2f}?", abort=True, err=True)

    def ask(self, report: AuditReport, loaded: Benchmark, directory: Path) -> AuditReport:
        """Ask all models; their runs lie in DIRECTORY/runs, and are continued by a repetition."""
        if not self.named:
            return report
        from scalevqa_eval.audit.assemble import known_of
        from scalevqa_eval.audit.blind import run_blind, with_blind
        from scalevqa_eval.audit.visual import run_visual

        target = _closed(loaded)
        common: dict[str, Any] = {
            "output": directory / "runs", "seed": self._given.seed,
            "max_concurrency": self._given.max_concurrency,
        }  # fmt: skip
        if self._adversaries:
            known = known_of(report, target.questions)
            blind = self._each(
                self._adversaries, f"without images, {target.name}",
                lambda models, **progress: run_blind(models, target, known, **common, **progress),
            )  # fmt: skip
            report = with_blind(report, blind)
        if self._visual:
            section, findings = self._each(
                self._visual, f"image conditions, {target.name}",
                lambda models, **progress: run_visual(models, target, **common, **progress),
            )  # fmt: skip
            report = report.with_section("visual", section, findings)
        return report

    def _each(self, names: Sequence[str], title: str, work: Callable[..., Any]) -> Any:
        from scalevqa_eval.run import run_blocking, shown

        models = [self._open(name) for name in names]
        try:
            with shown(title) as show:
                return work(models, on_progress=show.update, warn=show.warn)
        finally:
            for model in models:
                run_blocking(model.aclose())

    def _open(self, name: str) -> Model:
        from scalevqa_eval.cli.run import engine_options
        from scalevqa_eval.models import load_model

        options = engine_options(self._given.engine_option)
        if self._given.base_url is not None:
            options["base_url"] = self._given.base_url
        return load_model(name, **options)


def _closed(loaded: Benchmark) -> Benchmark:
    """The questions with options: open ones are no part of an audit."""
    return replace(loaded, questions=tuple(q for q in loaded.questions if not q.is_open))
