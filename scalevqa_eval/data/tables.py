"""Question files → rows: JSON, JSON lines and Parquet, read once and hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, MissingExtra


class Repeated(dict[str, Any]):
    """A JSON object in which a key stood twice; `keys_repeated` names them."""

    keys_repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line of a JSONL file that is no JSON."""

    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a question file: `data` is as parsed, `revision` a prefix of its sha256."""

    path: Path
    data: Any
    revision: str


def read_document(path: Path) -> Document:
    """Read and hash a question file once, by its suffix.

    JSON lines give a list in which a broken line is a BadRow; Parquet gives an iterator of rows.
    Raises DataError, or MissingExtra for Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Document(path, _parquet_rows(path), digest[:12])
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    digest = hashlib.sha256(raw).hexdigest()
    text = _decode(path, raw)
    data = _json_lines(text) if suffix == ".jsonl" else _json(path, text)
    return Document(path, data, digest[:12])


def _decode(path: Path, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path} is UTF-16 text: save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start:,}"
        raise DataError(f"{path} is not UTF-8 text ({where}): save it as UTF-8") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    keys = [key for key, _ in pairs]
    marked = Repeated(plain)
    marked.keys_repeated = tuple(dict.fromkeys(key for key in keys if keys.count(key) > 1))
    return marked


def _loads(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_pairs)


def _json(path: Path, text: str) -> Any:
    try:
        return _loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            lines = _json_lines(text)
            if len(lines) > 1 and not any(isinstance(line, BadRow) for line in lines):
                return lines
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{path} is no valid JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise DataError(f"{path} is no question file: it is nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{path} is no valid JSON: {error}") from None


def _json_lines(text: str) -> list[Any]:
    rows: list[Any] = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            rows.append(_loads(line))
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "") or type(error).__name__
            rows.append(BadRow(f"the line is no valid JSON ({reason})"))
    return rows


def _parquet_rows(path: Path) -> Iterator[Any]:
    """Rows in small batches, so that embedded images are never in memory all at once."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtra("reading Parquet files", "parquet") from None
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=32):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as Parquet: {reason}") from error


def find_rows(document: Document, dotted: str) -> Any:
    """The rows of a document: the document itself, or what lies at a dotted path in it.

    Raises DataError if that is no list.
    """
    data = document.data
    for key in dotted.split(".") if dotted else ():
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, (list, Iterator)):
        return data
    place = f"`{dotted}` of {document.path}" if dotted else str(document.path)
    kind = {dict: "an object", str: "a text", type(None): "nothing"}.get(type(data), "a value")
    if isinstance(data, dict):
        kind += f" with the fields {', '.join(list(data)[:5])}" if data else " that is empty"
    raise DataError(f"{place} holds {kind}, not a list of questions")
