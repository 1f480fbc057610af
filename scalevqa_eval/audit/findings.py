"""What an audit found wrong, with evidence and the questions that it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
LISTED = 100
"""Ids in one finding, and entries in one list of evidence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is a stable short name, `message` one sentence for people."""

    kind: str
    severity: Severity
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    question_ids: tuple[str, ...] = ()

    @classmethod
    def about(
        cls,
        ids: Iterable[str],
        kind: str,
        severity: Severity,
        message: str,
        evidence: Mapping[str, Any] | None = None,
    ) -> Finding:
        """A finding about questions; `{n}` in the message becomes "1 question" or "N questions".

        All ids are counted (`evidence["questions"]`), the first hundred are listed.
        """
        concerned = sorted(set(map(str, ids)))
        text = message.replace("{n}", counted(len(concerned), "question"))
        shown = tuple(concerned[:LISTED])
        return cls(kind, severity, text, {"questions": len(concerned), **(evidence or {})}, shown)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "evidence": dict(self.evidence),
            "question_ids": list(self.question_ids),
        }


def counted(number: int, noun: str) -> str:
    """`1 slide`, `2 slides`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
