"""From a benchmark to the questions that can be audited, and what is said about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scalevqa_eval.audit.clusters import Clusters, find_clusters
from scalevqa_eval.audit.findings import Finding, Severity
from scalevqa_eval.audit.tokens import MAX_CHARACTERS, normalise
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Question

_SHOWN = 100  # ids in one finding


@dataclass(frozen=True, slots=True)
class Intake:
    """Questions with options, their clusters, and findings about the data."""

    questions: tuple[Question, ...]
    clusters: Clusters
    findings: tuple[Finding, ...]


def take_in(questions: Sequence[Question]) -> Intake:
    """Check and select. Raises DataError if no question has options."""
    findings: list[Finding] = []
    usable = [q for q in questions if _usable(q)]
    unusable = [q for q in questions if not _usable(q)]
    opened = [q for q in usable if q.is_open]
    kept = [q for q in usable if not q.is_open]
    if unusable:
        findings.append(
            _finding("unusable-question", "error", unusable,
                     "{n} with an empty or non-text question, option or answer; left out")
        )  # fmt: skip
    if opened:
        findings.append(_finding("open-question", "note", opened, "{n} without options; left out"))
    if not kept:
        raise DataError("nothing to audit: no question has options (A, B, …) and an answer")
    findings += _identity_findings(kept)
    findings += _text_findings(kept)
    clusters = find_clusters(kept)
    findings += _cluster_findings(kept, clusters)
    return Intake(tuple(kept), clusters, tuple(findings))


def _usable(question: Question) -> bool:
    texts = [question.text, *question.options.values()]
    if not all(isinstance(text, str) for text in texts):
        return False
    return all(text.strip() for text in question.options.values())


def _identity_findings(kept: Sequence[Question]) -> list[Finding]:
    found = []
    repeated = {key for key, count in Counter(q.id for q in kept).items() if count > 1}
    if repeated:
        found.append(
            _finding("duplicate-id", "error", [q for q in kept if q.id in repeated],
                     "{n} share their id with another")
        )  # fmt: skip
    same = [q for q in kept if len({normalise(t) for t in q.options.values()}) < len(q.options)]
    if same:
        found.append(
            _finding("duplicate-options", "error", same, "{n} with two options of the same text")
        )
    return found


def _text_findings(kept: Sequence[Question]) -> list[Finding]:
    found = []
    long = [q for q in kept if max(map(len, (q.text, *q.options.values()))) > MAX_CHARACTERS]
    if long:
        found.append(
            _finding("long-text", "warning", long,
                     f"{{n}} with a text of more than {MAX_CHARACTERS:,} characters: its "
                     "beginning and end alone were read")
        )  # fmt: skip
    foreign = [q for q in kept if not _latin("".join(q.options.values()))]
    if len(foreign) * 10 > len(kept):
        found.append(
            _finding("other-script", "note", foreign,
                     "{n} not in Latin letters: probes of English words (negations, hedges) see "
                     "nothing there; all others work")
        )  # fmt: skip
    return found


def _latin(text: str) -> bool:
    letters = [c for c in text[:2_000] if c.isalpha()]
    return not letters or sum(ord(c) < 0x250 for c in letters) * 2 > len(letters)


def _cluster_findings(kept: Sequence[Question], clusters: Clusters) -> list[Finding]:
    if not clusters.source:
        return [
            Finding(
                "no-clusters",
                "warning",
                "No slide, patient or page is given for any question, and none could be found: "
                "intervals assume that questions are independent, and folds may split a slide.",
            )
        ]
    found = []
    if not clusters.known:
        found.append(
            Finding(
                "clusters-guessed",
                "warning",
                f"Slides are not given for all questions; {clusters.source} is used instead "
                f"({clusters.count:,} clusters).",
                {"source": clusters.source, "clusters": clusters.count},
            )
        )
    if clusters.count < 5:
        what = "one cluster" if clusters.count == 1 else f"{clusters.count} clusters"
        found.append(
            Finding(
                "few-clusters",
                "warning",
                f"{_all(len(kept))} from {what} ({clusters.source}): intervals "
                "count each cluster as one answer, and nothing can be certified.",
                {"clusters": clusters.count},
            )
        )
    return found


def _all(n: int) -> str:
    return "The only question comes" if n == 1 else f"All {n:,} questions come"


def _finding(kind: str, severity: Severity, concerned: Sequence[Question], message: str) -> Finding:
    number = f"{len(concerned):,} question" + ("" if len(concerned) == 1 else "s")
    ids = tuple(sorted({str(question.id) for question in concerned}))
    return Finding(
        kind,
        severity,
        message.format(n=number),
        {"questions": len(concerned)},
        ids[:_SHOWN],
    )
