"""A name, a card or a question file → Benchmark.

load_benchmark("scale-vqa", split="val", data_dir="…")        strict: a defective row is an error
read_benchmark(Location("scale-vqa", "val", data_dir="…"))    lenient: defective rows are listed
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from scalevqa_eval.data.card import Card, load_card
from scalevqa_eval.data.formats import rows_of
from scalevqa_eval.data.parse import Defect, Parser, embedded_directory
from scalevqa_eval.data.readers import DataFile
from scalevqa_eval.errors import DataError, MissingExtra, UsageError
from scalevqa_eval.types import Benchmark, Question

_SHOWN = 3


@dataclass(frozen=True)
class Location:
    """Which questions are meant, and what says where their files lie.

    `name` is a built-in name, a card (.yaml), or a question file in the Scale-VQA format (.json,
    .jsonl, .parquet). `data_dir` is where the files lie (for a question file: its images);
    `hub_id` and `revision` name a dataset repository on the Hugging Face hub instead.
    """

    name: str | Path
    split: str | None = None
    data_dir: Path | str | None = None
    hub_id: str | None = None
    revision: str | None = None

    @cached_property
    def card(self) -> Card:
        """The card, or for a bare file the one that it stands for."""
        return load_card(self.name, self.split)

    @property
    def is_file(self) -> bool:
        """Whether this is a bare question file, without a card."""
        return self.card.path is None

    def at(self, split: str) -> Location:
        """Another split from the same place; for a bare file, the file beside it."""
        if not self.is_file:
            return replace(self, split=split)
        path, spec = Path(self.name), self.card.splits.get(split)
        file = path.with_name(spec.files[0]) if spec else path.with_stem(split)
        if not file.is_file():
            known = ", ".join(self.card.splits)
            raise UsageError(f"there is no {file.name} beside {path}; its splits: {known}")
        return replace(self, name=file, split=split)

    def directories(self) -> tuple[Path, Path, str]:
        """Where the question files lie, and the images; the hub commit ("" if it is no snapshot).

        Raises UsageError with the card's own advice if nothing says where the files are.
        """
        card, source = self.card, self.card.source
        given = None if self.data_dir is None else Path(self.data_dir).expanduser()
        if given is not None and not given.is_dir():
            raise UsageError(f"--data-dir {self.data_dir}: there is no such directory")
        if self.is_file:
            if self.hub_id is not None or self.revision is not None:
                raise UsageError(f"{self.name} is a file: --hub-id and --revision go with a card")
            directory = Path(self.name).parent
            return directory, given or directory, ""
        if given is not None and self.hub_id is not None:
            raise UsageError("give either --data-dir or --hub-id, not both")
        commit = ""
        if given is not None:
            directory = given
        elif self.hub_id is None and source.generator:
            from scalevqa_eval.data.demo import drawn_directory

            directory = drawn_directory(source.generator)
        elif self.hub_id is None and source.directory is not None and card.path is not None:
            directory = card.path.parent / source.directory
            if not directory.is_dir():
                raise DataError(f"{card.path}: source.directory: there is no directory {directory}")
        elif repository := self.hub_id or source.hub:
            revision = self.revision or (None if self.hub_id else source.revision)
            directory = _download(card.name, repository, revision)
            commit = directory.name
        else:
            advice = f"{card.name}: give --data-dir DIR or --hub-id OWNER/NAME"
            raise UsageError(source.access or advice)
        return directory, directory / source.images, commit


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
    """The questions of one split; see `Location` for what the arguments say.

    `limit` keeps the first questions. Raises UsageError, or DataError if a row is no question.
    """
    return _load(Location(name_or_path, split, data_dir, hub_id, revision), limit)


def _load(location: Location, limit: int | None = None) -> Benchmark:
    loaded = read_benchmark(location, limit)
    if loaded.defects:
        shown = "; ".join(f"row {d.row} ({d.id}): {d.message}" for d in loaded.defects[:_SHOWN])
        more = len(loaded.defects) - _SHOWN
        raise DataError(
            f"{loaded.files[0]}: rows that are no question: {shown}"
            + (f"; and {more} more" if more > 0 else "")
            + f".\nCorrect the file; `scalevqa benchmarks check {location.name}` lists all of them."
        )
    if not loaded.benchmark.questions:
        raise DataError(f"{loaded.files[0]} holds no questions of {loaded.benchmark.split}")
    return loaded.benchmark


def read_benchmark(location: Location, limit: int | None = None) -> Loaded:
    """As `load_benchmark`, but rows that are no question are listed instead of raised."""
    if limit is not None and limit < 1:
        raise UsageError(f"a limit is 1 or more, not {limit}")
    card = location.card
    chosen = card.choose_split(None if location.is_file else location.split)
    directory, image_root, commit = location.directories()
    files: list[DataFile] = []
    questions: list[Question] = []
    defects: list[Defect] = []
    embedded: set[str] = set()
    for part in card.splits[chosen].parts or (chosen,):
        file = DataFile(split_file(card, part, directory))
        fields, rows = rows_of(file, card, part, image_root)
        found, bad = Parser(card, part, fields, embedded).read(rows, file.path)
        files.append(file)
        questions += found
        defects += bad
    for question in questions if embedded else ():
        if paths := set(question.image_set) - embedded:
            raise DataError(
                f"{files[0].path} holds both embedded images and paths ({paths.pop()}): keep to one"
            )
    questions = questions[:limit]
    benchmark = Benchmark(
        name=card.name,
        revision=commit or "+".join(dict.fromkeys(file.revision for file in files)),
        split=chosen,
        questions=tuple(questions),
        image_root=embedded_directory() if embedded else image_root,
        dimensions=card.in_order(question.dimension for question in questions),
        card=card.sha256,
        prompt=card.prompt,
        load_split=lambda split: _load(location.at(split)),
    )
    return Loaded(benchmark, tuple(defects), card, tuple(file.path for file in files))


def split_file(card: Card, split: str, directory: Path) -> Path:
    """The file of a split. Raises DataError that names the splits which are there."""
    candidates = card.splits[split].files
    for name in candidates:
        if (directory / name).is_file():
            return directory / name
    message = f"{directory} has no {' or '.join(candidates)} for the split {split!r}"
    if there := card.splits_in(directory):
        message += f"; there are files for --split {', '.join(there)}"
    elif card.source.access:
        message += f". {card.source.access}"
    raise DataError(message)


def _download(name: str, repository: str, revision: str | None) -> Path:
    """A snapshot of a dataset repository on the hub, in a directory named after its commit.

    What the hub's own cache already holds is not fetched again. Raises MissingExtra without
    huggingface_hub, and DataError with what to do if the repository cannot be had.
    """
    try:
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise MissingExtra(f"{name} from the hub ({repository})", "hub") from None
    if not os.isatty(2):
        disable_progress_bars()
    advice = {
        errors.GatedRepoError: "is gated: accept its conditions on its page and set HF_TOKEN",
        errors.RepositoryNotFoundError: "does not exist or is private (set HF_TOKEN if you may)",
        errors.RevisionNotFoundError: f"has no revision {revision}: check --revision",
    }
    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision))
    except (errors.HFValidationError, errors.HfUriError) as error:
        raise UsageError(f"a hub id is OWNER/NAME, not {repository!r}") from error
    except Exception as error:  # the hub client lets those of its HTTP library through
        what = next((text for kind, text in advice.items() if isinstance(error, kind)), "")
        what = what or f"cannot be downloaded ({type(error).__name__}): try again"
        raise DataError(
            f"the dataset {repository} on the hub {what}; or download it yourself and give "
            "--data-dir DIR"
        ) from error
