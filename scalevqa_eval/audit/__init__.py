"""Find out whether a benchmark can be answered without looking at its images.

    from scalevqa_eval.audit import audit
    report = audit("path/to/questions.json")
    report.verdict, report.text_only.best.accuracy

One direction: `reading` (questions, clusters, findings) → `table` (texts, no answers) →
`features` → `probes` → `crossval` → `inference` and `verdict` (against `redraws`) → `results`,
`conclusions` and `report` (audit.json) → `tables` and the page; `assemble` calls them in turn.
Beside it `position`, `phrases`, `transfer`, `blind`, `visual`, and `dataset` and `repair`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalevqa_eval.audit.assemble import audit as audit
    from scalevqa_eval.audit.findings import Finding as Finding
    from scalevqa_eval.audit.report import AuditReport as AuditReport
    from scalevqa_eval.audit.selftest import SelfTestFailed as SelfTestFailed

_HOMES = {
    "AuditReport": "report",
    "Finding": "findings",
    "SelfTestFailed": "selftest",
    "audit": "assemble",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scalevqa_eval.audit' has no attribute {name!r}")
    return getattr(import_module(f"scalevqa_eval.audit.{_HOMES[name]}"), name)
