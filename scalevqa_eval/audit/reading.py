"""From a file to the questions that can be audited; what cannot becomes findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalevqa_eval.audit.clusters import Clusters, cluster_fields, find_clusters
from scalevqa_eval.audit.findings import Finding, counted
from scalevqa_eval.audit.table import content_key
from scalevqa_eval.audit.tokens import MAX_CHARACTERS, normalise
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Benchmark, Question

if TYPE_CHECKING:
    from scalevqa_eval.data import Loaded

MOST = 30_000
"""Questions that settle a leak to within half a point: an interval narrows with the square root of
the slides, time and memory grow with the questions."""
_OPTIONS = 4  # a question of more counts as several
_ROWS = 20  # shown in one finding


def read_for_audit(
    name_or_path: str, split: str | None = None, data_dir: Path | None = None
) -> tuple[Benchmark, tuple[Finding, ...]]:
    """The questions that could be read, and one finding per kind of defect of the others.

    Raises UsageError or DataError if nothing can be read.
    """
    from scalevqa_eval.data import Location, read_benchmark

    loaded = read_benchmark(Location(name_or_path, split, data_dir))
    if not loaded.benchmark.questions:
        first = loaded.defects[0] if loaded.defects else None
        why = f": row {first.row}: {first.message}" if first else ""
        raise DataError(f"{name_or_path}: no question could be read{why}")
    kinds: dict[str, list[str]] = {}
    for defect in loaded.defects:
        kinds.setdefault(defect.kind, []).append(f"row {defect.row}: {defect.message}")
    findings = tuple(
        Finding(
            f"defect-{kind}",
            "error",
            f"{len(rows):,} row{'s' * (len(rows) > 1)} could not be read and "
            f"{'are' if len(rows) > 1 else 'is'} left out: {rows[0]}",
            {"rows": rows[:_ROWS], "count": len(rows)},
        )
        for kind, rows in kinds.items()
    )
    return _with_cluster_fields(loaded), findings


def _with_cluster_fields(loaded: Loaded) -> Benchmark:
    """Fields that no card mentions and that may name the slide or the patient."""
    benchmark = loaded.benchmark
    rows = {id_: cluster_fields(row) for id_, row in raw_rows(loaded).items()}
    return replace(
        benchmark,
        questions=tuple(
            replace(q, extra={**rows.get(q.id, {}), **q.extra}) for q in benchmark.questions
        ),
    )


def raw_rows(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """The file's own rows by question id; empty where the format is no table of rows."""
    from scalevqa_eval.data import DataFile, question_id

    if loaded.card.format != "table" or len(loaded.files) != 1:
        return {}
    rows: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(DataFile(loaded.files[0]).rows(loaded.card.rows), start=1):
        if isinstance(row, dict):
            rows.setdefault(question_id(row, number, loaded.card, loaded.benchmark.split), row)
    return rows


@dataclass(frozen=True, slots=True)
class Selection:
    """Questions with options, their clusters, and findings about the data."""

    questions: tuple[Question, ...]
    clusters: Clusters
    findings: tuple[Finding, ...]


def select(questions: Sequence[Question]) -> Selection:
    """Check and select. Raises DataError if no question has options."""
    usable = [q for q in questions if _usable(q)]
    kept = [q for q in usable if not q.is_open]
    if not kept:
        raise DataError("nothing to audit: no question has options (A, B, …) and an answer")
    number = Counter(q.id for q in kept)
    shared = [q.id for q in kept if number[q.id] > 1]
    foreign = [q.id for q in kept if not _latin("".join(q.options.values()))]
    clusters = find_clusters(kept)
    findings = [
        Finding.about((q.id for q in questions if not _usable(q)), "unusable-question", "error",
                      "{n} with an empty or non-text question, option or answer; left out"),
        Finding.about((q.id for q in usable if q.is_open), "open-question", "note",
                      "{n} without options; left out"),
        Finding.about(shared, "duplicate-id", "error",
                      f"{len(shared):,} questions share their id with another"),
        Finding.about((q.id for q in kept if _repeats(q)), "duplicate-options", "error",
                      "{n} with two options of the same text"),
        Finding.about((q.id for q in kept
                       if max(map(len, (q.text, *q.options.values()))) > MAX_CHARACTERS),
                      "long-text", "warning",
                      f"{{n}} with a text of more than {MAX_CHARACTERS:,} characters: its "
                      "beginning and end alone were read"),
        Finding.about(foreign if len(foreign) * 10 > len(kept) else (), "other-script", "note",
                      "{n} not in Latin letters: probes of English words (negations, hedges) see "
                      "nothing there; all others work"),
    ]  # fmt: skip
    concerned = [finding for finding in findings if finding.question_ids]
    return Selection(tuple(kept), clusters, (*concerned, *_cluster_findings(len(kept), clusters)))


