"""Rows → a Parquet file with verl's types, in little memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, MissingExtra

_ROW_GROUP = 64


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], images: str) -> dict[str, Any]:
    """Rows, in groups so that embedded images need little memory; the file appears at the end.

    Returns its rows, bytes and sha256. Raises DataError if it cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("scalevqa train prepare", "train") from None

    part = path.with_suffix(".part")
    writer = None
    count = 0
    try:
        for group in _groups(rows):
            table = pa.Table.from_pylist(group, schema=_schema(pa, group[0], images))
            if writer is None:
                writer = pq.ParquetWriter(part, table.schema)
            writer.write_table(table)
            count += len(group)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    finally:
        if writer is not None:
            writer.close()
    part.replace(path)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return {"rows": count, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


def _schema(pa: Any, row: Mapping[str, Any], images: str) -> Any:
    """Fixed types, so that a group without images or leak scores has the same as the others."""
    text = pa.string()
    image = (
        pa.struct([("bytes", pa.binary()), ("path", text)])
        if images == "bytes"
        else pa.struct([("image", text)])
    )
    chat = pa.list_(pa.struct([("role", text), ("content", text)]))
    fields = {
        "data_source": text,
        "prompt": chat,
        "messages": chat,
        "images": pa.list_(image),
        "ability": text,
        "reward_model": pa.struct([("style", text), ("ground_truth", text)]),
        "extra_info": pa.struct([(key, _INFO[key](pa)) for key in row["extra_info"]]),
    }
    return pa.schema([(name, fields[name]) for name in row])


_INFO: Mapping[str, Callable[[Any], Any]] = {
    "index": lambda pa: pa.int64(),
    "options": lambda pa: pa.list_(pa.string()),
    "leak_score": lambda pa: pa.float64(),
    **{
        key: lambda pa: pa.string()
        for key in ("question_id", "benchmark", "dimension", "slide", "split", "rationale")
    },
}
