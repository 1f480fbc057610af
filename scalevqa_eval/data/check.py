"""What is wrong with a benchmark's files: rows, counts, splits and images."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.load import Loaded, Location, read_benchmark, split_file
from scalevqa_eval.data.values import folded
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import ImageStore

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
# What the strictest of the common APIs takes; larger ones are sent smaller.
LARGE_SIDE, LARGE_BYTES = 8000, 5_000_000
# Severity, kind, message and cases; no finding if there are no cases.
Found = tuple[Severity, str, str, Sequence[str]]
# Kinds of defects of rows, in words.
_KINDS = {
    "json": "broken line",
    "type": "wrong type",
    "missing": "field missing",
    "answer": "answer not among the options",
    "duplicate-id": "duplicate id",
    "too-long": "text too long",
    "path": "unsafe image path",
    "text": "broken text",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in a split: its cases, by name or in words."""

    severity: Severity
    kind: str
    split: str
    message: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageCount:
    """Distinct images of one dimension: how many there should be, and which are not there."""

    dimension: str
    questions: int
    images: int
    missing: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All findings about the splits that were read, worst first."""

    splits: tuple[Loaded, ...]
    findings: tuple[Finding, ...]
    images: tuple[ImageCount, ...]

    @property
    def failed(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def check_benchmark(location: Location, deep: bool = False) -> CheckReport:
    """Check one split, or all that are there; `deep` decodes every image in full.

    Splits that are not checked are read as well, to find slides that stand in two of them.
    Raises UsageError or DataError if nothing can be read at all.
    """
    card, there = location.card, _splits_there(location)
    # A bare file means itself; the files beside it are read for their slides.
    wanted = there[:1] if location.is_file else (location.split,) if location.split else there
    loaded: dict[str, Loaded] = {}
    findings: list[Finding] = []
    for name in dict.fromkeys((*wanted, *there)):
        try:
            loaded[name] = read_benchmark(location.at(name))
        except DataError as error:
            if (name,) == wanted:
                raise
            severity: Severity = "error" if name in wanted else "note"
            message = "this file cannot be read"
            findings.append(Finding(severity, "split unreadable", name, message, (str(error),)))
    checked = tuple(loaded[name] for name in wanted if name in loaded)
    missing: set[tuple[str, str]] = set()
    for part in checked:
        for look in (_rows, _texts, _fields, _counts, partial(_images, deep=deep, gone=missing)):
            findings += [
                Finding(severity, kind, part.benchmark.split, message, tuple(cases))
                for severity, kind, message, cases in look(part)
                if cases
            ]
    findings += _shared_slides(card, loaded, set(wanted))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return CheckReport(checked, tuple(findings), tuple(_image_counts(card, checked, missing)))


def _splits_there(location: Location) -> tuple[str, ...]:
    """The splits whose files are there, the one asked for first."""
    card, (directory, _, _) = location.card, location.directories()
    there = card.splits_in(directory)
    if location.is_file:
        return tuple(dict.fromkeys((card.choose_split(None), *there)))
    if location.split is not None or not card.splits:
        card.choose_split(location.split)
    if not there:  # says what is missing
        split_file(card, next(name for name, spec in card.splits.items() if spec.files), directory)
    return there


def _rows(part: Loaded) -> Iterator[Found]:
    by_kind = defaultdict(list)
    for defect in part.defects:
        by_kind[defect.kind].append(f"row {defect.row}: {defect.message}")
    for kind, rows in by_kind.items():
        yield "error", _KINDS.get(kind, kind), "rows that are no question", rows


def _texts(part: Loaded) -> Iterator[Found]:
    empty, repeated = [], []
    for question in part.benchmark.questions:
        if not question.text.strip():
            empty.append(f"{question.id}: the question")
        same = defaultdict(list)
        for letter, text in question.options.items():
            if text.strip():
                same[folded(text)].append(letter)
            else:
                empty.append(f"{question.id}: option {letter}")
        for letters in same.values():
            if len(letters) > 1:
                right = ", one of them the answer" if question.answer in letters else ""
                repeated.append(f"{question.id}: {' = '.join(letters)}{right}")
    yield "error", "empty text", "texts without content", empty
    yield "warning", "duplicate option", "questions with two options of the same text", repeated


def _fields(part: Loaded) -> Iterator[Found]:
    """What many questions lack: perhaps the card names the wrong field for it."""
    questions, fields, known = part.benchmark.questions, part.card.fields, part.card.dimension_order
    if known and part.card.path is not None:
        strange = [f"{q.id}: {q.dimension}" for q in questions if q.dimension not in known]
        message = "questions in a dimension that the card does not name"
        yield "warning", "unknown dimension", message, strange
    bare = [question.id for question in questions if not question.views]
    paths = tuple(dict.fromkeys(path for some in fields.views.values() for path in some))
    # Some questions may have no image; none at all is a wrong name.
    wrong = bool(paths) and len(bare) == len(questions)
    message = "questions without any image" + _looked_in(paths if wrong else ())
    yield "error" if wrong else "warning", "no image", message, bare
    message = "questions of no known slide: intervals take each for independent"
    unknown = [question.id for question in questions if question.slide is None]
    yield "warning", "no slide", message + _looked_in(fields.slide), unknown


def _looked_in(fields: tuple[str, ...]) -> str:
    return f" (looked in {', '.join(fields)})" if fields else ""


def _counts(part: Loaded) -> Iterator[Found]:
    """Counts against the card, and scales that some questions lack."""
    questions, stated = part.benchmark.questions, part.card.splits[part.benchmark.split]
    if not questions:
        yield "error", "no questions", "the split holds no question", list(map(str, part.files))
        return
    found = Counter(question.dimension for question in questions)
    wrong = [
        f"{name}: {found[name]:,}; the card says {count:,}"
        for name, count in stated.dimensions.items()
        if found[name] != count
    ]
    if stated.count not in (None, len(questions)):
        wrong.insert(0, f"{len(questions):,} questions; the card says {stated.count:,}")
    yield "error", "wrong count", "numbers of questions", wrong
    for scale in dict.fromkeys(view.scale for question in questions for view in question.views):
        if scale != "single":
            ids = [q.id for q in questions if scale not in {view.scale for view in q.views}]
            yield "note", "absent view", f"questions without a {scale} view", ids


def _shared_slides(card: Card, loaded: dict[str, Loaded], wanted: set[str]) -> Iterator[Finding]:
    """Slides that stand in two splits. Parts of one union count as one split."""
    unions = [{name, *spec.parts} for name, spec in card.splits.items() if spec.parts]
    slides = {
        name: {question.slide for question in part.benchmark.questions if question.slide}
        for name, part in loaded.items()
    }
    for first, second in combinations(slides, 2):
        both = tuple(sorted(slides[first] & slides[second]))
        apart = not any({first, second} <= union for union in unions)
        if both and apart and {first, second} & wanted:
            message, splits = "slides with questions in both splits", f"{first}, {second}"
            yield Finding("error", "slide in two splits", splits, message, both)


def _images(part: Loaded, deep: bool, gone: set[tuple[str, str]]) -> Iterator[Found]:
    """What is wrong with the images of a split; those not there are added to `gone`."""
    benchmark = part.benchmark
    store = ImageStore(benchmark.image_root)
    problems = store.check(benchmark.questions, deep=deep)
    every = {view.image for question in benchmark.questions for view in question.views}
    by_kind = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    for kind, some in by_kind.items():
        affected = len({id_ for problem in some for id_ in problem.question_ids})
        message = f"of {len(every):,} images, shown by {affected:,} questions"
        cases = [f"{problem.path}: {problem.message}" for problem in some]
        if kind == "missing":
            message += f" (looked in {benchmark.image_root})"
            cases = [problem.path for problem in some]
            gone |= {(benchmark.split, path) for path in cases}
        yield "error", f"image {kind.replace('-', ' ')}", message, cases
    large, by_size = [], defaultdict(list)
    for path in sorted(every - {problem.path for problem in problems}):
        header, size = store.header(path), store.file(path).stat().st_size
        by_size[size].append(path)
        if max(header.width, header.height) > LARGE_SIDE or size > LARGE_BYTES:
            large.append(f"{path}: {header.width}×{header.height} pixels, {size:,} bytes")
    message = f"images over {LARGE_SIDE:,} pixels a side or {LARGE_BYTES:,} bytes"
    yield "warning", "large image", message, large
    content: dict[str, bytes] = {}
    names = defaultdict(list)
    for path in (path for paths in by_size.values() if len(paths) > 1 for path in paths):
        with store.file(path).open("rb") as file:
            content[path] = hashlib.file_digest(file, "sha256").digest()
        names[content[path]].append(path)
    same = [" = ".join(paths) for paths in names.values() if len(paths) > 1]
    yield "warning", "duplicate image", "pictures that stand under several names", same
    twice = [
        question.id
        for question in benchmark.questions
        if len({content.get(path, path) for path in question.image_set}) < len(question.views)
    ]
    yield "error", "same view twice", "questions that show one picture at two scales", twice


def _image_counts(
    card: Card, checked: tuple[Loaded, ...], missing: set[tuple[str, str]]
) -> Iterator[ImageCount]:
    """Per dimension, over all checked splits: distinct images, and which are not there."""
    asked: Counter[str] = Counter()
    images: dict[str, dict[str, bool]] = defaultdict(dict)
    for part in checked:
        for question in part.benchmark.questions:
            asked[question.dimension] += 1
            for path in question.image_set:
                images[question.dimension][path] = (part.benchmark.split, path) in missing
    for name in card.in_order(asked):
        lacking = tuple(path for path, gone in images[name].items() if gone)
        source = card.image_sources.get(name, "")
        yield ImageCount(name, asked[name], len(images[name]), lacking, source)
