"""What is wrong with a benchmark's files: rows, counts, splits and images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scalevqa_eval.data.card import Card, bare_card, load_card
from scalevqa_eval.data.check_images import (
    SEVERITIES,
    Finding,
    ImageCount,
    Severity,
    image_findings,
)
from scalevqa_eval.data.fields import plain
from scalevqa_eval.data.load import Loaded, read_benchmark
from scalevqa_eval.data.sources import find_directory, split_file
from scalevqa_eval.errors import DataError

_KINDS = {
    "json": "broken line",
    "type": "wrong type",
    "missing": "field missing",
    "options": "options",
    "answer": "answer not among the options",
    "duplicate-id": "duplicate id",
    "too-long": "text too long",
    "path": "unsafe image path",
    "text": "broken text",
}


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


def check_benchmark(
    name_or_path: str | Path,
    split: str | None = None,
    data_dir: Path | str | None = None,
    hub_id: str | None = None,
    revision: str | None = None,
    deep: bool = False,
) -> CheckReport:
    """Check one split, or all that are there; `deep` decodes every image in full.

    Splits that are not checked are read as well, to find slides that stand in two of them.
    Raises UsageError or DataError if nothing can be read at all.
    """
    card, there = _splits_there(name_or_path, split, data_dir, hub_id, revision)
    # A bare file means itself; the files beside it are read for their slides.
    wanted = (split,) if split is not None else there if card.path is not None else there[:1]
    loaded: dict[str, Loaded] = {}
    findings: list[Finding] = []
    for name in dict.fromkeys((*wanted, *there)):
        try:
            loaded[name] = _read(card, name_or_path, name, data_dir, hub_id, revision)
        except DataError as error:
            if name in wanted and len(wanted) == 1:
                raise
            severity: Severity = "error" if name in wanted else "note"
            findings.append(Finding(severity, "split unreadable", name, 1, str(error)))
    checked = tuple(loaded[name] for name in wanted if name in loaded)
    for part in checked:
        findings += _row_findings(part)
        findings += _text_findings(part)
        findings += _count_findings(part)
    findings += _split_findings(card, loaded, set(wanted))
    found, counts = image_findings(card, checked, deep)
    findings += found
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return CheckReport(card, checked, tuple(findings), counts)


def _read(
    card: Card,
    name_or_path: str | Path,
    split: str,
    data_dir: Path | str | None,
    hub_id: str | None,
    revision: str | None,
) -> Loaded:
    if card.path is not None:
        return read_benchmark(name_or_path, split, data_dir, hub_id, revision)
    file = Path(name_or_path).with_name(card.splits[split].files[0])
    return read_benchmark(file, split, data_dir)


def _splits_there(
    name_or_path: str | Path,
    split: str | None,
    data_dir: Path | str | None,
    hub_id: str | None,
    revision: str | None,
) -> tuple[Card, tuple[str, ...]]:
    """The card, and the splits whose files are there (unions are not listed)."""
    card = load_card(name_or_path)
    if card.path is None:
        card = bare_card(Path(name_or_path), split)
        stem = card.choose_split(split)
        return card, (stem, *(name for name in card.splits if name != stem))
    if split is not None:
        card.choose_split(split)
    directory, _ = find_directory(card, data_dir, hub_id, revision)
    there = []
    for name, spec in card.splits.items():
        if spec.parts:
            continue
        try:
            split_file(card, name, directory)
        except DataError:
            continue
        there.append(name)
    if not there:
        first = split or next((name for name, spec in card.splits.items() if spec.files), "")
        split_file(card, first, directory)
    return card, tuple(there)


def _row_findings(loaded: Loaded) -> Iterable[Finding]:
    by_kind = defaultdict(list)
    for defect in loaded.defects:
        by_kind[defect.kind].append(defect)
    for kind, defects in by_kind.items():
        examples = tuple(f"row {defect.row}: {defect.message}" for defect in defects)
        yield Finding(
            "error",
            _KINDS.get(kind, kind),
            loaded.benchmark.split,
            len(defects),
            "rows that are no question",
            examples,
        )


def _text_findings(loaded: Loaded) -> Iterable[Finding]:
    empty, repeated, views = [], [], []
    known = set(loaded.card.dimension_order)
    strangers: Counter[str] = Counter()
    for question in loaded.benchmark.questions:
        if not question.text.strip():
            empty.append(f"{question.id}: the question")
        for letter, text in question.options.items():
            if not text.strip():
                empty.append(f"{question.id}: option {letter}")
        texts = Counter(plain(text) for text in question.options.values() if text.strip())
        for text, count in texts.items():
            if count > 1:
                same = [key for key, value in question.options.items() if plain(value) == text]
                right = ", one of them the answer" if question.answer in same else ""
                repeated.append(f"{question.id}: {' = '.join(same)}{right}")
        if known and question.dimension not in known:
            strangers[question.dimension] += 1
        if not question.views:
            views.append(question.id)
    split = loaded.benchmark.split
    if empty:
        yield Finding("error", "empty text", split, len(empty), "texts without content",
                      tuple(empty))  # fmt: skip
    if repeated:
        yield Finding("warning", "duplicate option", split, len(repeated),
                      "questions with two options of the same text", tuple(repeated))  # fmt: skip
    if strangers and loaded.card.path is not None:
        yield Finding("warning", "unknown dimension", split, sum(strangers.values()),
                      "questions in a dimension that the card does not name",
                      tuple(strangers))  # fmt: skip
    if views:
        yield _no_image(loaded, views)
    slides = [question.id for question in loaded.benchmark.questions if question.slide is None]
    if slides:
        yield Finding("warning", "no slide", split, len(slides),
                      "questions of no known slide: intervals take each for independent"
                      + _looked_in(loaded.card.fields.slide), tuple(slides))  # fmt: skip


def _no_image(loaded: Loaded, ids: list[str]) -> Finding:
    """Some questions may have none; where none has one, the card names the wrong field."""
    fields = dict.fromkeys(path for paths in loaded.card.fields.views.values() for path in paths)
    all_of_them = len(ids) == len(loaded.benchmark)
    severity: Severity = "error" if all_of_them and fields else "warning"
    message = "questions without any image"
    if all_of_them:
        message += _looked_in(tuple(fields))
    return Finding(severity, "no image", loaded.benchmark.split, len(ids), message, tuple(ids))


def _looked_in(fields: tuple[str, ...]) -> str:
    return f" (looked in {', '.join(fields)})" if fields else ""


def _count_findings(loaded: Loaded) -> Iterable[Finding]:
    """Counts against the card, and scales that some questions lack."""
    questions, split = loaded.benchmark.questions, loaded.benchmark.split
    spec = loaded.card.splits[split]
    if not questions:
        yield Finding("error", "no questions", split, 1, "the split holds no question")
        return
    wrong = []
    if spec.count is not None and spec.count != len(questions):
        wrong.append(f"{len(questions):,} questions; the card says {spec.count:,}")
    found = Counter(question.dimension for question in questions)
    for name, count in spec.dimensions.items():
        if found[name] != count:
            wrong.append(f"{name}: {found[name]:,}; the card says {count:,}")
    if wrong:
        yield Finding("error", "wrong count", split, len(wrong), "numbers of questions",
                      tuple(wrong))  # fmt: skip
    scales = Counter(view.scale for question in questions for view in question.views)
    for scale, count in scales.items():
        lacking = len(questions) - count
        if lacking and scale != "single":
            ids = tuple(q.id for q in questions if scale not in {v.scale for v in q.views})
            yield Finding("note", "absent view", split, lacking,
                          f"questions without a {scale} view", ids)  # fmt: skip


def _split_findings(card: Card, loaded: dict[str, Loaded], wanted: set[str]) -> Iterable[Finding]:
    """Slides that stand in two splits. Parts of one union count as one split."""
    unions = [set(spec.parts) for spec in card.splits.values() if spec.parts]
    names = [name for name in loaded if not card.splits[name].parts or name in wanted]
    slides = {
        name: {question.slide for question in loaded[name].benchmark.questions} - {None}
        for name in names
    }
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            if not {first, second} & wanted or any({first, second} <= union for union in unions):
                continue
            if second in card.splits[first].parts or first in card.splits[second].parts:
                continue
            both = sorted(str(slide) for slide in slides[first] & slides[second])
            if both:
                yield Finding("error", "slide in two splits", f"{first}, {second}", len(both),
                              "slides with questions in both splits", tuple(both))  # fmt: skip
