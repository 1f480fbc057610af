"""The part of `scalevqa audit` that asks models: --adversary and --visual."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages import one_line
from scalevqa_eval.pages.terminal import say

if TYPE_CHECKING:
    from scalevqa_eval.audit import AuditReport
    from scalevqa_eval.models import Model
    from scalevqa_eval.types import Benchmark


@dataclass(frozen=True)
class Models:
    """The models that were named, and how to reach them."""

    adversaries: list[str]
    visual: list[str]
    base_url: str | None
    engine_option: list[str] | None
    max_concurrency: int | None
    seed: int

    def __post_init__(self) -> None:
        if not self.named and (self.base_url or self.engine_option):
            raise UsageError("--base-url and -O go with --adversary or --visual")

    @property
    def named(self) -> list[str]:
        return [*self.adversaries, *self.visual]

    def confirm(self, loaded: Benchmark, ask: bool) -> None:
        """Say what asking will take; on a terminal, ask before money is spent."""
        if not self.named:
            return
        from scalevqa_eval.audit import blind, visual
        from scalevqa_eval.audit.models import estimate
        from scalevqa_eval.run.event_loop import run_blocking

        target = _closed(loaded)
        estimates = []
        for name in self.named:  # what is wrong with a name or a key is said before the long work
            run_blocking(self._open(name).aclose())
        for name in self.adversaries:
            estimates.append(estimate(name, target, blind.plan(target, True), self.seed))
        for name in self.visual:
            asked, _ = visual.plan(target, self.seed)
            estimates.append(estimate(name, target, asked, self.seed))
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
        runs = directory / "runs"
        common: dict[str, Any] = {
            "output": runs, "seed": self.seed, "max_concurrency": self.max_concurrency,
        }  # fmt: skip
        if self.adversaries:
            known = known_of(report, target.questions)
            blind = self._each(
                self.adversaries, f"without images, {target.name}",
                lambda models, **shown: run_blind(models, target, known, **common, **shown),
            )  # fmt: skip
            report = with_blind(report, blind)
        if self.visual:
            section, findings = self._each(
                self.visual, f"image conditions, {target.name}",
                lambda models, **shown: run_visual(models, target, **common, **shown),
            )  # fmt: skip
            report = report.with_section("visual", section, findings)
        return report

    def _each(self, names: list[str], title: str, work: Callable[..., Any]) -> Any:
        from scalevqa_eval.run import progress
        from scalevqa_eval.run.event_loop import run_blocking

        models = [self._open(name) for name in names]
        try:
            with progress.shown(title) as show:
                return work(models, on_progress=show.update, warn=show.warn)
        finally:
            for model in models:
                run_blocking(model.aclose())

    def _open(self, name: str) -> Model:
        from scalevqa_eval.cli.run import engine_options
        from scalevqa_eval.models import load_model

        options = engine_options(self.engine_option)
        if self.base_url is not None:
            options["base_url"] = self.base_url
        return load_model(name, **options)


def _closed(loaded: Benchmark) -> Benchmark:
    """The questions with options: open ones are no part of an audit."""
    return replace(loaded, questions=tuple(q for q in loaded.questions if not q.is_open))


def show_sections(report: AuditReport) -> None:
    """Lines on blind models, image conditions and the repair, for the terminal."""
    blind, visual = report.sections.get("blind"), report.sections.get("visual")
    repair = report.sections.get("repair")
    lines: list[str] = []
    if blind:
        lines.append("Without images:")
        for row in blind["results"]:
            lines.append(
                f"- {row['model']}, {row['mode']}, {row['condition']}: {_share(row)}, "
                f"{row['call']}" + ("" if row["call"] == "not shown" else " chance")
            )
        for row in blind["elimination"]:
            lines.append(
                f"- {row['model']}, a wrong option named: {_share(row)}, "
                f"by chance {100 * row['chance']:.0f} %"
            )
    for model in visual["models"] if visual else ():
        lines.append(f"{model['model']}, all shown: {_share(model['full'])}. {model['answer']}")
        for gap in model["gaps"]:
            row = gap["overall"]
            lines.append(
                f"- {gap['condition']}: {row['first']}/{row['n']} to {row['second']}/{row['n']}, "
                f"loss {100 * row['difference']:+.1f} ({100 * row['low']:+.1f} to "
                f"{100 * row['high']:+.1f})"
            )
    if repair:
        lines.append(f"Repair by {repair['method']}: {repair['status'].upper()}")
        lines.append(repair["statement"])
        lines += [f"- {line}" for line in repair["lines"]]
        lines += [f"- {check['name']}: {_share(check)}" for check in repair["checks"]]
    for line in lines:
        say(one_line(line))


def _share(row: dict[str, Any]) -> str:
    low, high = row["ci"]
    return (
        f"{row['correct']:.0f}/{row['n']} = {100 * row['accuracy']:.1f} % "
        f"({100 * low:.1f} – {100 * high:.1f})"
    )