def _usable(question: Question) -> bool:
    return all(isinstance(text, str) for text in (question.text, *question.options.values())) and (
        all(text.strip() for text in question.options.values())
    )


def _repeats(question: Question) -> bool:
    return len({normalise(t) for t in question.options.values()}) < len(question.options)


def _latin(text: str) -> bool:
    letters = [c for c in text[:2_000] if c.isalpha()]
    return not letters or sum(ord(c) < 0x250 for c in letters) * 2 > len(letters)


def _cluster_findings(n: int, clusters: Clusters) -> list[Finding]:
    if not clusters.source:
        return [
            Finding("no-clusters", "warning",
                    "No slide, patient or page is given for any question, and none could be found: "
                    "intervals assume that questions are independent, and folds may split a slide.")
        ]  # fmt: skip
    found = []
    if not clusters.known:
        found.append(
            Finding("clusters-guessed", "warning",
                    f"Slides are not given for all questions; {clusters.source} is used instead "
                    f"({clusters.count:,} clusters).",
                    {"source": clusters.source, "clusters": clusters.count})
        )  # fmt: skip
    elif clusters.source not in ("slide", "slide group"):
        more = counted(clusters.alone, "slide")
        alone = f" {more} without one stand alone." if clusters.alone else ""
        found.append(
            Finding("clusters-joined", "warning" if alone else "note",
                    f"Slides are joined by patient ({clusters.source}): {clusters.count:,} "
                    f"clusters.{alone}",
                    {"source": clusters.source, "clusters": clusters.count,
                     "alone": clusters.alone})
        )  # fmt: skip
    if clusters.count < 5:
        who = "The only question comes" if n == 1 else f"All {n:,} questions come"
        what = "one cluster" if clusters.count == 1 else f"{clusters.count} clusters"
        found.append(
            Finding("few-clusters", "warning",
                    f"{who} from {what} ({clusters.source}): intervals count each cluster as one "
                    "answer, and nothing can be certified.", {"clusters": clusters.count})
        )  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class Sampled:
    """How many questions and clusters were drawn, of how many."""

    questions: int
    of: int
    clusters: int
    of_clusters: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"audited were {self.questions:,} of {self.of:,} questions: {self.clusters:,} of "
            f"{self.of_clusters:,} slides, drawn at random"
        )


def sample_slides(selected: Selection, most: int, seed: int) -> tuple[Selection, Sampled | None]:
    """Slides in random order until `most` questions of four options (or as many options) are had.

    The last slide drawn may be cut: its questions are taken in the order of their content. The
    draw does not depend on the order of rows where slides are named.
    """
    questions, labels = selected.questions, selected.clusters.labels
    weights = np.array([len(q.options) / _OPTIONS for q in questions])
    if weights.sum() <= most:
        return selected, None
    members: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        members.setdefault(label, []).append(i)
    names = sorted(members)
    chosen: list[int] = []
    taken = 0.0
    for place in np.random.default_rng([seed, 71]).permutation(len(names)):
        own = sorted(members[names[place]], key=lambda i: content_key(questions[i]))
        for i in own:
            if taken + weights[i] > most and chosen:
                break
            chosen.append(i)
            taken += weights[i]
        else:
            continue
        break
    kept = sorted(chosen)
    part = tuple(labels[i] for i in kept)
    clusters: Clusters = replace(selected.clusters, labels=part)
    found = Sampled(len(kept), len(questions), clusters.count, selected.clusters.count)
    return replace(selected, questions=tuple(questions[i] for i in kept), clusters=clusters), found
