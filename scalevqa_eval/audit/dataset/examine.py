"""All checks of the data itself, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scalevqa_eval.audit.dataset.coordinates import misplaced_views
from scalevqa_eval.audit.dataset.duplicates import repeated_texts
from scalevqa_eval.audit.dataset.pictures import Source, image_findings, look
from scalevqa_eval.audit.dataset.splits import Other, shared_sources
from scalevqa_eval.audit.dataset.wording import given_away, views_and_sets
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.shown import full_name
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.types import Benchmark, Question

_SPLITS = ("train", "val", "validation", "dev", "test")


def examine(
    benchmark: Benchmark,
    others: Sequence[Benchmark] = (),
    *,
    images: bool = True,
    tick: Callable[[str], None] | None = None,
) -> tuple[Finding, ...]:
    """Findings about a benchmark, and about what it shares with `others` (see `other_splits`).

    `images` False leaves the files unopened. The result does not depend on the order of rows.
    """
    tell = tick or _silent
    questions = list(_sorted(benchmark))
    apart = [Other(_name(other, benchmark), _sorted(other)) for other in others]
    tell("views and wording")
    found = [*views_and_sets(questions), *given_away(questions), *misplaced_views(questions)]
    tell("texts that repeat")
    found += repeated_texts(questions, apart)
    contents: list[dict[str, str]] = []
    if images:
        here = Source(benchmark.name, benchmark.image_root, questions)
        there = [
            Source(a.name, o.image_root, a.questions) for o, a in zip(others, apart, strict=True)
        ]
        pictures = look([here, *there], tick=tell)
        found += image_findings(here, there, pictures)
        contents = [pictures.contents(place) for place in range(1 + len(there))]
    found += shared_sources(questions, apart, contents)
    return tuple(found)


def other_splits(
    benchmark: Benchmark, train: Benchmark | None = None
) -> tuple[tuple[Benchmark, ...], tuple[Finding, ...]]:
    """The benchmark's other splits that can be loaded from the same place, and `train`.

    A split that is there but cannot be read is a finding.
    """
    found: list[Benchmark] = [] if train is None else [train]
    notes: list[Finding] = []
    if benchmark.load_split is not None:
        for name in _SPLITS:
            if name == benchmark.split:
                continue
            try:
                other = benchmark.load_split(name)
            except ScaleVQAError as error:
                if "no split" not in str(error) and "there is no" not in str(error):
                    notes.append(
                        Finding("split-not-read", "warning",
                                f"The split {name} could not be read and was not compared: "
                                f"{str(error).splitlines()[0]}", {"split": name})
                    )  # fmt: skip
                continue
            if other.revision == benchmark.revision and _same_ids(other, benchmark):
                continue
            if all(other.questions != known.questions for known in found):
                found.append(other)
    if not found:
        notes.append(
            Finding("no-other-split", "note",
                    "No other split was there to compare with (--train FILE names one).")
        )  # fmt: skip
    return tuple(found), tuple(notes)


def _same_ids(one: Benchmark, two: Benchmark) -> bool:
    return {q.id for q in one.questions} == {q.id for q in two.questions}


def _sorted(benchmark: Benchmark) -> tuple[Question, ...]:
    """Questions by id; those with texts that are none are left to the audit's intake."""
    readable = (q for q in benchmark.questions if _readable(q))
    return tuple(sorted(readable, key=lambda question: question.id))


def _readable(question: Question) -> bool:
    texts = (question.text, question.answer, *question.options.values())
    return all(isinstance(text, str) for text in texts)


def _name(other: Benchmark, audited: Benchmark) -> str:
    if other.name == audited.name and other.split:
        return f"the split {other.split}"
    return full_name(other.name, other.split)


def _silent(_: str) -> None:
    pass
