"""A name, a card or a question file → Benchmark.

load_benchmark("scale-vqa", split="val", data_dir="…")     strict: a defective row is an error
read_benchmark(…)                                          lenient: defective rows are listed
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scalevqa_eval.data.card import Card, bare_card, list_cards, load_card
from scalevqa_eval.data.parse import Context, Defect, read_questions
from scalevqa_eval.data.sources import EmbeddedImages, existing, find_directory, split_file
from scalevqa_eval.data.tables import Document, read_document
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.types import Benchmark, Question

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Loaded:
    """The questions that could be read, and the rows that could not."""

    benchmark: Benchmark
    defects: tuple[Defect, ...]
    card: Card
    files: tuple[Path, ...]


def load_benchmark(
    name_or_path: str | Path,
    split: str | None = None,
    data_dir: Path | str | None = None,
    hub_id: str | None = None,
    revision: str | None = None,
    limit: int | None = None,
) -> Benchmark:
    """The questions of one split.

    `name_or_path` is a built-in name, a card (.yaml), or a question file in the Scale-VQA format
    (.json, .jsonl, .parquet). `data_dir` is where the files lie (for a question file: its images);
    `hub_id` and `revision` name a dataset repository on the Hugging Face hub instead. `limit`
    keeps the first questions. Raises UsageError, or DataError if a row is no question.
    """
    loaded = read_benchmark(name_or_path, split, data_dir, hub_id, revision, limit)
    if loaded.defects:
        raise DataError(_defects_message(loaded, str(name_or_path)))
    if not loaded.benchmark.questions:
        raise DataError(f"{loaded.files[0]} holds no questions of {loaded.benchmark.split}")
    return loaded.benchmark


def read_benchmark(
    name_or_path: str | Path,
    split: str | None = None,
    data_dir: Path | str | None = None,
    hub_id: str | None = None,
    revision: str | None = None,
    limit: int | None = None,
) -> Loaded:
    """As `load_benchmark`, but rows that are no question are listed instead of raised."""
    if limit is not None and limit < 1:
        raise UsageError(f"a limit is 1 or more, not {limit}")
    card = load_card(name_or_path)
    commit = ""
    if card.path is None:
        path = Path(name_or_path)
        if hub_id is not None or revision is not None:
            raise UsageError(f"{path} is a file: --hub-id and --revision go with a card")
        card = bare_card(path, split)
        directory = path.parent
        image_root = directory if data_dir is None else existing(data_dir)
        chosen = card.choose_split(split)
    else:
        chosen = card.choose_split(split)
        directory, commit = find_directory(card, data_dir, hub_id, revision)
        image_root = directory / card.source.images
    files: list[Path] = []
    questions: list[Question] = []
    defects: list[Defect] = []
    revisions: list[str] = []
    embedded = EmbeddedImages()
    documents: dict[Path, Document] = {}  # one file may hold several splits
    for part in card.splits[chosen].parts or (chosen,):
        file = split_file(card, part, directory)
        document = documents[file] if file in documents else read_document(file)
        if not isinstance(document.data, Iterator):
            documents[file] = document
        found, bad = read_questions(document, Context(card, part, image_root, embedded.put))
        files.append(document.path)
        questions += found
        defects += bad
        revisions.append(document.revision)
    _check_one_kind_of_images(embedded, questions, files[0])
    questions = questions[:limit]
    benchmark = Benchmark(
        name=card.name,
        revision=commit or "+".join(dict.fromkeys(revisions)),
        split=chosen,
        questions=tuple(questions),
        image_root=embedded.root if embedded.used else image_root,
        dimensions=_dimensions(card, questions),
        card=card.sha256,
        prompt=card.prompt,
        load_split=_split_loader(card, name_or_path, data_dir, hub_id, revision),
    )
    return Loaded(benchmark, tuple(defects), card, tuple(files))


def _split_loader(
    card: Card,
    name_or_path: str | Path,
    data_dir: Path | str | None,
    hub_id: str | None,
    revision: str | None,
) -> Callable[[str], Benchmark]:
    if card.path is not None:
        return lambda split: load_benchmark(name_or_path, split, data_dir, hub_id, revision)
    path = Path(name_or_path)

    def sibling(split: str) -> Benchmark:
        name = card.splits[split].files[0] if split in card.splits else f"{split}{path.suffix}"
        if not path.with_name(name).is_file():
            known = ", ".join(card.splits)
            raise UsageError(f"there is no {name} beside {path}; its splits: {known}")
        return load_benchmark(path.with_name(name), split, data_dir)

    return sibling


def _dimensions(card: Card, questions: list[Question]) -> tuple[str, ...]:
    """Dimensions that occur: the card's first, in its order, then others as they come."""
    seen = dict.fromkeys(question.dimension for question in questions)
    named = [name for name in card.dimension_order if name in seen]
    return (*named, *(name for name in seen if name not in named))


def _check_one_kind_of_images(
    embedded: EmbeddedImages, questions: list[Question], file: Path
) -> None:
    """Embedded images lie in the cache, so a path in the same file could not be found."""
    if not embedded.used:
        return
    for question in questions:
        for view in question.views:
            if view.image not in embedded.names:
                raise DataError(
                    f"{file} holds both embedded images and paths ({view.image} of {question.id}): "
                    "keep to one of them"
                )


def _defects_message(loaded: Loaded, name: str) -> str:
    shown = "; ".join(
        f"row {defect.row} ({defect.id}): {defect.message}" for defect in loaded.defects[:_SHOWN]
    )
    count = len(loaded.defects)
    what = "1 row is" if count == 1 else f"{count} rows are"
    more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
    return (
        f"{loaded.files[0]}: {what} no question. {shown}{more}.\n"
        f"Correct the file; `scalevqa benchmarks check {name}` lists all of them."
    )


__all__ = [
    "Card",
    "Defect",
    "Loaded",
    "list_cards",
    "load_benchmark",
    "load_card",
    "read_benchmark",
]
