"""Find out whether a benchmark can be answered without looking at its images.

    from scalevqa_eval import audit
    report = audit("path/to/questions.json")
    report.verdict, report.text_only.best.accuracy

One direction: `reading` (questions, clusters, findings) → `table` (texts, no answers) →
`features` → `probes` → `crossval` → `inference` and `verdict` (against `redraws`) → `results` and
`report` (audit.json) → the page; `assemble` calls them in turn. Beside it `position`, `phrases`,
`mates`, `transfer`, `blind`, `visual`, and `dataset` and `repair`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalevqa_eval.audit.assemble import audit as audit
    from scalevqa_eval.audit.findings import Finding as Finding
    from scalevqa_eval.audit.report import AuditReport as AuditReport
    from scalevqa_eval.audit.textonly import SelfTestFailed as SelfTestFailed

_HOMES = {"AuditReport": "report", "Finding": "findings", "SelfTestFailed": "textonly"}

__all__ = ["AuditReport", "Finding", "SelfTestFailed", "audit"]


class _Package(ModuleType):
    """`scalevqa_eval.audit` is both this package and, for `from scalevqa_eval import audit`, the
    function: importing a submodule sets the name to the package, so the package can be called.
    """

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from scalevqa_eval.audit.assemble import audit

        return audit(*arguments, **options)


def __getattr__(name: str) -> Any:
    if name == "audit":
        return sys.modules[__name__]
    if name not in _HOMES:
        raise AttributeError(f"module 'scalevqa_eval.audit' has no attribute {name!r}")
    return getattr(import_module(f"scalevqa_eval.audit.{_HOMES[name]}"), name)


sys.modules[__name__].__class__ = _Package
