"""What options add to a report: blind models, image conditions and a repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scalevqa_eval.audit.blind import Blind
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.report import AuditReport


def with_blind(report: AuditReport, blind: Blind) -> AuditReport:
    """Add blind models; the verdict becomes leaky if one of them is above chance."""
    report = with_section(report, "blind", blind.section, blind.findings)
    if not blind.reasons:
        return report
    if report.verdict == "leaky":
        return replace(report, reasons=(*report.reasons, *blind.reasons))
    return replace(report, verdict="leaky", reasons=blind.reasons)


def with_section(
    report: AuditReport, name: str, section: dict[str, Any], findings: Sequence[Finding] = ()
) -> AuditReport:
    """The report with one more part of audit.json, and its findings."""
    return replace(
        report,
        sections={**report.sections, name: section},
        findings=(*report.findings, *findings),
    )
