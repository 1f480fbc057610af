"""Where the files of a card lie: a directory, a hub repository, or a drawing in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.fields import RowError
from scalevqa_eval.errors import DataError, MissingExtra, UsageError
from scalevqa_eval.paths import cache_directory

DEMO_SEED = 0
_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".webp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"BM", ".bmp"),
)


def find_directory(
    card: Card, data_dir: Path | str | None, hub_id: str | None, revision: str | None
) -> tuple[Path, str]:
    """The directory with a card's files, and the hub commit ("" if it is no hub snapshot).

    Raises UsageError with the card's own advice if nothing says where the files are.
    """
    source = card.source
    if data_dir is not None and hub_id is not None:
        raise UsageError("give either --data-dir or --hub-id, not both")
    if data_dir is not None:
        return existing(data_dir), ""
    if hub_id is None and source.generator:
        return drawn_directory(source.generator), ""
    if hub_id is None and source.directory is not None and card.path is not None:
        directory = card.path.parent / source.directory
        if not directory.is_dir():
            raise DataError(f"{card.path}: source.directory: there is no directory {directory}")
        return directory, ""
    repository = hub_id or source.hub
    if repository is None:
        advice = f"{card.name}: give --data-dir DIR or --hub-id OWNER/NAME"
        raise UsageError(source.access or advice)
    return download(card, repository, revision or (None if hub_id else source.revision))


def existing(directory: Path | str) -> Path:
    """The directory given as --data-dir. Raises UsageError if there is none."""
    path = Path(directory).expanduser()
    if not path.is_dir():
        raise UsageError(f"--data-dir {directory}: there is no such directory")
    return path


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


def download(card: Card, repository: str, revision: str | None) -> tuple[Path, str]:
    """A snapshot of a dataset repository on the hub, and its commit.

    What the hub's own cache already holds is not fetched again. Raises MissingExtra without
    huggingface_hub, and DataError with what to do if the repository cannot be had.
    """
    try:
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise MissingExtra(f"{card.name} from the hub ({repository})", "hub") from None
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


def drawn_directory(generator: str) -> Path:
    """The drawn benchmark `demo` or `demo-leaky`, made on first use.

    It is built aside and renamed, so that of two processes one wins and neither sees half of it.
    """
    from scalevqa_eval.data.demo import build_demo

    target = cache_directory() / f"{generator}-{DEMO_SEED}-{_drawing_version()}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{generator}-", dir=target.parent))
    except OSError as error:
        raise DataError(
            f"cannot write the cache {target.parent} ({error.strerror}): set SCALEVQA_CACHE"
        ) from error
    try:
        build_demo(building, seed=DEMO_SEED, leaky=generator == "demo-leaky")
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise DataError(f"cannot draw {generator} into {target.parent}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _drawing_version() -> str:
    """Changes with the code that draws, so that nothing stale is used."""
    sources = sorted(Path(__file__).parent.glob("demo*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:10]


class EmbeddedImages:
    """Images that a question file carries as bytes, kept in the cache under their sha256."""

    def __init__(self) -> None:
        self.root = cache_directory() / "embedded"
        self.names: set[str] = set()

    @property
    def used(self) -> bool:
        return bool(self.names)

    def put(self, data: bytes) -> str:
        """Store bytes once; the path relative to `root`. Raises RowError if they are no image."""
        suffix = next((suffix for magic, suffix in _MAGIC if data.startswith(magic)), None)
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
