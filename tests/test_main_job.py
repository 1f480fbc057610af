"""The main job on the real questions, with stand-in images, through a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small import picture

from scalevqa_eval import load_benchmark, open_run
from scalevqa_eval.prompts import load_style
from scalevqa_eval.testing import Server


@pytest.fixture
def val_directory(shared_data: Path, tmp_path: Path) -> Path:
    """`val.json` and a picture of its own at each image's relative name."""
    source = shared_data / "scale_vqa" / "val.json"
    place = tmp_path / "scale-vqa"
    place.mkdir()
    (place / "val.json").symlink_to(source)
    names = {
        name
        for row in json.loads(source.read_text("utf-8"))
        for name in row["image_path"].values()
        if name
    }
    for seed, name in enumerate(sorted(names)):
        picture(place / name, seed, size=(32, 24))
    return place


def test_the_real_validation_split_through_a_server(
    val_directory: Path, tmp_path: Path, server: Server
) -> None:
    server.answer = lambda seen: "<think>a</think> <answer>B</answer>"
    command = [
        sys.executable, "-m", "scalevqa_eval", "run", "--model", "openai/any",
        "--base-url", server.openai_url, "--benchmark", "scale-vqa", "--split", "val",
        "--data-dir", str(val_directory), "--output", str(tmp_path / "runs"),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    (summary_file,) = (tmp_path / "runs").rglob("summary.json")
    run = open_run(summary_file.parent)
    summary = run.summary
    benchmark = load_benchmark("scale-vqa", split="val", data_dir=val_directory)
    assert [q.id for q in benchmark.questions] == [key.id for key in run.questions]
    right = sum(question.answer == "B" for question in benchmark.questions)
    assert (summary["n"], summary["correct"]) == (450, right)
    assert list(summary["by_dimension"]) == [
        "Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis",
    ]  # fmt: skip
    assert all(row["n"] == 90 for row in summary["by_dimension"].values())
    assert f"{right}/450" in done.stdout

    # What the server saw: images first and as they lie on the disk, then the published prompt.
    assert len(server.seen) == 450
    question = benchmark.questions[0]
    (seen,) = [seen for seen in server.seen if seen.text.startswith(question.text)][:1]
    assert seen.order == "iiit"
    assert seen.images == tuple((val_directory / v.image).read_bytes() for v in question.views)
    assert seen.system == load_style("scalereasoner").system
    assert sum(len(seen.images) for seen in server.seen) == 450 * 3 - 15


def test_without_a_place_for_the_data_one_line_says_what_to_give() -> None:
    command = [sys.executable, "-m", "scalevqa_eval", "run", "--model", "baseline/first"]
    done = subprocess.run(
        [*command, "--benchmark", "scale-vqa"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    for word in ("--data-dir", "--hub-id", "iMVR-PL/ScaleReasoner-R1"):
        assert word in done.stderr
