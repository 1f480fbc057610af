"""The run directory: manifest, records and summary, written so that no crash loses an answer.

manifest.json    what was asked of which model, and with which versions
questions.jsonl  id, dimension, slide and right letter of each question, without its text
records.jsonl    one line per answered question, appended and flushed at once
images.json      sha256 of each image as sent, and what was done to the file
summary.json     computed from the records, rewritten at the end of each call
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import DataError, MissingExtra, RunLocked
from scalevqa_eval.types import Question, Record

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, QUESTIONS, RECORDS = "manifest.json", "questions.jsonl", "records.jsonl"
SUMMARY = "summary.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class QuestionKey:
    """What statistics need of a question; `answer` is the letter under this run's condition."""

    id: str
    dimension: str
    slide: str | None
    answer: str
    n_options: int

    @classmethod
    def of(cls, question: Question) -> QuestionKey:
        # The reference text of an open question belongs to the dataset, not into a run.
        answer = "" if question.is_open else question.answer
        return cls(question.id, question.dimension, question.slide, answer, len(question.options))


@dataclass(frozen=True, slots=True)
class Run:
    """One model's answers to one benchmark under one condition, as read from a directory."""

    path: Path
    manifest: Mapping[str, Any]
    questions: tuple[QuestionKey, ...]
    records: tuple[Record, ...]
    summary: Mapping[str, Any]

    @property
    def condition(self) -> str:
        return str(self.manifest["condition"])

    def to_pandas(self) -> pd.DataFrame:
        """One row per record, with the question's dimension, slide and right letter."""
        return records_frame(self.questions, self.records)


def records_frame(questions: Sequence[QuestionKey], records: Sequence[Record]) -> pd.DataFrame:
    """Records as a pandas DataFrame. Raises MissingExtra if pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("to_pandas()", "pandas") from None
    keys = {key.id: key for key in questions}
    rows = []
    for record in records:
        key = keys[record.question_id]
        row = record.to_json()
        row |= {"dimension": key.dimension, "slide": key.slide, "answer": key.answer}
        row |= {"score": record.score, "n_options": key.n_options}
        rows.append(row)
    return pd.DataFrame(rows)


def open_run(path: Path | str) -> Run:
    """Read a run directory; records come in the order of the questions.

    A torn last line of the records is passed over.

    Raises DataError if the directory is no run or a file in it is damaged.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        raise DataError(f"{path} is no run directory: it has no {MANIFEST}")
    manifest = read_object(path / MANIFEST)
    summary = read_object(path / SUMMARY) if (path / SUMMARY).is_file() else {}
    questions = read_questions(path / QUESTIONS)
    records, _ = read_records(path / RECORDS)
    place = {key.id: number for number, key in enumerate(questions)}
    for record in records:
        if record.question_id not in place:
            raise DataError(f"{path}: {record.question_id!r} in {RECORDS} is not in {QUESTIONS}")
    records.sort(key=lambda record: place[record.question_id])
    return Run(path, manifest, questions, tuple(records), summary)


def read_questions(path: Path) -> tuple[QuestionKey, ...]:
    """The questions that a run covers. Raises DataError if the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8") as lines:
            return tuple(QuestionKey(**json.loads(line)) for line in lines)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_records(path: Path) -> tuple[list[Record], bool]:
    """Records of a file, and whether its last line was torn (and is left out).

    A missing file has no records. Raises DataError for a damaged line that is not the last.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], False
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    lines = data.split(b"\n")
    torn = bool(lines.pop())  # what stands after the last line feed was never finished
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(Record.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not torn:
                return records, True
            raise DataError(
                f"{path}, line {number} is damaged ({error}); remove that line to have its "
                "question asked again"
            ) from error
    return records, torn


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises DataError if there is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no JSON object")
    return value


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's content so that a reader sees the old or the new, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _disk_error(path, error) from error


def _disk_error(path: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk is full: {path} could not be written. All earlier answers are kept; "
            "free some space and repeat the command to go on"
        )
    return DataError(f"{path} could not be written: {error.strerror or error}")


def to_line(value: Mapping[str, Any]) -> str:
    """One JSON object on one line, in ASCII (so no exotic line separators)."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a run directory for writing. Raises RunLocked if another process has it.

    The lock is the operating system's: it goes with the process, however that ends.
    """
    from filelock import FileLock, Timeout

    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise RunLocked(
            f"another process is writing {directory}; wait for it, or give another --output"
        ) from None
    except OSError as error:
        raise _disk_error(directory, error) from error
    try:
        yield
    finally:
        lock.release()


class RecordWriter:
    """Appends records to `records.jsonl`. One whole line reaches the kernel per call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = os.fstat(self._file).st_size
        except OSError as error:
            raise _disk_error(path, error) from error

    def append(self, record: Record) -> None:
        """Write one record. On a full disk the begun line is taken back and DataError raised."""
        line = to_line(record.to_json()).encode()
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise _disk_error(self._path, error) from error
        self._size += len(line)

    def close(self) -> None:
        with suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)


def write_start(directory: Path, manifest: Mapping[str, Any], keys: Iterable[QuestionKey]) -> None:
    """Write manifest and questions of a new run, or enter one more call into an old manifest.

    `calls` lists when and with which versions the run was worked on.
    """
    lines = "".join(to_line(asdict(key)) for key in keys)
    if not _holds(directory / QUESTIONS, lines):
        write_atomically(directory / QUESTIONS, lines)
    call = {name: manifest[name] for name in ("started", "versions", "git")}
    path = directory / MANIFEST
    earlier = read_object(path) if path.is_file() else dict(manifest)
    write_json(path, {**earlier, "calls": [*earlier.get("calls", ()), call]})


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def finish_manifest(directory: Path, images: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Enter the images as sent (path → sha256 and change) into a manifest, and return it."""
    manifest = read_object(directory / MANIFEST)
    manifest["images"] = dict(sorted({**manifest.get("images", {}), **images}.items()))
    write_json(directory / MANIFEST, manifest)
    return manifest


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object, indented, atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def rewrite_records(directory: Path, records: Iterable[Record]) -> None:
    """Replace the records: used on open, to drop torn lines and errors that are tried again."""
    lines = "".join(to_line(record.to_json()) for record in records)
    write_atomically(directory / RECORDS, lines)
