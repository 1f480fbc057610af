"""An audit on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType  # noqa: TID251 (its type)
from rich.markup import escape  # noqa: TID251
from rich.table import Table

from scalevqa_eval.audit.report import AuditReport
from scalevqa_eval.audit.results import ProbeResult, StratumResult
from scalevqa_eval.audit.shown import full_name

WIDTH = 79
_PROBES = 8
_PHRASES = 8
_FINDINGS = 12


def show(console: Console, report: AuditReport) -> None:
    """Print the tables and the verdict."""
    for part in parts(report):
        console.print(part)
        console.print()


def parts(report: AuditReport) -> list[RenderableType]:
    """Tables and lines, in the order in which they are shown."""
    shown: list[RenderableType] = [_strata(report), _probes(report)]
    transfer = report.sections.get("transfer")
    if transfer:
        shown.append(_transfer(transfer))
    if report.phrases or report.cues:
        shown.append(_shortcuts(report))
    if report.findings:
        shown.append(_findings(report))
    shown.append(_verdict(report))
    return shown


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=escape(title),
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        box=None,
        pad_edge=False,
        width=WIDTH,
    )


def _columns(table: Table, first: str, others: Iterable[str]) -> None:
    table.add_column(first, ratio=1, overflow="ellipsis", no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)


def _strata(report: AuditReport) -> Table:
    name = full_name(report.benchmark["name"], report.benchmark["split"])
    redraws = report.settings["permutations"]
    table = _table(
        f"{clean(name)}: answered without images",
        "One question at a time; all probes combined, or one clearly better. p: of all probes "
        f"against {redraws} redraws of the answers, all rows together.",
    )
    _columns(table, "", ("best probe", "k/n", "%", "95 % interval", "p", "verdict"))
    for stratum in (*report.strata[1:], report.strata[0]):
        best = stratum.best
        table.add_row(
            escape(clean(stratum.name or "all questions")),
            best.name,
            fraction(best),
            f"{100 * best.accuracy:.1f}",
            span(best.share.ci),
            f"{stratum.p_adjusted:.3f}",
            stratum.verdict,
        )
    return table


def _probes(report: AuditReport) -> Table:
    whole = report.strata[0]
    table = _table("Probes, all questions", _chance(whole))
    _columns(table, "probe", ("kind", "k/n", "%", "95 % interval", "null %", "p"))
    best = sorted(whole.probes, key=lambda probe: (-probe.accuracy, probe.name))
    for probe in best[:_PROBES]:
        null = "" if probe.null_mean is None else f"{100 * probe.null_mean:.1f}"
        table.add_row(
            probe.name, probe.kind, fraction(probe), f"{100 * probe.accuracy:.1f}",
            span(probe.share.ci), null, small(probe.p_value),
        )  # fmt: skip
    return table


def _chance(whole: StratumResult) -> str:
    text = f"Chance is {100 * whole.chance:.1f} %."
    if whole.detectable_leak is not None:
        text += f" These slides show leaks from {100 * whole.detectable_leak:.1f} points on."
    return text


def _transfer(transfer: Mapping[str, Any]) -> Table:
    table = _table(
        f"All probes, fitted on {clean(transfer['trained_on'])}, answering these questions"
    )
    _columns(table, "", ("k/n", "%", "95 % interval", "p"))
    rows = {**transfer["by_dimension"], "all questions": transfer}
    for name, part in rows.items():
        table.add_row(
            escape(clean(name)), f"{part['correct']:.0f}/{part['n']}",
            f"{100 * part['accuracy']:.1f}", span(part["ci"]), small(part["p_value"]),
        )  # fmt: skip
    return table


def _shortcuts(report: AuditReport) -> Table:
    table = _table("Shortcuts", "right: options with the phrase that are right, of all with it.")
    _columns(table, "options with …", ("dimension", "right", "by chance"))
    for cue in report.cues[:3]:
        text = cue.about.removeprefix("the option ").removeprefix("the ")
        table.add_row(
            escape(text), escape(clean(cue.dimension or "all")),
            f"{cue.share.correct:.0f}/{cue.share.n}", f"{cue.share.chance * cue.share.n:.0f}",
        )  # fmt: skip
    for phrase in report.phrases[:_PHRASES]:
        table.add_row(
            escape(f"“{clean(phrase.text)}”"), escape(clean(phrase.dimension or "all")),
            f"{phrase.right}/{phrase.questions}", f"{phrase.expected:.0f}",
        )  # fmt: skip
    return table


def _findings(report: AuditReport) -> Group:
    order = {"error": 0, "warning": 1, "note": 2}
    found = sorted(report.findings, key=lambda finding: order[finding.severity])
    lines = [f"{f.severity}: {clean(f.message)}" for f in found[:_FINDINGS]]
    if len(found) > _FINDINGS:
        lines.append(f"… and {len(found) - _FINDINGS} more in audit.json")
    return Group(*(escape(line) for line in lines))


def _verdict(report: AuditReport) -> Group:
    lines = [f"Verdict: {report.verdict.upper()}"]
    lines += [f"- {clean(reason)}" for reason in report.reasons]
    return Group(*(escape(line) for line in lines))


def fraction(probe: ProbeResult) -> str:
    """k/n; a tenth is shown where ties, or several seeds, make k no whole number."""
    correct = round(probe.share.correct, 1)
    shown = f"{correct:.0f}" if correct == int(correct) else f"{correct:.1f}"
    return f"{shown}/{probe.share.n}"


def span(ci: Iterable[float]) -> str:
    low, high = ci
    return f"{100 * low:.1f} – {100 * high:.1f}"


def small(p: float) -> str:
    return f"{p:.3f}" if p >= 0.0005 else "<.0005"


def clean(text: str) -> str:
    """Without control characters: names and phrases come from files."""
    return "".join(c if c.isprintable() else " " for c in text)
