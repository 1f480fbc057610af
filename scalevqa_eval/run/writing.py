"""Writes a run directory so that no crash loses an answer."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

from scalevqa_eval.errors import DataError, RunLocked
from scalevqa_eval.run.store import (
    CHECK,
    MANIFEST,
    QUESTIONS,
    RECORDS,
    SET_ASIDE,
    QuestionKey,
    read_manifest,
)
from scalevqa_eval.types import Record


def record_line(record: Record) -> bytes:
    """One record as one line in ASCII (so no exotic line separators), with its checksum."""
    body = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False).encode()
    return b"%s%s%d}\n" % (body[:-1], CHECK, crc32(body))


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace a file's content so that a reader sees the old or the new, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _disk_error(path, error) from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object, indented, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, [text.encode(), b"\n"])


def write_start(directory: Path, manifest: Mapping[str, Any], keys: Iterable[QuestionKey]) -> None:
    """Write manifest and questions of a new run, or enter one more call into an old manifest.

    `calls` lists when and with which versions the run was worked on.
    """

    def lines() -> Iterator[bytes]:
        for key in kept:
            row = {name: getattr(key, name) for name in QuestionKey.__dataclass_fields__}
            yield json.dumps(row, separators=(",", ":")).encode() + b"\n"

    kept = tuple(keys)
    if not _holds(directory / QUESTIONS, lines()):
        write_atomically(directory / QUESTIONS, lines())
    call = {name: manifest[name] for name in ("started", "versions", "git")}
    earlier = dict(manifest)
    if (directory / MANIFEST).is_file():
        earlier = {**read_manifest(directory), "scorer": manifest["scorer"]}
    write_json(directory / MANIFEST, {**earlier, "calls": [*earlier.get("calls", ()), call]})


def _holds(path: Path, lines: Iterable[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            return all(one == other for one, other in zip_longest(file, lines))
    except OSError:
        return False


def finish_manifest(directory: Path, images: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Enter the images as sent (path → sha256 and change) into a manifest, and return it."""
    manifest = read_manifest(directory)
    sent = {path: {"sha256": sha256, "change": change} for path, (sha256, change) in images.items()}
    manifest["images"] = dict(sorted({**manifest.get("images", {}), **sent}.items()))
    write_json(directory / MANIFEST, manifest)
    return manifest


def set_aside(directory: Path, lines: Iterable[bytes]) -> None:
    """Append lines of the records to a file of their own, before they are replaced."""
    path = directory / SET_ASIDE
    try:
        with path.open("ab") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _disk_error(path, error) from error


def revise_records(directory: Path, changes: Mapping[int, bytes]) -> None:
    """Replace lines of the records, by number from 1; b"" takes a line out."""
    path = directory / RECORDS
    with path.open("rb") as lines:
        write_atomically(path, (changes.get(place, line) for place, line in enumerate(lines, 1)))


class RecordWriter:
    """Appends records to `records.jsonl`. One whole line reaches the kernel per call."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RECORDS
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = os.fstat(self._file).st_size
        except OSError as error:
            raise _disk_error(self._path, error) from error

    def append(self, record: Record) -> None:
        """Write one record. On a full disk the begun line is taken back and DataError raised."""
        line = record_line(record)
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


def _disk_error(path: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk is full: {path} could not be written. All earlier answers are kept; "
            "free some space and repeat the command to go on"
        )
    return DataError(f"{path} could not be written: {error.strerror or error}")


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
