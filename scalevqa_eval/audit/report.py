"""The report of an audit, and its file: audit.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.output import text_of, write_audit
from scalevqa_eval.audit.phrases import Phrase
from scalevqa_eval.audit.position import PositionBias
from scalevqa_eval.audit.results import (
    LEVEL,
    SIDE_LEVEL,
    Share,
    StratumResult,
    Verdict,
    overall,
    p_rounded,
    rounded,
    scope,
)
from scalevqa_eval.audit.tables import verdict_text
from scalevqa_eval.types import Question

FORMAT = 2
LEVELS = {"text_only": LEVEL, "position": SIDE_LEVEL, "transfer": SIDE_LEVEL, "blind": SIDE_LEVEL}


@dataclass(frozen=True, slots=True)
class QuestionLeak:
    """What the text of one question gives away: all probes combined, one question at a time.

    `leak_score` is the held-out probability of the right option, averaged over fold seeds,
    `leak_sd` its spread over them; `credit` how often the right option was chosen, `credit_file`
    the same for one who has the whole file.
    """

    id: str
    dimension: str
    slide: str | None
    leak_score: float
    leak_sd: float | None
    chance: float
    credit: float
    credit_file: float

    def to_json(self) -> dict[str, Any]:
        numbers = ("leak_score", "leak_sd", "chance", "credit", "credit_file")
        return {
            "id": self.id,
            "dimension": self.dimension,
            "slide": self.slide,
            **{name: rounded(getattr(self, name)) for name in numbers},
        }


@dataclass(frozen=True, slots=True)
class Cue:
    """A rule that does better, or worse, than the base rate on a dimension ("" is all)."""

    rule: str
    about: str
    dimension: str
    share: Share
    p_value: float
    p_least: float
    q_value: float

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "about": self.about,
            "dimension": self.dimension or None,
            "direction": "right" if self.share.accuracy > self.share.chance else "wrong",
            **self.share.to_json(),
            "p_value": p_rounded(self.p_value),
            "p_least": p_rounded(self.p_least),
            "q_value": p_rounded(self.q_value),
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that an audit found. `sections` are further parts of audit.json, by key.

    `strata[0]` is all questions, the others are dimensions: one question at a time. `whole_file`
    is the same for one who has the whole file. `groups` are the counterfactual ones, `parts` the
    verdicts that the whole one is made of. `questions` are most leaky first. `source` are the
    audited questions; only the page's examples show anything of them.
    """

    benchmark: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    parts: Mapping[str, Verdict]
    verdict_by_dimension: Mapping[str, Verdict]
    reasons: tuple[str, ...]
    strata: tuple[StratumResult, ...]
    whole_file: tuple[StratumResult, ...]
    partial_inputs: Mapping[str, Share]
    position: PositionBias
    groups: Mapping[str, Any] | None
    phrases: tuple[Phrase, ...]
    cues: tuple[Cue, ...]
    questions: tuple[QuestionLeak, ...]
    findings: tuple[Finding, ...]
    self_test: Mapping[str, Any]
    sections: Mapping[str, Any]
    source: tuple[Question, ...] = field(default=(), repr=False, compare=False)

    @property
    def verdict(self) -> Verdict:
        """The worst of the parts; what the whole file gives away has a verdict of its own."""
        return overall([*self.parts.values(), *self.verdict_by_dimension.values()])

    @property
    def text_only(self) -> StratumResult:
        """The probes on all questions, one at a time; `by_dimension` has each dimension's."""
        by_dimension = {s.name: s for s in _dimensions(self.strata, self.verdict_by_dimension)}
        return replace(self.strata[0], by_dimension=by_dimension)

    @property
    def transfer(self) -> Mapping[str, Any] | None:
        """`transfer` of audit.json, if the audit was given a split to fit on."""
        found: Mapping[str, Any] | None = self.sections.get("transfer")
        return found

    def with_section(
        self, name: str, section: Mapping[str, Any], findings: Sequence[Finding] = ()
    ) -> AuditReport:
        """The report with one more part of audit.json, and its findings."""
        sections = {**self.sections, name: section}
        return replace(self, sections=sections, findings=(*self.findings, *findings))

    def to_json(self) -> dict[str, Any]:
        """What audit.json holds; docs/audit.md explains every key."""
        models = {
            row["model"] for row in self.sections.get("blind", {}).get("results", ())
            if 2 * row["answered"] >= row["n"] or row["call"] == "above"
        }  # fmt: skip
        data = {
            "format": FORMAT,
            "verdict": self.verdict,
            "verdict_text": "",
            "scope": scope(len(models)),
            "parts": {
                **self.parts,
                **({} if "knowledge" in self.parts else {"knowledge": "not tested"}),
                "whole_file": overall([stratum.verdict for stratum in self.whole_file]),
            },
            "verdict_by_dimension": dict(self.verdict_by_dimension),
            "reasons": list(self.reasons),
            "benchmark": dict(self.benchmark),
            "text_only": {
                **self._block(self.strata),
                "partial_inputs": [
                    {"input": name, **row.to_json()} for name, row in self.partial_inputs.items()
                ],
            },
            "whole_file": self._block(self.whole_file),
            "position": self.position.to_json(),
            "groups": None if self.groups is None else dict(self.groups),
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
        return {**data, "verdict_text": verdict_text(data)}

    def _block(self, strata: Sequence[StratumResult]) -> dict[str, Any]:
        dimensions = _dimensions(strata, self.verdict_by_dimension)
        return {
            **strata[0].to_json(),
            "by_dimension": {stratum.name: stratum.to_json() for stratum in dimensions},
        }

    def text(self) -> str:
        """audit.json as text; the same audit gives the same bytes."""
        return text_of(self.to_json())

    def save(self, directory: Path | str, questions: Sequence[Question] = ()) -> Path:
        """Write all files of the audit (docs/audit.md); returns audit.json.

        `questions` give the page the texts of its examples, by default the audited ones. Raises
        DataError if they cannot be written.
        """
        return write_audit(self.to_json(), directory, questions or self.source)


def _dimensions(
    strata: Sequence[StratumResult], names: Mapping[str, Verdict]
) -> tuple[StratumResult, ...]:
    """One result a dimension; with one dimension, all questions are that dimension."""
    return tuple(strata[1:]) or tuple(replace(strata[0], name=name) for name in names)
