"""The files of a run directory: read with types and bounds, written so that no crash loses one.

manifest.json    what was asked of which model, and with which versions; images as sent
questions.jsonl  id, dimension, slide and right letter of each question, without its text
records.jsonl    one line per answered question, appended and flushed at once
set-aside.jsonl  records whose prompt is no longer what would be asked now, if there are any
summary.json     computed from the records, rewritten at the end of each call
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from scalevqa_eval.errors import DataError, RunLocked
from scalevqa_eval.run.manifest import FORMAT, Manifest, manifest_id
from scalevqa_eval.types import LETTERS, Question, Record

MANIFEST, QUESTIONS, RECORDS = "manifest.json", "questions.jsonl", "records.jsonl"
SUMMARY, SET_ASIDE = "summary.json", "set-aside.jsonl"
_CHECK = b',"crc32":'
_LARGEST = 2**53  # above it, JSON numbers are not exact everywhere


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


# --- reading: every value has its type and its bounds, or the file and the line are named --------

_adapter = cache(TypeAdapter)


def _read(wanted: Any, data: bytes) -> Any:
    """JSON as a value of that type. Raises ValueError in words for a person."""
    try:
        return _adapter(wanted).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def read_manifest(directory: Path) -> dict[str, Any]:
    """A run's manifest. Raises DataError if it is damaged or its settings were changed."""
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
        _read(Manifest, data)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no manifest of a run ({error})") from None
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] > FORMAT:
        raise DataError(f"{path} was written by a newer version of scalevqa-eval: update it")
    if manifest["id"] != manifest_id(manifest):
        raise DataError(
            f"{path}: its settings were changed after the run (they do not give its id). Put "
            "the file back as it was, or move the directory away to ask everything anew"
        )
    return manifest


def read_summary(directory: Path) -> dict[str, Any]:
    """A run's summary, {} if it has none yet. Raises DataError if it is no JSON object."""
    path = directory / SUMMARY
    try:
        summary: dict[str, Any] = _read(dict[str, Any], path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return summary


def read_questions(directory: Path) -> tuple[QuestionKey, ...]:
    """The questions that a run covers, each once. Raises DataError for anything else."""
    found: dict[str, QuestionKey] = {}
    path = directory / QUESTIONS
    for number, data in _lines(path):
        try:
            key: QuestionKey = _read(QuestionKey, data)
            letters = LETTERS[: key.n_options] if 0 <= key.n_options <= 26 else ""
            if key.answer not in (*letters,) if letters else key.answer or key.n_options:
                raise ValueError(f"the answer {key.answer!r} is none of the options")
            if key.id in found:
                raise ValueError(f"the id {key.id!r} stands in two lines")
        except ValueError as error:
            raise DataError(f"{path}, line {number} is damaged ({error})") from None
        found[key.id] = key
    return tuple(found.values())


class Line(NamedTuple):
    """One line of `records.jsonl`, counted from 1; a torn last line has no record."""

    number: int
    record: Record | None
    data: bytes


def read_records(directory: Path) -> Iterator[Line]:
    """The lines of a run's records, one after the other; a missing file has none.

    Raises DataError for a damaged line; one without an end is none, but what a crash leaves.
    """
    path = directory / RECORDS
    if not path.exists():
        return
    for number, data in _lines(path):
        try:
            yield Line(number, _record(data) if data.endswith(b"\n") else None, data)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number} is damaged ({error}); remove that line to have its "
                "question asked again"
            ) from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as lines:
            yield from enumerate(lines, 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _record(data: bytes) -> Record:
    end = data.rfind(_CHECK)
    if end >= 0 and data[end + len(_CHECK) : -2] != b"%d" % crc32(b"}", crc32(data[:end])):
        raise ValueError("its checksum does not fit: it was changed since it was written")
    record: Record = _read(Record, data)
    counts = (record.attempts, *filter(None, record.usage.values()))
    bounded = min(counts) >= 0 and max(counts) < _LARGEST and 0 <= record.latency < _LARGEST
    if not (bounded and record.question_id):
        raise ValueError("an empty question_id, or a number below 0 or above 2^53")
    return record


# --- writing

_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def record_line(record: Record) -> bytes:
    """One record as one line in ASCII (so no exotic line separators), with its checksum."""
    body = _compact(record.to_json()).encode()
    return b"%s%s%d}\n" % (body[:-1], _CHECK, crc32(body))


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file's content so that a reader sees the old or the new, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with _disk(path), temporary.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except DataError:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object, indented, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, [text.encode(), b"\n"])


def write_questions(directory: Path, keys: Iterable[QuestionKey]) -> None:
    """Write what `read_questions` reads."""
    names = QuestionKey.__dataclass_fields__
    rows = ({name: getattr(key, name) for name in names} for key in keys)
    write_atomically(directory / QUESTIONS, (_compact(row).encode() + b"\n" for row in rows))


def revise_records(
    directory: Path, changes: Mapping[int, bytes], set_aside: Iterable[bytes]
) -> None:
    """Replace lines of the records, by number from 1; b"" takes a line out.

    What is set aside is appended to a file of its own first.
    """
    path = directory / SET_ASIDE
    if set_aside:
        with _disk(path), path.open("ab") as file:
            file.writelines(set_aside)
            file.flush()
            os.fsync(file.fileno())
    path = directory / RECORDS
    if changes:
        write_atomically(path, (changes.get(number, line) for number, line in _lines(path)))


class RecordWriter:
    """Appends records to `records.jsonl`. One whole line reaches the kernel per call."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RECORDS
        with _disk(self._path):
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = os.fstat(self._file).st_size

    def append(self, record: Record) -> None:
        """Write one record. On a full disk the begun line is taken back and DataError raised."""
        line = view = memoryview(record_line(record))
        try:
            with _disk(self._path):
                while view:
                    view = view[os.write(self._file, view) :]
        except DataError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        with suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """An OSError as a DataError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk is full: {path} could not be written. All earlier answers are kept; "
                "free some space and repeat the command to go on"
            ) from error
        raise DataError(f"{path} could not be written: {error.strerror or error}") from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a run directory for writing. Raises RunLocked if another process has it.

    The lock is the operating system's: it goes with the process, however that ends.
    """
    lock = FileLock(directory / ".lock", timeout=0)
    with _disk(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunLocked(
                f"another process is writing {directory}; wait for it, or give another --output"
            ) from None
    try:
        yield
    finally:
        lock.release()
