"""Files → values: each way of writing gives the same, and bombs stay small."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.data import DataFile, load_benchmark, load_card, read_yaml, readers
from scalevqa_eval.errors import DataError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=9,
)


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@given(
    rows=st.lists(JSON, max_size=12), indent=st.sampled_from([None, 1]), chunk=st.integers(9, 40)
)
def test_rows_are_the_same_however_the_file_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None, chunk: int
) -> None:
    directory = tmp_path_factory.mktemp("rows")
    whole = write(directory, "a.json", f" {json.dumps(rows, indent=indent)}\n ")
    lines = write(directory, "a.jsonl", "".join(f"{json.dumps(row)}\r\n\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_CHUNK", chunk)
        assert list(DataFile(whole).rows()) == rows
        assert list(DataFile(lines).rows()) == rows
    assert DataFile(whole).value() == rows


@given(rows=st.lists(JSON, min_size=1, max_size=5), data=st.data())
def test_a_cut_or_changed_list_is_never_read_as_another(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], data: st.DataObject
) -> None:
    text = json.dumps(rows)
    place = data.draw(st.integers(0, len(text) - 1))
    broken = text[:place] + data.draw(st.sampled_from(["", "]", ",", "x"])) + text[place + 1 :]
    path = write(tmp_path_factory.mktemp("broken"), "a.json", broken)
    try:
        expected = json.loads(broken)
    except ValueError:
        expected = None
    try:
        found = list(DataFile(path).rows())
    except DataError:
        found = None
    assert found == (expected if isinstance(expected, list) else None)


def test_many_keys_cost_what_they_weigh(tmp_path: Path) -> None:
    keys = ",".join(f'"k{n}":1' for n in range(200_000))
    path = write(tmp_path, "a.json", f'[{{{keys},"k7":2}}]')
    started = time.process_time()
    (row,) = DataFile(path).rows()
    assert row.twice == "k7"
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: {<<: {b: 1}}", "merge keys"),
        ("a: 1\nb: 2\na: 3", "'a' stands twice"),
        ("[" * 50_000, "recursion"),
        ("a: " + "9" * 90_000, "digits"),
        ("#" * 300_000, "300,000 bytes"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"card.yaml is no .*{message}"):
        read_yaml(text, "card.yaml")


def test_a_card_of_merge_keys_ends_at_once(tmp_path: Path) -> None:
    text = "name: m\na0: &a0 {k: v}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
    )
    with pytest.raises(DataError, match="aliases"):
        load_card(write(tmp_path, "card.yaml", text))


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    tables = pytest.importorskip("pyarrow.parquet")
    tables.write_table(pyarrow.table(columns), path, **options)
    return path


def test_a_parquet_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "q.parquet", {"question": ["x" * 2**20] * 300}, compression="zstd",
        use_dictionary=False,
    )  # fmt: skip
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to"):
        load_benchmark(path)


def test_a_long_value_that_many_rows_share_is_held_for_a_few(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    path = parquet(tmp_path / "q.parquet", {"question": ["x" * 2**24] * 40}, compression="zstd")
    before = pyarrow.total_allocated_bytes()
    tracemalloc.start()
    for _ in DataFile(path).rows():
        assert pyarrow.total_allocated_bytes() - before < 200e6
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    tables = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["question", "question"])
    tables.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(DataError, match="'question' stands twice"):
        load_benchmark(tmp_path / "q.parquet")


def test_a_file_of_other_things_ends_early(tmp_path: Path) -> None:
    path = write(tmp_path, "q.json", f"[{','.join('1' * 20_000)}]")
    with pytest.raises(DataError, match="more than 10,000 rows are no question; row 1"):
        load_benchmark(path)
