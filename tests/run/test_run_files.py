"""What a run directory holds is read with types and bounds: file and line are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_files import write_run

from scalevqa_eval import open_run
from scalevqa_eval.errors import DataError

Change = Callable[[dict[str, Any]], object]


def change_line(path: Path, number: int, change: Change) -> None:
    """Change one JSON line, as a program or a person would who knows nothing of checksums."""
    lines = path.read_text().splitlines()
    row = json.loads(lines[number - 1])
    row.pop("crc32", None)
    change(row)
    lines[number - 1] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        {"question_id": 7}, {"question_id": ""}, {"question_id": None}, {"outcome": "fine"},
        {"usage": {"prompt_tokens": 10**400}}, {"usage": {"prompt_tokens": -1}}, {"usage": [1]},
        {"usage": {"prompt_tokens": "12"}}, {"latency": float("nan")}, {"latency": -1.0},
        {"attempts": True}, {"images": "abc"}, {"text": None}, {"logprobs": {"A": "x"}},
    ],
)  # fmt: skip
def test_a_record_of_a_wrong_type_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    change_line(path / "records.jsonl", 2, lambda row: row.update(change))
    with pytest.raises(DataError, match=r"records\.jsonl, line 2 is damaged"):
        open_run(path)


@pytest.mark.parametrize(
    "change",
    [{"id": 1}, {"slide": 4}, {"answer": "Z"}, {"answer": ""}, {"n_options": 27}, {"n_options": -1},
     {"n_options": 2.5}, {"id": "q0"}],
)  # fmt: skip
def test_a_question_of_a_wrong_type_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    change_line(path / "questions.jsonl", 2, lambda row: row.update(change))
    with pytest.raises(DataError, match=r"questions\.jsonl, line 2 is damaged"):
        open_run(path)


@pytest.mark.parametrize(
    "change",
    [{"sampling": {"temperature": 1.0}}, {"seed": 5}, {"condition": "no-images"}, {"model": "x"},
     {"benchmark": {"name": "other"}}, {"format": 99}, {"n": None}, {"id": "0" * 64}],
)  # fmt: skip
def test_a_manifest_that_was_edited_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(DataError, match=r"manifest\.json"):
        open_run(path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "\ud800", "{"])
@pytest.mark.parametrize("file", ["manifest.json", "questions.jsonl", "summary.json"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, file: str, text: str) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    (path / file).write_bytes((text + "\n").encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=file.replace(".", r"\.")):
        open_run(path)


def test_one_changed_character_in_a_record_is_found(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    whole = (path / "records.jsonl").read_bytes()
    place = whole.index(b'"letter":"A"') + len(b'"letter":"')
    (path / "records.jsonl").write_bytes(whole[:place] + b"C" + whole[place + 1 :])
    with pytest.raises(DataError, match=r"line 1 is damaged .*checksum"):
        open_run(path)


def test_a_question_that_is_answered_twice_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [1, 0, 1]).path
    lines = (path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (path / "records.jsonl").write_bytes(b"".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="line 4: 'q0' is answered twice"):
        open_run(path)
