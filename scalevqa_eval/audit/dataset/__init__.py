"""What is wrong with the data itself: splits that overlap, texts and images that repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from scalevqa_eval.audit.clusters import patients
from scalevqa_eval.audit.dataset.duplicates import repeated_texts
from scalevqa_eval.audit.dataset.pictures import image_findings, look
from scalevqa_eval.audit.dataset.questions import given_away, misplaced_views, views_and_sets
from scalevqa_eval.audit.findings import LISTED, Finding, counted
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.types import Benchmark, Question

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


_SPLITS = ("train", "val", "validation", "dev", "test")

Keys = Callable[[Question], Iterable[str]]


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


def shared_sources(
    audited: Benchmark, others: Sequence[Benchmark], contents: Sequence[Mapping[str, str]]
) -> list[Finding]:
    """Slides, patients, images and ids of the audited questions that another split has as well.

    `contents` maps image paths to digests of their files: of the audited questions, then of each
    other split. An image that is not in it is known by its path alone.
    """
    found: list[Finding] = []
    own, *rest = contents
    for other, theirs in zip(others, rest, strict=True):
        kinds: list[tuple[str, str, Keys, Keys]] = [
            ("shared-slide", "slide", _slide, _slide),
            ("shared-patient", "patient (TCGA)", patients, patients),
            ("shared-image", "image", _images(own), _images(theirs)),
        ]
        for kind, noun, here, there in kinds:
            known = {key for q in other.questions for key in there(q)}
            shared = {key for q in audited.questions for key in here(q)} & known
            concerned = [q for q in audited.questions if not shared.isdisjoint(here(q))]
            names = shared
            if kind == "shared-image":
                paths = {path for q in concerned for path in q.image_set}
                names = {path for path in paths if own.get(path, path) in shared}
            found.append(
                Finding.about(
                    (q.id for q in concerned), kind, "error",
                    f"{counted(len(shared), noun)} {'is' if len(shared) == 1 else 'are'} in "
                    f"{other.name}, too: {{n}} here can be known from there.",
                    {"split": other.name, f"{noun.split()[0]}s": sorted(names)[:LISTED],
                     "count": len(shared)},
                )
            )  # fmt: skip
        same_ids = {q.id for q in audited.questions} & {q.id for q in other.questions}
        found.append(
            Finding.about(same_ids, "shared-id", "warning",
                          f"{{n}} have the id of a question in {other.name}.",
                          {"split": other.name})
        )  # fmt: skip
    return found


def _slide(question: Question) -> tuple[str, ...]:
    return (question.slide,) if question.slide else ()


def _images(digests: Mapping[str, str]) -> Keys:
    return lambda question: [digests.get(path, path) for path in question.image_set]
