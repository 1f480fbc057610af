"""What is wrong with the data itself: splits that overlap, texts and images that repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from scalevqa_eval.audit.dataset.duplicates import repeated_texts
from scalevqa_eval.audit.dataset.pictures import image_findings, look
from scalevqa_eval.audit.dataset.splits import other_splits, shared_sources
from scalevqa_eval.audit.dataset.views import misplaced_views, views_and_sets
from scalevqa_eval.audit.dataset.wording import given_away
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.types import Benchmark

__all__ = ["examine", "other_splits"]


def examine(
    benchmark: Benchmark,
    others: Sequence[Benchmark] = (),
    *,
    tick: Callable[[str], None] = lambda _: None,
) -> tuple[Finding, ...]:
    """Findings about a benchmark, and about what it shares with `others` (see `other_splits`).

    The result does not depend on the order of rows.
    """
    here = _readable(benchmark, benchmark.name)
    there = [_readable(other, _name(other, benchmark)) for other in others]
    tick("views and wording")
    found = [
        *views_and_sets(here.questions),
        *given_away(here.questions),
        *misplaced_views(here.questions),
    ]
    tick("texts that repeat")
    found += repeated_texts(here.questions, there)
    pictures = look([here, *there], tick=tick)
    found += image_findings(here, there, pictures)
    found += shared_sources(here, there, pictures.contents)
    return tuple(f for f in found if f.evidence.get("questions") != 0)  # about none: no finding


def _readable(benchmark: Benchmark, name: str) -> Benchmark:
    """Questions by id; those with texts that are none are left to the audit's own reading."""
    readable = [
        q for q in benchmark.questions
        if all(isinstance(text, str) for text in (q.text, q.answer, *q.options.values()))
    ]  # fmt: skip
    ordered = tuple(sorted(readable, key=lambda question: question.id))
    return replace(benchmark, name=name, questions=ordered)


def _name(other: Benchmark, audited: Benchmark) -> str:
    if other.name == audited.name and other.split:
        return f"the split {other.split}"
    return " ".join(dict.fromkeys(filter(None, (other.name, other.split))))
