"""Files → plain values: one reader each for YAML, JSON and Parquet, bounded in memory and work.

Lists of rows are read row by row, so that no more of a file is held than its questions.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from scalevqa_eval.errors import DataError, MissingExtra

MAX_YAML_BYTES = 200_000
MAX_WHOLE_BYTES = 256 * 2**20  # of JSON that has to be held at once
MAX_UNPACKED = 200  # times a Parquet file's size, and never less than:
MIN_UNPACKED_BYTES = 64 * 2**20
_BATCH_BYTES, _MOST_ROWS = 32 * 2**20, 256  # of Parquet, decoded at once
_CHUNK, _LONGEST_ROW = 2**20, 64 * 2**20
_BLANK = re.compile(r"[ \t\r\n]*")
_KINDS = {
    bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list",
    dict: "an object", bytes: "binary data", type(None): "null",
}  # fmt: skip


class RowError(Exception):
    """Why a row makes no question, or stands in place of one that could not be read.

    `kind` is that of a Defect.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Repeated(dict[str, Any]):
    """A JSON object in which the key `twice` stands twice, or in an object that it holds."""

    twice: str


def kind_of(value: Any) -> str:
    """What a value is, in words for people."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def read_yaml(
    raw: bytes | str, place: str, what: str = "file", *, longest: int = MAX_YAML_BYTES
) -> Any:
    """The value of a YAML text of at most `longest` bytes.

    Aliases and merge keys (which a few bytes can make endless) and keys that stand twice are
    refused. Raises DataError: `place` is no YAML `what`.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not taken: write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("merge keys (<<) are not taken: write the fields out")
            mapping = super().construct_mapping(node, deep)
            if len(mapping) < len(node.value):
                counts = Counter(str(key.value) for key, _ in node.value)
                raise yaml.YAMLError(f"the key {counts.most_common(1)[0][0]!r} stands twice")
            return mapping

    if len(raw) > longest:
        raise DataError(f"{place} is no {what}: {len(raw):,} bytes")
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
        return yaml.load(text, Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{place} is no YAML {what}: {_one_line(error)}") from error


class DataFile:
    """A question file: JSON, JSON lines or Parquet by its suffix.

    `revision` is the beginning of its sha256. Raises DataError if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.revision = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error

    def rows(self, dotted: str = "") -> Iterator[Any]:
        """The rows of the file, or of what lies at a dotted path in it.

        A broken line of JSON lines is a RowError. Raises DataError if there is no list, and
        MissingExtra for Parquet without pyarrow.
        """
        suffix = self.path.suffix.lower()
        if suffix == ".parquet":
            yield from _parquet_rows(self.path)
        elif suffix == ".jsonl":
            with self._opened() as file:
                yield from (_line(line) for line in file if line.strip())
        elif dotted or not self._is_array():
            yield from self._list_at(dotted)
        else:
            try:
                with self._opened() as file:
                    yield from _elements(file)
            except _NoArray:
                self.value()  # says where it is broken
                raise DataError(f"{self.path} has a row that is too long") from None

    def value(self) -> Any:
        """The whole content of a JSON file. Raises DataError that names line and column."""
        if (size := self.path.stat().st_size) > MAX_WHOLE_BYTES:
            raise DataError(f"{self.path} has {size:,} bytes: save it as JSON lines (.jsonl)")
        with self._opened() as file:
            return _decoder.decode(file.read())

    def _is_array(self) -> bool:
        with self._opened() as file:
            return file.read(_CHUNK).lstrip().startswith("[")

    def _list_at(self, dotted: str) -> list[Any]:
        data = self.value()
        for key in dotted.split(".") if dotted else ():
            data = data.get(key) if isinstance(data, dict) else None
        if isinstance(data, list):
            return data
        place = f"`{dotted}` of {self.path}" if dotted else str(self.path)
        kind = kind_of(data)
        if isinstance(data, dict):
            kind += f" with the fields {', '.join(list(data)[:5])}" if data else " that is empty"
        raise DataError(f"{place} holds {kind}, not a list of questions")

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        """The file as text; what is wrong in it becomes a DataError."""
        path = self.path
        try:
            with path.open(encoding="utf-8-sig") as file:
                yield file
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            hint = " (JSON lines are named .jsonl)" if error.msg == "Extra data" else ""
            raise DataError(f"{path} is no valid JSON: {error.msg} at {where}{hint}") from None
        except RecursionError:
            raise DataError(f"{path} is no question file: it is nested too deeply") from None
        except ValueError as error:
            raise DataError(f"{path} is no valid JSON: {error}") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    twice = ""
    for value in values.values():
        if type(value) is Repeated:
            twice = value.twice
    if len(values) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
    elif not twice:
        return values
    marked = Repeated(values)
    marked.twice = twice
    return marked


_decoder = json.JSONDecoder(object_pairs_hook=_pairs)


def _line(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "") or type(error).__name__
        return RowError("json", f"the line is no valid JSON ({reason})")


class _NoArray(Exception):
    """A file that begins like an array, and is broken or cut."""


def _elements(file: TextIO) -> Iterator[Any]:
    """The values of a file that is one array, decoded as it is read."""
    text = file.read(_CHUNK)
    at, mark = text.index("["), "["  # what stands before the next value
    while mark != "]":
        try:
            start = _after_blank(text, at + 1)
            if mark == "[" and text[start] == "]":
                at = start
                break
            value, end = _decoder.raw_decode(text, start)
            end = _after_blank(text, end)
            if text[end] not in ",]":
                raise IndexError  # such as "1." of 1.5
        except (json.JSONDecodeError, IndexError):
            # Cut off at the end of what was read, or broken: only more text tells.
            more = file.read(max(_CHUNK, len(text))) if len(text) < _LONGEST_ROW else ""
            if not more:
                raise _NoArray from None
            text, at = text[at:] + more, 0
            continue
        yield value
        at, mark = end, text[end]
    if text[at + 1 :].strip() or any(line.strip() for line in file):
        raise _NoArray


def _after_blank(text: str, start: int) -> int:
    found = _BLANK.match(text, start)
    return found.end() if found else start


def _parquet_rows(path: Path) -> Iterator[Any]:
    """Rows in small batches, so that embedded images are never in memory all at once."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("reading Parquet files", "parquet") from None
    try:
        with parquet.ParquetFile(path, buffer_size=_CHUNK) as table:
            names = Counter(table.schema_arrow.names)
            if twice := [name for name, count in names.items() if count > 1]:
                raise DataError(f"{path}: the column {twice[0]!r} stands twice")
            about = table.metadata
            columns = [
                about.row_group(group).column(column).total_uncompressed_size
                for group in range(about.num_row_groups)
                for column in range(about.num_columns)
            ]
            if sum(columns) > max(MIN_UNPACKED_BYTES, MAX_UNPACKED * path.stat().st_size):
                raise DataError(f"{path} unpacks to {sum(columns):,} bytes: that is no data")
            # A value may stand once in a column and in all of its rows.
            fit = _BATCH_BYTES // max([*columns, 1])
            for batch in table.iter_batches(batch_size=min(max(fit, 1), _MOST_ROWS)):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
