"""A name, a card or a question file → Benchmark.

load_benchmark("scale-vqa", split="val", data_dir="…")        strict: a defective row is an error
read_benchmark(Location("scale-vqa", "val", data_dir="…"))    lenient: defective rows are listed
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from scalevqa_eval.data.card import Card, load_card
from scalevqa_eval.data.formats import conversation_rows, pathmmu_rows
from scalevqa_eval.data.parse import Defect, RowError, SplitParser, read_rows, table_rows
from scalevqa_eval.data.readers import DataFile
from scalevqa_eval.errors import DataError, MissingExtra, UsageError
from scalevqa_eval.images import STARTS
from scalevqa_eval.paths import cache_directory
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
        path = Path(self.name)
        spec = self.card.splits.get(split)
        file = path.with_name(spec.files[0] if spec else f"{split}{path.suffix}")
        if not file.is_file():
            known = ", ".join(self.card.splits)
            raise UsageError(f"there is no {file.name} beside {path}; its splits: {known}")
        return replace(self, name=file, split=split)

    def directory(self) -> tuple[Path, str]:
        """The directory with the question files, and the hub commit ("" if it is no snapshot).

        Raises UsageError with the card's own advice if nothing says where the files are.
        """
        card, source = self.card, self.card.source
        if self.is_file:
            if self.hub_id is not None or self.revision is not None:
                raise UsageError(f"{self.name} is a file: --hub-id and --revision go with a card")
            return Path(self.name).parent, ""
        if self.data_dir is not None and self.hub_id is not None:
            raise UsageError("give either --data-dir or --hub-id, not both")
        if self.data_dir is not None:
            return _existing(self.data_dir), ""
        if self.hub_id is None and source.generator:
            from scalevqa_eval.data.demo import drawn_directory

            return drawn_directory(source.generator), ""
        if self.hub_id is None and source.directory is not None and card.path is not None:
            directory = card.path.parent / source.directory
            if not directory.is_dir():
                raise DataError(f"{card.path}: source.directory: there is no directory {directory}")
            return directory, ""
        repository = self.hub_id or source.hub
        if repository is None:
            advice = f"{card.name}: give --data-dir DIR or --hub-id OWNER/NAME"
            raise UsageError(source.access or advice)
        revision = self.revision or (None if self.hub_id else source.revision)
        return _download(card.name, repository, revision)

    def image_root(self, directory: Path) -> Path:
        """Where the images lie, for files in `directory`."""
        if self.is_file and self.data_dir is not None:
            return _existing(self.data_dir)
        return directory if self.is_file else directory / self.card.source.images


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
    return load_strictly(Location(name_or_path, split, data_dir, hub_id, revision), limit)


def load_strictly(location: Location, limit: int | None = None) -> Benchmark:
    """As `load_benchmark`."""
    loaded = read_benchmark(location, limit)
    if loaded.defects:
        raise DataError(_defects_message(loaded, str(location.name)))
    if not loaded.benchmark.questions:
        raise DataError(f"{loaded.files[0]} holds no questions of {loaded.benchmark.split}")
    return loaded.benchmark


def read_benchmark(location: Location, limit: int | None = None) -> Loaded:
    """As `load_benchmark`, but rows that are no question are listed instead of raised."""
    if limit is not None and limit < 1:
        raise UsageError(f"a limit is 1 or more, not {limit}")
    card = location.card
    chosen = card.choose_split(None if location.is_file else location.split)
    directory, commit = location.directory()
    image_root = location.image_root(directory)
    files: list[Path] = []
    questions: list[Question] = []
    defects: list[Defect] = []
    revisions: list[str] = []
    embedded = EmbeddedImages()
    for part in card.splits[chosen].parts or (chosen,):
        file = DataFile(split_file(card, part, directory))
        parser = SplitParser(card, part, image_root, embedded.put)
        if card.format == "pathmmu":
            rows = pathmmu_rows(file, parser)
        elif card.format == "conversations":
            rows = conversation_rows(file.rows(card.rows), parser)
        else:
            rows = table_rows(file.rows(card.rows), parser)
        found, bad = read_rows(rows, file.path)
        files.append(file.path)
        revisions.append(file.revision)
        questions += found
        defects += bad
    embedded.check_only_kind(questions, files[0])
    questions = questions[:limit]
    there = dict.fromkeys(question.dimension for question in questions)
    benchmark = Benchmark(
        name=card.name,
        revision=commit or "+".join(dict.fromkeys(revisions)),
        split=chosen,
        questions=tuple(questions),
        image_root=embedded.root if embedded.names else image_root,
        # Those that occur: the card's first, in its order, then others as they come.
        dimensions=tuple(
            dict.fromkeys([name for name in card.dimension_order if name in there] + list(there))
        ),
        card=card.sha256,
        prompt=card.prompt,
        load_split=lambda split: load_strictly(location.at(split)),
    )
    return Loaded(benchmark, tuple(defects), card, tuple(files))


def split_file(card: Card, split: str, directory: Path) -> Path:
    """The file of a split. Raises DataError that names the splits which are there."""
    candidates = card.splits[split].files
    for name in candidates:
        if (directory / name).is_file():
            return directory / name
    there = [
        other
        for other, spec in card.splits.items()
        if any((directory / name).is_file() for name in spec.files)
    ]
    message = f"{directory} has no {' or '.join(candidates)} for the split {split!r}"
    if there:
        message += f"; there are files for --split {', '.join(there)}"
    elif card.source.access:
        message += f". {card.source.access}"
    raise DataError(message)


def _existing(directory: Path | str) -> Path:
    path = Path(directory).expanduser()
    if not path.is_dir():
        raise UsageError(f"--data-dir {directory}: there is no such directory")
    return path


def _download(name: str, repository: str, revision: str | None) -> tuple[Path, str]:
    """A snapshot of a dataset repository on the hub, and its commit.

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
    place = f"the dataset {repository} on the hub"
    if revision:
        place += f" at revision {revision}"
    own = "or download it yourself and give --data-dir DIR"
    try:
        path = Path(snapshot_download(repository, repo_type="dataset", revision=revision))
    except errors.GatedRepoError:
        raise DataError(
            f"{place} is gated: accept its conditions on its page, set HF_TOKEN, try again; {own}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise DataError(
            f"{place} does not exist or is private (set HF_TOKEN if you have access); {own}"
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{place} does not exist: check --revision") from None
    except (errors.HFValidationError, errors.HfUriError) as error:
        raise UsageError(f"a hub id is OWNER/NAME, not {repository!r}") from error
    except Exception as error:  # the hub client lets those of its HTTP library through
        kind = type(error).__name__
        raise DataError(f"{place} cannot be downloaded ({kind}): try again; {own}") from error
    return path, path.name


class EmbeddedImages:
    """Images that a question file carries as bytes, kept in the cache under their sha256."""

    def __init__(self) -> None:
        self.root = cache_directory() / "embedded"
        self.names: set[str] = set()

    def put(self, data: bytes) -> str:
        """Store bytes once; the path relative to `root`. Raises RowError if they are no image."""
        suffix = next((suffix for start, suffix in STARTS.items() if data.startswith(start)), None)
        if suffix is None:
            raise RowError("type", "the embedded image is in no known image format")
        digest = hashlib.sha256(data).hexdigest()
        name = f"{digest[:2]}/{digest}{suffix}"
        target = self.root / name
        if not (target.is_file() and target.stat().st_size == len(data)):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                handle, aside = tempfile.mkstemp(dir=target.parent)
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(aside).replace(target)
            except OSError as error:
                raise DataError(
                    f"cannot write images to {self.root} ({error.strerror}): set SCALEVQA_CACHE"
                ) from error
        self.names.add(name)
        return name

    def check_only_kind(self, questions: list[Question], file: Path) -> None:
        """Raise DataError for a path beside embedded images: it could not be found."""
        for question in questions if self.names else ():
            for view in question.views:
                if view.image not in self.names:
                    raise DataError(
                        f"{file} holds both embedded images and paths ({view.image} of "
                        f"{question.id}): keep to one of them"
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
