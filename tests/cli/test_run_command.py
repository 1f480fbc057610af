"""`scalevqa run` with options that meet: --dimension and --limit, questions without images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import benchmark, scale_vqa_file
from typer.testing import CliRunner

from scalevqa_eval import evaluate, load_benchmark, open_run
from scalevqa_eval.cli import app


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    return scale_vqa_file(root / "questions.json", benchmark(root, sets=4, each=3))


def summary(output: Path) -> dict[str, object]:
    (path,) = output.rglob("summary.json")
    return dict(open_run(path.parent).summary)


def test_a_limit_counts_the_questions_of_the_dimension(tmp_path: Path, questions: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["run", "--model", "baseline/first", "--benchmark", str(questions),
         "--dimension", "Diagnosis", "--limit", "4", "--output", str(tmp_path / "runs")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = summary(tmp_path / "runs")
    assert found["n"] == 4
    assert list(found["by_dimension"]) == ["Diagnosis"]  # type: ignore[call-overload]


def test_questions_without_images_are_not_asked_in_silence(tmp_path: Path, questions: Path) -> None:
    rows = json.loads(questions.read_text("utf-8"))
    for row in rows[:5]:
        row["images"] = row.pop("image_path")
    questions.write_text(json.dumps(rows), encoding="utf-8")
    done = CliRunner().invoke(
        app,
        ["run", "--model", "baseline/first", "--benchmark", str(questions),
         "--output", str(tmp_path / "runs")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "5 of 12 questions have no image" in done.stderr


def test_a_damaged_list_of_questions_is_written_anew(tmp_path: Path) -> None:
    from small import always

    data = benchmark(tmp_path / "images")
    path = evaluate(always("A"), data, output=tmp_path / "runs").path
    (path / "questions.jsonl").write_text("{\n")
    evaluate(always("A"), data, output=tmp_path / "runs")
    assert len(open_run(path).questions) == 12


def test_the_seconds_of_a_run_are_those_of_all_its_calls(tmp_path: Path) -> None:
    from small import always

    data = benchmark(tmp_path / "images")
    first = evaluate(always("A"), data, output=tmp_path / "runs")
    again = evaluate(always("A"), data, output=tmp_path / "runs")
    assert again.summary["seconds"] == first.summary["seconds"] > 0


def test_a_seed_means_the_same_in_python_and_on_the_command_line(
    tmp_path: Path, questions: Path
) -> None:
    done = CliRunner().invoke(
        app,
        ["run", "--model", "baseline/first", "--benchmark", str(questions), "--seed", "3",
         "--output", str(tmp_path / "runs")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    run = evaluate(
        "baseline/first", load_benchmark(questions), seed=3, output=tmp_path / "runs"
    ).path
    assert [path.parent for path in (tmp_path / "runs").rglob("summary.json")] == [run]
