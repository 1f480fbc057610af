"""The report of an audit, and its file: audit.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.position import PositionBias
from scalevqa_eval.audit.results import StratumResult, rounded
from scalevqa_eval.audit.shortcuts import Phrase
from scalevqa_eval.audit.verdict import LEVEL, SIDE_LEVEL, Verdict
from scalevqa_eval.types import Question

FILE = "audit.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class QuestionLeak:
    """How probable the right option is to a reader of the text alone (the stack, held out)."""

    id: str
    dimension: str
    leak_score: float
    leak_sd: float | None
    chance: float

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "dimension": self.dimension,
            "leak_score": rounded(self.leak_score),
            "leak_sd": rounded(self.leak_sd),
            "chance": rounded(self.chance),
        }


@dataclass(frozen=True, slots=True)
class Cue:
    """A rule that does better, or worse, than chance on a dimension ("" is all questions)."""

    rule: str
    about: str
    dimension: str
    correct: float
    n: int
    ci: tuple[float, float]
    chance: float
    p_value: float
    q_value: float

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "about": self.about,
            "dimension": self.dimension,
            "direction": "right" if self.correct > self.chance * self.n else "wrong",
            "correct": rounded(self.correct),
            "n": self.n,
            "accuracy": rounded(self.correct / self.n),
            "ci": [rounded(x) for x in self.ci],
            "chance": rounded(self.chance),
            "p_value": float(f"{self.p_value:.3g}"),
            "q_value": float(f"{self.q_value:.3g}"),
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that an audit found. `sections` is for parts that are asked for by options.

    `strata[0]` is all questions, the others are dimensions. `questions` are most leaky first.
    `source` are the audited questions; only the page's examples show anything of them.
    """

    benchmark: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    verdict: Verdict
    verdict_by_dimension: Mapping[str, Verdict]
    reasons: tuple[str, ...]
    strata: tuple[StratumResult, ...]
    position: PositionBias
    phrases: tuple[Phrase, ...]
    cues: tuple[Cue, ...]
    questions: tuple[QuestionLeak, ...]
    findings: tuple[Finding, ...]
    self_test: Mapping[str, Any]
    sections: Mapping[str, Any]
    source: tuple[Question, ...] = field(default=(), repr=False, compare=False)

    @property
    def text_only(self) -> StratumResult:
        """The probes on all questions; `by_dimension` has those on each dimension."""
        return replace(self.strata[0], by_dimension={s.name: s for s in self._dimensions()})

    @property
    def transfer(self) -> Mapping[str, Any] | None:
        """`transfer` of audit.json, if the audit was given a split to fit on."""
        found: Mapping[str, Any] | None = self.sections.get("transfer")
        return found

    def to_json(self) -> dict[str, Any]:
        """What audit.json holds; docs/audit.md explains every key."""
        overall = self.strata[0]
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "verdict_by_dimension": dict(self.verdict_by_dimension),
            "reasons": list(self.reasons),
            "benchmark": dict(self.benchmark),
            "text_only": {
                **overall.to_json(),
                "probes": [probe.to_json() for probe in overall.probes],
                "by_dimension": {
                    stratum.name: {
                        **stratum.to_json(),
                        "probes": [probe.to_json() for probe in stratum.probes],
                    }
                    for stratum in self._dimensions()
                },
            },
            "position": _position(self.position),
            "shortcuts": {
                "phrases": [phrase.to_json() for phrase in self.phrases],
                "cues": [cue.to_json() for cue in self.cues],
            },
            "findings": [finding.to_json() for finding in self.findings],
            "self_test": dict(self.self_test),
            **self.sections,
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "questions": [question.to_json() for question in self.questions],
        }

    def _dimensions(self) -> tuple[StratumResult, ...]:
        if len(self.strata) > 1:
            return self.strata[1:]
        return tuple(replace(self.strata[0], name=name) for name in self.verdict_by_dimension)

    def text(self) -> str:
        """audit.json as text; the same audit gives the same bytes."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, directory: Path | str) -> Path:
        """Write audit.json, audit.html, badge.svg and datasheet.md; returns audit.json.

        Raises DataError if they cannot be written.
        """
        from scalevqa_eval.audit.output import save

        return save(self, directory)


def _position(bias: PositionBias) -> dict[str, Any]:
    def stratum(name: str) -> dict[str, Any]:
        return {
            "counts": list(bias.counts[name]),
            "expected": [rounded(x) for x in bias.expected[name]],
            "p_value": rounded(bias.p_value[name]),
            "p_adjusted": rounded(bias.p_adjusted[name]),
        }

    dimensions = {name: stratum(name) for name in bias.counts if name}
    return {**stratum(""), "level": SIDE_LEVEL, "by_dimension": dimensions}


LEVELS = {"text_only": LEVEL, "position": SIDE_LEVEL, "transfer": SIDE_LEVEL}
