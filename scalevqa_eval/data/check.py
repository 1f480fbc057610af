"""What is wrong with a benchmark's files: rows, counts, splits and images."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    """Something found: the cases in `split`, of which `count` there are, by name or in words."""

    severity: Severity
    kind: str
    split: str
    message: str
    examples: tuple[str, ...] = ()
    count: int = 1


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
            findings.append(Finding(severity, "split unreadable", name, str(error)))
    checked = tuple(loaded[name] for name in wanted if name in loaded)
    missing: set[tuple[str, str]] = set()
    for part in checked:
        for look in (_row_findings, _text_findings, _field_findings, _count_findings):
            findings += look(part)
        findings += _image_findings(part, deep, missing)
    findings += _split_findings(card, loaded, set(wanted))
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


def _some(
    severity: Severity, kind: str, part: Loaded, message: str, examples: Iterable[str]
) -> Iterator[Finding]:
    """A finding that counts its examples; none if there are none."""
    if examples := tuple(examples):
        split = part.benchmark.split
        yield Finding(severity, kind, split, message, examples, len(examples))


def _row_findings(part: Loaded) -> Iterator[Finding]:
    by_kind = defaultdict(list)
    for defect in part.defects:
        by_kind[defect.kind].append(f"row {defect.row}: {defect.message}")
    for kind, rows in by_kind.items():
        yield from _some("error", _KINDS.get(kind, kind), part, "rows that are no question", rows)


def _text_findings(part: Loaded) -> Iterator[Finding]:
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
    yield from _some("error", "empty text", part, "texts without content", empty)
    message = "questions with two options of the same text"
    yield from _some("warning", "duplicate option", part, message, repeated)


def _field_findings(part: Loaded) -> Iterator[Finding]:
    """What many questions lack: perhaps the card names the wrong field for it."""
    questions, fields, known = part.benchmark.questions, part.card.fields, part.card.dimension_order
    strangers = Counter(q.dimension for q in questions if q.dimension not in known)
    if known and strangers and part.card.path is not None:
        message = "questions in a dimension that the card does not name"
        split, count = part.benchmark.split, strangers.total()
        yield Finding("warning", "unknown dimension", split, message, tuple(strangers), count)
    bare = [question.id for question in questions if not question.views]
    paths = tuple(dict.fromkeys(path for some in fields.views.values() for path in some))
    # Some questions may have no image; none at all is a wrong name.
    wrong = bool(paths) and len(bare) == len(questions)
    message = "questions without any image" + _looked_in(paths if wrong else ())
    yield from _some("error" if wrong else "warning", "no image", part, message, bare)
    message = "questions of no known slide: intervals take each for independent"
    unknown = [question.id for question in questions if question.slide is None]
    yield from _some("warning", "no slide", part, message + _looked_in(fields.slide), unknown)


def _looked_in(fields: tuple[str, ...]) -> str:
    return f" (looked in {', '.join(fields)})" if fields else ""


def _count_findings(part: Loaded) -> Iterator[Finding]:
    """Counts against the card, and scales that some questions lack."""
    questions, split = part.benchmark.questions, part.benchmark.split
    if not questions:
        yield Finding("error", "no questions", split, "the split holds no question")
        return
    stated = part.card.splits[split]
    found = Counter(question.dimension for question in questions)
    wrong = [
        f"{name}: {found[name]:,}; the card says {count:,}"
        for name, count in stated.dimensions.items()
        if found[name] != count
    ]
    if stated.count not in (None, len(questions)):
        wrong.insert(0, f"{len(questions):,} questions; the card says {stated.count:,}")
    yield from _some("error", "wrong count", part, "numbers of questions", wrong)
    for scale in dict.fromkeys(view.scale for question in questions for view in question.views):
        if scale != "single":
            ids = [q.id for q in questions if scale not in {view.scale for view in q.views}]
            yield from _some("note", "absent view", part, f"questions without a {scale} view", ids)


def _split_findings(card: Card, loaded: dict[str, Loaded], wanted: set[str]) -> Iterator[Finding]:
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
            yield Finding("error", "slide in two splits", splits, message, both, len(both))


def _image_findings(part: Loaded, deep: bool, missing: set[tuple[str, str]]) -> Iterator[Finding]:
    """What is wrong with the images of a split; those not there are added to `missing`."""
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
        if kind == "missing":
            message += f" (looked in {benchmark.image_root})"
            missing |= {(benchmark.split, problem.path) for problem in some}
            examples = [problem.path for problem in some]
        else:
            examples = [f"{problem.path}: {problem.message}" for problem in some]
        yield from _some("error", f"image {kind.replace('-', ' ')}", part, message, examples)
    large, by_size = [], defaultdict(list)
    for path in sorted(every - {problem.path for problem in problems}):
        header, size = store.header(path), store.file(path).stat().st_size
        by_size[size].append(path)
        if max(header.width, header.height) > LARGE_SIDE or size > LARGE_BYTES:
            large.append(f"{path}: {header.width}×{header.height} pixels, {size:,} bytes")
    message = f"images over {LARGE_SIDE:,} pixels a side or {LARGE_BYTES:,} bytes"
    yield from _some("warning", "large image", part, message, large)
    content = {}
    for path in (path for paths in by_size.values() if len(paths) > 1 for path in paths):
        with store.file(path).open("rb") as file:
            content[path] = hashlib.file_digest(file, "sha256").digest()
    yield from _duplicate_findings(part, content)


def _duplicate_findings(part: Loaded, content: dict[str, bytes]) -> Iterator[Finding]:
    """Equal files under two names; an error where one question shows both."""
    names = defaultdict(list)
    for path, digest in content.items():
        names[digest].append(path)
    same = [" = ".join(paths) for paths in names.values() if len(paths) > 1]
    message = "pictures that stand under several names"
    yield from _some("warning", "duplicate image", part, message, same)
    twice = [
        question.id
        for question in part.benchmark.questions
        if len({content.get(path, path) for path in question.image_set}) < len(question.views)
    ]
    message = "questions that show one picture at two scales"
    yield from _some("error", "same view twice", part, message, twice)


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
