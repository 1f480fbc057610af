"""What is wrong with a benchmark's images, and what the checks of rows and images both report."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.load import Loaded
from scalevqa_eval.images.headers import SUFFIXES
from scalevqa_eval.images.store import ImageProblem, ImageStore
from scalevqa_eval.types import Question

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# What the strictest of the common APIs takes; larger ones are sent smaller.
LARGE_SIDE, LARGE_BYTES = 8000, 5_000_000
_IMAGE_KINDS = {
    "missing": "image missing",
    "empty": "image empty",
    "truncated": "image truncated",
    "not-image": "not an image",
    "too-large": "image too large",
    "unsafe": "unsafe image path",
    "unreadable": "image unreadable",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found: `count` cases in `split`, of which `examples` name the first few."""

    severity: Severity
    kind: str
    split: str
    count: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageCount:
    """Distinct images of one dimension: how many there should be, and which are not there."""

    dimension: str
    questions: int
    images: int
    missing: tuple[str, ...]
    source: str


def image_findings(
    card: Card, checked: Sequence[Loaded], deep: bool
) -> tuple[list[Finding], tuple[ImageCount, ...]]:
    findings: list[Finding] = []
    missing: dict[tuple[str, str], ImageProblem] = {}
    for loaded in checked:
        benchmark = loaded.benchmark
        store = ImageStore(benchmark.image_root)
        problems = store.check(benchmark.questions, deep=deep)
        by_kind = defaultdict(list)
        for problem in problems:
            by_kind[problem.kind].append(problem)
            if problem.kind == "missing":
                missing[benchmark.split, problem.path] = problem
        every = {view.image for question in benchmark.questions for view in question.views}
        for kind, some in by_kind.items():
            affected = len({id_ for problem in some for id_ in problem.question_ids})
            message = f"of {len(every):,} images, shown by {affected:,} questions"
            if kind == "missing":
                examples = tuple(problem.path for problem in some)
                message += f" (looked in {benchmark.image_root})"
            else:
                examples = tuple(f"{problem.path}: {problem.message}" for problem in some)
            findings.append(Finding("error", _IMAGE_KINDS[kind], benchmark.split, len(some),
                                    message, examples))  # fmt: skip
        good = every - {problem.path for problem in problems}
        findings += _form_findings(store, benchmark.split, sorted(good))
        findings += _duplicate_findings(store, benchmark.split, benchmark.questions, good)
    return findings, tuple(_image_counts(card, checked, missing))


def _form_findings(store: ImageStore, split: str, paths: Sequence[str]) -> Iterable[Finding]:
    """Images that can be sent, though not as they are."""
    large, odd = [], []
    for path in paths:
        header = store.header(path)
        size = store.file(path).stat().st_size
        if max(header.width, header.height) > LARGE_SIDE or size > LARGE_BYTES:
            large.append(f"{path}: {header.width}×{header.height} pixels, {size:,} bytes")
        named = SUFFIXES.get(Path(path).suffix.lower(), header.format)
        if named != header.format:
            odd.append(f"{path} is {header.format}")
        elif not header.plain:
            turned = f", EXIF orientation {header.orientation}" if header.orientation != 1 else ""
            odd.append(f"{path}: {header.colours}, {header.bits} bits{turned}")
    if large:
        message = f"images over {LARGE_SIDE:,} pixels a side or {LARGE_BYTES:,} bytes"
        yield Finding("warning", "large image", split, len(large), message, tuple(large))
    if odd:
        yield Finding("note", "image form", split, len(odd),
                      "images that are misnamed, or are sent re-encoded", tuple(odd))  # fmt: skip


def _duplicate_findings(
    store: ImageStore, split: str, questions: Sequence[Question], good: set[str]
) -> Iterable[Finding]:
    """Equal files under two names; an error where one question shows both."""
    by_size = defaultdict(list)
    for path in sorted(good):
        by_size[store.file(path).stat().st_size].append(path)
    content: dict[str, str] = {}
    for paths in by_size.values():
        for path in paths if len(paths) > 1 else ():
            with store.file(path).open("rb") as file:
                content[path] = hashlib.file_digest(file, "sha256").hexdigest()
    names = defaultdict(list)
    for path, digest in content.items():
        names[digest].append(path)
    groups = tuple(" = ".join(paths) for paths in names.values() if len(paths) > 1)
    if groups:
        yield Finding("warning", "duplicate image", split, len(groups),
                      "pictures that stand under several names", groups)  # fmt: skip
    twice = []
    for question in questions:
        seen = Counter(content.get(view.image, view.image) for view in question.views)
        if any(count > 1 for count in seen.values()):
            twice.append(question.id)
    if twice:
        yield Finding("error", "same view twice", split, len(twice),
                      "questions that show one picture at two scales", tuple(twice))  # fmt: skip


def _image_counts(
    card: Card, checked: Sequence[Loaded], missing: dict[tuple[str, str], ImageProblem]
) -> Iterable[ImageCount]:
    """Per dimension, over all checked splits: distinct images, and which are not there."""
    asked: Counter[str] = Counter()
    images: dict[str, dict[str, bool]] = defaultdict(dict)
    for loaded in checked:
        for question in loaded.benchmark.questions:
            asked[question.dimension] += 1
            for view in question.views:
                is_missing = (loaded.benchmark.split, view.image) in missing
                images[question.dimension][view.image] = is_missing
    order = [name for name in card.dimension_order if name in asked]
    for name in (*order, *(name for name in asked if name not in order)):
        gone = tuple(path for path, is_missing in images[name].items() if is_missing)
        source = card.image_sources.get(name, "")
        yield ImageCount(name, asked[name], len(images[name]), gone, source)
