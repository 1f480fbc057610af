"""Findings about questions, written in one way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scalevqa_eval.audit.findings import Finding, Severity

SHOWN = 100
"""Ids in one finding, and entries in one list of evidence."""


def note(
    kind: str,
    severity: Severity,
    ids: Iterable[str],
    message: str,
    evidence: Mapping[str, Any] | None = None,
) -> Finding:
    """A finding; `{n}` in the message becomes "1 question" or "N questions".

    `ids` are the questions concerned: all are counted, the first hundred are listed.
    """
    concerned = sorted(set(ids))
    number = f"{len(concerned):,} question" + ("" if len(concerned) == 1 else "s")
    return Finding(
        kind,
        severity,
        message.replace("{n}", number),
        {"questions": len(concerned), **(evidence or {})},
        tuple(concerned[:SHOWN]),
    )


def counted(number: int, noun: str) -> str:
    """`1 slide`, `2 slides`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def named(names: Iterable[str]) -> list[str]:
    """The first names of a list of evidence, sorted."""
    return sorted(set(names))[:SHOWN]
