"""Benchmark → Parquet, read back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scalevqa_eval.data import load_benchmark
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.prompts import load_style
from scalevqa_eval.types import Benchmark
from scalevqa_train.preflight import check_reward
from scalevqa_train.prepare import Choices, prepare, read_about
from scalevqa_train.rewards import get_reward

pq = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
STYLE = load_style("scalereasoner")


def item(slide: str, place: int, split: str, answer: str, kind: str = "type_E") -> dict[str, Any]:
    images = {f"{scale}_mag": f"{slide}-{scale}.png" for scale in ("low", "mid", "high")}
    if place == 2:
        images["high_mag"] = ""
    return {
        "question": "Which pattern?",
        "options": {"A": "glands", "B": "sheets"},
        "answer": answer,
        "rationale": f"Seen at place {place}. It is clear.",
        "image_path": {key: value or None for key, value in images.items()},
        "extra_info": {
            "wsi_name": slide,
            "path_id": f"{slide}-{place}",
            "question_type": kind,
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = {
        "train": [item(f"t{n}", n % 3, "train", "AB"[n % 2]) for n in range(70)],
        "val": [item(f"v{n}", n, "val", "A", "type_C") for n in range(3)],
    }
    for split, items in rows.items():
        for number, row in enumerate(items, start=1):
            row["No"] = number
            for name in filter(None, row["image_path"].values()):
                Image.new("RGB", (8, 8), (number, 2, 3)).save(tmp_path / name)
        (tmp_path / f"{split}.json").write_text(json.dumps(items))
    return tmp_path


def splits(folder: Path) -> tuple[Benchmark, Benchmark]:
    return load_benchmark(folder / "train.json"), load_benchmark(folder / "val.json")


def test_rows_are_read_back_whole(folder: Path, tmp_path: Path) -> None:
    train, val = splits(folder)
    output = tmp_path / "data"
    said: list[str] = []
    descriptions = {q.id: "Pink cells." for q in (*train.questions, *val.questions)}
    choices = Choices(target="description+think", descriptions=descriptions)
    about = prepare(train, val, output, STYLE, choices, said.append)
    assert read_about(output) == about
    rows = pq.read_table(output / "train.parquet").to_pylist()
    assert len(rows) == about["files"]["train.parquet"]["rows"] == len(train) == 70
    for row, question in zip(rows, train.questions, strict=True):
        assert row["extra_info"]["question_id"] == question.id
        assert row["extra_info"]["slide"] == question.slide
        assert row["reward_model"]["ground_truth"] == question.answer
        assert row["extra_info"]["options"] == ["A", "B"]
        tags = row["prompt"][-1]["content"].count("<image>")
        assert tags == len(row["images"]) == len(question.views)
        for image, view in zip(row["images"], question.views, strict=True):
            assert image["bytes"] == (folder / view.image).read_bytes()
            Image.open(io.BytesIO(image["bytes"])).verify()
    sft = pq.read_table(output / "sft_train.parquet").to_pylist()
    assert sft[0]["messages"][-1]["content"].startswith("<description>Pink cells.</description>")
    assert about["splits"]["train"]["without_a_view"] == sum(
        len(q.views) < 3 for q in train.questions
    )
    assert "with a view missing" in said[0]


def test_paths_instead_of_bytes(folder: Path, tmp_path: Path) -> None:
    prepare(*splits(folder), tmp_path / "data", STYLE, Choices(images="paths"))
    row = pq.read_table(tmp_path / "data" / "val.parquet").to_pylist()[0]
    assert [Path(image["image"]).is_file() for image in row["images"]] == [True] * 3


def test_leaky_questions_are_left_out_of_training_only(folder: Path, tmp_path: Path) -> None:
    train, val = splits(folder)
    leaks = {q.id: 0.9 if n < 10 else 0.1 for n, q in enumerate(train.questions)}
    about = prepare(train, val, tmp_path / "d", STYLE, Choices(leaks=leaks, leak_limit=0.5))
    assert about["splits"]["train"]["questions"] == 60
    assert about["splits"]["train"]["left_out"] == {"leak score of 0.5 or more": 10}
    assert about["splits"]["val"]["questions"] == 3
    rows = pq.read_table(tmp_path / "d" / "train.parquet").to_pylist()
    assert {row["extra_info"]["leak_score"] for row in rows} == {0.1}
    with pytest.raises(DataError, match="audit of other data"):
        prepare(train, val, tmp_path / "e", STYLE, Choices(leaks={"x": 0.1}, leak_limit=0.5))


def test_blocks_and_dimensions(folder: Path, tmp_path: Path) -> None:
    train, val = splits(folder)
    about = prepare(train, val, tmp_path / "d", STYLE, Choices(blocks=True))
    assert about["splits"]["train"]["questions"] == 70  # 35 times A, 35 times B
    with pytest.raises(UsageError, match="no dimension 'Diagnose'"):
        prepare(train, val, tmp_path / "d", STYLE, Choices(dimensions=("Diagnose",)))
    with pytest.raises(UsageError, match="prepare"):
        read_about(tmp_path / "d")  # the failed command left no record of finished data


def test_missing_images_and_wrong_choices_are_named(folder: Path, tmp_path: Path) -> None:
    train, val = splits(folder)
    (folder / "t3-low.png").unlink()
    with pytest.raises(DataError, match=r"1 images of .*t3-low\.png"):
        prepare(train, val, tmp_path / "d", STYLE, Choices())
    for choices in (Choices(images="links"), Choices(target="all"), Choices(dropped=1.0)):
        with pytest.raises(UsageError):
            prepare(train, val, tmp_path / "d", STYLE, choices)


def test_changed_files_are_noticed(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "d"
    prepare(*splits(folder), output, STYLE, Choices())
    with (output / "val.parquet").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(UsageError, match=r"val\.parquet is missing or was changed"):
        read_about(output)
    with pytest.raises(UsageError, match="no prepared data"):
        read_about(tmp_path / "nothing")


def test_rewards_are_compared_with_the_data(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "d"
    about = prepare(*splits(folder), output, STYLE, Choices())
    check_reward(get_reward("grounded"), output, about)
    with pytest.raises(DataError, match="pathreasoner is for open questions"):
        check_reward(get_reward("pathreasoner"), output, about)
    table = pq.read_table(output / "train.parquet")
    rows = table.to_pylist()
    rows[4]["reward_model"]["ground_truth"] = "D"
    pq.write_table(table.from_pylist(rows, schema=table.schema), output / "train.parquet")
    with pytest.raises(DataError, match=r"answer 'D' is none of its options \(A/B\)"):
        check_reward(get_reward("scalereasoner"), output, about)


def test_slides_in_both_splits_are_warned_of(folder: Path, tmp_path: Path) -> None:
    train, _ = splits(folder)
    said: list[str] = []
    prepare(train, train, tmp_path / "d", STYLE, Choices(), said.append)
    assert said[0].startswith("Warning: 70 slides")
