"""Files → plain values: one reader each for YAML, JSON and Parquet, bounded in memory and work.

Lists of rows are read row by row, so that no more of a file is held than its questions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
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


class Repeated(dict[str, Any]):
    """A JSON object in which a key stood twice; `keys_repeated` names them."""

    keys_repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line of a JSONL file that is no JSON."""

    message: str


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
                file.seek(0)
                self._utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error

    def rows(self, dotted: str = "") -> Iterator[Any]:
        """The rows of the file, or of what lies at a dotted path in it.

        A broken line of JSON lines is a BadRow. Raises DataError if there is no list, and
        MissingExtra for Parquet without pyarrow.
        """
        suffix = self.path.suffix.lower()
        if suffix == ".parquet":
            yield from _parquet_rows(self.path)
            return
        try:
            with self._open() as file:
                head = file.read(_CHUNK).lstrip()
                file.seek(0)
                if suffix == ".jsonl" or _are_lines(head):
                    yield from map(_line, filter(str.strip, file))
                    return
                if head.startswith("[") and not dotted:
                    yield from _elements(file)
                    return
        except (ValueError, RecursionError):
            self.value()  # says where it is broken
            raise
        yield from self._list_at(dotted)

    def value(self) -> Any:
        """The whole content of a JSON file. Raises DataError that names line and column."""
        path, size = self.path, self.path.stat().st_size
        if size > MAX_WHOLE_BYTES:
            raise DataError(
                f"{path} is no list of rows that can be read one by one, and has {size:,} bytes: "
                "save it as JSON lines (.jsonl)"
            )
        try:
            with self._open() as file:
                return _decoder.decode(file.read())
        except UnicodeDecodeError as error:
            where = f"byte {error.start:,}"
            raise DataError(f"{path} is not UTF-8 text ({where}): save it as UTF-8") from None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise DataError(f"{path} is no valid JSON: {error.msg} at {where}") from None
        except RecursionError:
            raise DataError(f"{path} is no question file: it is nested too deeply") from None
        except ValueError as error:
            raise DataError(f"{path} is no valid JSON: {error}") from None

    def _open(self) -> TextIO:
        if self._utf16:
            raise DataError(f"{self.path} is UTF-16 text: save it as UTF-8")
        return self.path.open(encoding="utf-8-sig", newline="\n")

    def _list_at(self, dotted: str) -> list[Any]:
        data = self.value()
        for key in dotted.split(".") if dotted else ():
            data = data.get(key) if isinstance(data, dict) else None
        if isinstance(data, list):
            return data
        place = f"`{dotted}` of {self.path}" if dotted else str(self.path)
        kind = {dict: "an object", str: "a text", type(None): "nothing"}.get(type(data), "a value")
        if isinstance(data, dict):
            kind += f" with the fields {', '.join(list(data)[:5])}" if data else " that is empty"
        raise DataError(f"{place} holds {kind}, not a list of questions")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    marked = Repeated(values)
    counts = Counter(key for key, _ in pairs)
    marked.keys_repeated = tuple(key for key, count in counts.items() if count > 1)
    return marked


_decoder = json.JSONDecoder(object_pairs_hook=_pairs)


def _are_lines(head: str) -> bool:
    """Whether a file that begins so holds an object a line."""
    first, _, rest = head.partition("\n")
    try:
        return isinstance(_decoder.decode(first), dict) and bool(rest.strip())
    except (ValueError, RecursionError):
        return False


def _line(text: str) -> Any:
    try:
        return _decoder.decode(text.strip())
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "") or type(error).__name__
        return BadRow(f"the line is no valid JSON ({reason})")


def _elements(file: TextIO) -> Iterator[Any]:
    """The values of a file that is one array. Raises ValueError if it is broken."""
    text, size, empty = file.read(_CHUNK), _CHUNK, True
    start = text.index("[") + 1
    while True:
        try:
            start = _after_blank(text, start)
            if empty and text[start] == "]":
                start += 1
                break
            value, end = _decoder.raw_decode(text, start)
            end = _after_blank(text, end)
            if (mark := text[end]) not in ",]":
                raise IndexError  # such as "1." of 1.5
        except (json.JSONDecodeError, IndexError):
            # Cut off at the end of what was read, or broken: only more text tells.
            more = file.read(size) if len(text) < _LONGEST_ROW else ""
            if not more:
                raise ValueError("no whole row") from None
            text, start, size = text[start:] + more, 0, 2 * size
            continue
        yield value
        start, size, empty = end + 1, _CHUNK, False
        if mark == "]":
            break
    rest = text[start:]
    while not rest.strip():
        if not (rest := file.read(_CHUNK)):
            return
    raise ValueError("extra data")


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
            groups = [about.row_group(number) for number in range(about.num_row_groups)]
            columns = [
                group.column(number).total_uncompressed_size
                for group in groups
                for number in range(group.num_columns)
            ]
            most = max(MIN_UNPACKED_BYTES, MAX_UNPACKED * path.stat().st_size)
            if sum(columns) > most:
                raise DataError(f"{path} unpacks to {sum(columns):,} bytes: that is no data")
            # A value may stand once in a column and in all of its rows.
            fit = _BATCH_BYTES // max([*columns, 1])
            for batch in table.iter_batches(batch_size=min(max(fit, 1), _MOST_ROWS)):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
