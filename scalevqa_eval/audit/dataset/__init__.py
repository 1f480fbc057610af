"""What is wrong with the data itself: splits that overlap, texts and images that repeat.

`examine` runs all checks and returns findings: `wording` and `views` look at one question after
the other, `duplicates` at texts, `pictures` at image files, `splits` at what two splits share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scalevqa_eval.audit.dataset.duplicates import repeated_texts
from scalevqa_eval.audit.dataset.pictures import image_findings, look
from scalevqa_eval.audit.dataset.splits import Source, shared_sources
from scalevqa_eval.audit.dataset.views import misplaced_views, views_and_sets
from scalevqa_eval.audit.dataset.wording import given_away
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.types import Benchmark, Question

__all__ = ["examine", "other_splits"]

_SPLITS = ("train", "val", "validation", "dev", "test")


def examine(
    benchmark: Benchmark,
    others: Sequence[Benchmark] = (),
    *,
    images: bool = True,
    tick: Callable[[str], None] = lambda _: None,
) -> tuple[Finding, ...]:
    """Findings about a benchmark, and about what it shares with `others` (see `other_splits`).

    `images` False leaves the files unopened. The result does not depend on the order of rows.
    """
    here = _source(benchmark, benchmark.name)
    there = [_source(other, _name(other, benchmark)) for other in others]
    questions = here.questions
    tick("views and wording")
    found = [*views_and_sets(questions), *given_away(questions), *misplaced_views(questions)]
    tick("texts that repeat")
    found += repeated_texts(questions, there)
    contents: list[dict[str, str]] = [{}] * (1 + len(there))
    if images:
        pictures = look([here, *there], tick=tick)
        found += image_findings(here, there, pictures)
        contents = [pictures.contents(place) for place in range(1 + len(there))]
    return (*found, *shared_sources(here, there, contents))


def other_splits(
    benchmark: Benchmark, train: Benchmark | None = None
) -> tuple[tuple[Benchmark, ...], tuple[Finding, ...]]:
    """The benchmark's other splits that can be loaded from the same place, and `train`.

    A split that is there but cannot be read is a finding.
    """
    found: list[Benchmark] = [] if train is None else [train]
    notes: list[Finding] = []
    for name in _SPLITS if benchmark.load_split is not None else ():
        if name == benchmark.split or benchmark.load_split is None:
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
        same_file = other.revision == benchmark.revision and (
            {q.id for q in other.questions} == {q.id for q in benchmark.questions}
        )
        if not same_file and all(other.questions != known.questions for known in found):
            found.append(other)
    if not found:
        notes.append(
            Finding("no-other-split", "note",
                    "No other split was there to compare with (--train FILE names one).")
        )  # fmt: skip
    return tuple(found), tuple(notes)


def _source(benchmark: Benchmark, name: str) -> Source:
    """Questions by id; those with texts that are none are left to the audit's own reading."""
    readable = [q for q in benchmark.questions if _readable(q)]
    ordered = tuple(sorted(readable, key=lambda question: question.id))
    return Source(name, ordered, benchmark.image_root)


def _readable(question: Question) -> bool:
    texts = (question.text, question.answer, *question.options.values())
    return all(isinstance(text, str) for text in texts)


def _name(other: Benchmark, audited: Benchmark) -> str:
    if other.name == audited.name and other.split:
        return f"the split {other.split}"
    return " ".join(dict.fromkeys(filter(None, (other.name, other.split))))
