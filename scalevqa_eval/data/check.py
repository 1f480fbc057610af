"""What is wrong with a benchmark's files: rows, counts, splits and images."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.load import Loaded, Location, read_benchmark, split_file
from scalevqa_eval.data.parse import folded
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import SUFFIXES, ImageStore
from scalevqa_eval.types import Question

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
# What the strictest of the common APIs takes; larger ones are sent smaller.
LARGE_SIDE, LARGE_BYTES = 8000, 5_000_000
# Kinds of defects of rows and of problems of images, in words.
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

    card: Card
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
        findings += _row_findings(part)
        findings += _text_findings(part)
        findings += _count_findings(part)
        findings += _image_findings(part, deep, missing)
    findings += _split_findings(card, loaded, set(wanted))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return CheckReport(card, checked, tuple(findings), tuple(_image_counts(card, checked, missing)))


def _splits_there(location: Location) -> tuple[str, ...]:
    """The splits whose files are there (unions are not listed); the file asked for first."""
    card = location.card
    directory, _ = location.directory()
    there = [
        name
        for name, spec in card.splits.items()
        if any((directory / file).is_file() for file in spec.files)
    ]
    if location.is_file:
        own = card.choose_split(None)
        return (own, *(name for name in there if name != own))
    if location.split is not None or not card.splits:
        card.choose_split(location.split)
    if not there:
        with_files = [name for name, spec in card.splits.items() if spec.files]
        named = location.split if location.split in with_files else with_files[0]
        split_file(card, named, directory)  # says what is missing
    return tuple(there)


def _some(
    severity: Severity, kind: str, split: str, message: str, examples: Iterable[str]
) -> Iterator[Finding]:
    """A finding that counts its examples; none if there are none."""
    if examples := tuple(examples):
        yield Finding(severity, kind, split, message, examples, len(examples))


def _row_findings(loaded: Loaded) -> Iterator[Finding]:
    by_kind = defaultdict(list)
    for defect in loaded.defects:
        by_kind[defect.kind].append(f"row {defect.row}: {defect.message}")
    for kind, rows in by_kind.items():
        name = _KINDS.get(kind, kind)
        yield from _some("error", name, loaded.benchmark.split, "rows that are no question", rows)


def _text_findings(loaded: Loaded) -> Iterator[Finding]:
    questions, split, fields = (
        loaded.benchmark.questions,
        loaded.benchmark.split,
        loaded.card.fields,
    )
    empty, repeated = [], []
    for question in questions:
        texts = {"the question": question.text}
        texts |= {f"option {letter}": text for letter, text in question.options.items()}
        empty += [f"{question.id}: {name}" for name, text in texts.items() if not text.strip()]
        same = defaultdict(list)
        for letter, text in question.options.items():
            same[folded(text)].append(letter)
        for text, letters in same.items():
            if text and len(letters) > 1:
                right = ", one of them the answer" if question.answer in letters else ""
                repeated.append(f"{question.id}: {' = '.join(letters)}{right}")
    yield from _some("error", "empty text", split, "texts without content", empty)
    yield from _some("warning", "duplicate option", split,
                     "questions with two options of the same text", repeated)  # fmt: skip
    known = set(loaded.card.dimension_order)
    strangers = Counter(q.dimension for q in questions if q.dimension not in known)
    if known and strangers and loaded.card.path is not None:
        yield Finding("warning", "unknown dimension", split,
                      "questions in a dimension that the card does not name",
                      tuple(strangers), strangers.total())  # fmt: skip
    # Some questions may have no image; where none has one, the card names the wrong field.
    bare = [question.id for question in questions if not question.views]
    paths = tuple(dict.fromkeys(path for some in fields.views.values() for path in some))
    none_has = len(bare) == len(questions)
    yield from _some("error" if none_has and paths else "warning", "no image", split,
                     "questions without any image" + _looked_in(paths if none_has else ()),
                     bare)  # fmt: skip
    yield from _some("warning", "no slide", split,
                     "questions of no known slide: intervals take each for independent"
                     + _looked_in(fields.slide),
                     (question.id for question in questions if question.slide is None))  # fmt: skip


def _looked_in(fields: tuple[str, ...]) -> str:
    return f" (looked in {', '.join(fields)})" if fields else ""


def _count_findings(loaded: Loaded) -> Iterator[Finding]:
    """Counts against the card, and scales that some questions lack."""
    questions, split = loaded.benchmark.questions, loaded.benchmark.split
    spec = loaded.card.splits[split]
    if not questions:
        yield Finding("error", "no questions", split, "the split holds no question")
        return
    wrong = []
    if spec.count is not None and spec.count != len(questions):
        wrong.append(f"{len(questions):,} questions; the card says {spec.count:,}")
    found = Counter(question.dimension for question in questions)
    for name, count in spec.dimensions.items():
        if found[name] != count:
            wrong.append(f"{name}: {found[name]:,}; the card says {count:,}")
    yield from _some("error", "wrong count", split, "numbers of questions", wrong)
    for scale in dict.fromkeys(view.scale for question in questions for view in question.views):
        if scale != "single":
            ids = [q.id for q in questions if scale not in {view.scale for view in q.views}]
            yield from _some("note", "absent view", split, f"questions without a {scale} view", ids)


def _split_findings(card: Card, loaded: dict[str, Loaded], wanted: set[str]) -> Iterator[Finding]:
    """Slides that stand in two splits. Parts of one union count as one split."""
    unions = [{name, *spec.parts} for name, spec in card.splits.items() if spec.parts]
    slides = {
        name: {question.slide for question in part.benchmark.questions} - {None}
        for name, part in loaded.items()
    }
    for index, first in enumerate(slides):
        for second in list(slides)[index + 1 :]:
            if not {first, second} & wanted or any({first, second} <= union for union in unions):
                continue
            both = sorted(str(slide) for slide in slides[first] & slides[second])
            yield from _some("error", "slide in two splits", f"{first}, {second}",
                             "slides with questions in both splits", both)  # fmt: skip


def _image_findings(loaded: Loaded, deep: bool, missing: set[tuple[str, str]]) -> Iterator[Finding]:
    """What is wrong with the images of a split; those not there are added to `missing`."""
    benchmark = loaded.benchmark
    store = ImageStore(benchmark.image_root)
    problems = store.check(benchmark.questions, deep=deep)
    by_kind = defaultdict(list)
    for problem in problems:
        by_kind[problem.kind].append(problem)
    every = {view.image for question in benchmark.questions for view in question.views}
    for kind, some in by_kind.items():
        affected = len({id_ for problem in some for id_ in problem.question_ids})
        message = f"of {len(every):,} images, shown by {affected:,} questions"
        examples = [f"{problem.path}: {problem.message}" for problem in some]
        if kind == "missing":
            message += f" (looked in {benchmark.image_root})"
            examples = [problem.path for problem in some]
            missing |= {(benchmark.split, path) for path in examples}
        yield from _some("error", _IMAGE_KINDS[kind], benchmark.split, message, examples)
    good = sorted(every - {problem.path for problem in problems})
    yield from _form_findings(store, benchmark.split, good)
    yield from _duplicate_findings(store, benchmark.split, benchmark.questions, good)


def _form_findings(store: ImageStore, split: str, paths: Sequence[str]) -> Iterator[Finding]:
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
    yield from _some("warning", "large image", split,
                     f"images over {LARGE_SIDE:,} pixels a side or {LARGE_BYTES:,} bytes",
                     large)  # fmt: skip
    yield from _some("note", "image form", split,
                     "images that are misnamed, or are sent re-encoded", odd)  # fmt: skip


def _duplicate_findings(
    store: ImageStore, split: str, questions: Sequence[Question], good: Sequence[str]
) -> Iterator[Finding]:
    """Equal files under two names; an error where one question shows both."""
    by_size = defaultdict(list)
    for path in good:
        by_size[store.file(path).stat().st_size].append(path)
    content: dict[str, str] = {}
    names = defaultdict(list)
    for path in (path for paths in by_size.values() if len(paths) > 1 for path in paths):
        with store.file(path).open("rb") as file:
            content[path] = hashlib.file_digest(file, "sha256").hexdigest()
        names[content[path]].append(path)
    yield from _some("warning", "duplicate image", split,
                     "pictures that stand under several names",
                     (" = ".join(paths) for paths in names.values() if len(paths) > 1))  # fmt: skip
    shown = {q.id: [content.get(view.image, view.image) for view in q.views] for q in questions}
    twice = [id_ for id_, views in shown.items() if len(set(views)) < len(views)]
    yield from _some("error", "same view twice", split,
                     "questions that show one picture at two scales", twice)  # fmt: skip


def _image_counts(
    card: Card, checked: Sequence[Loaded], missing: set[tuple[str, str]]
) -> Iterator[ImageCount]:
    """Per dimension, over all checked splits: distinct images, and which are not there."""
    asked: Counter[str] = Counter()
    images: dict[str, dict[str, bool]] = defaultdict(dict)
    for loaded in checked:
        for question in loaded.benchmark.questions:
            asked[question.dimension] += 1
            for view in question.views:
                gone = (loaded.benchmark.split, view.image) in missing
                images[question.dimension][view.image] = gone
    for name in dict.fromkeys(
        [name for name in card.dimension_order if name in asked] + list(asked)
    ):
        lacking = tuple(path for path, gone in images[name].items() if gone)
        source = card.image_sources.get(name, "")
        yield ImageCount(name, asked[name], len(images[name]), lacking, source)
