"""`scalevqa audit` and audit.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from planted import Leak, plant
from typer.testing import CliRunner

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.cli import app
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Question

FEW = ["--permutations", "40", "--seeds", "1"]


def write(path: Path, leak: Leak, n: int, strength: float = 0.4, seed: int = 0) -> Path:
    questions = plant(leak, n, strength=strength, seed=seed).questions
    path.write_text(json.dumps([row(i, q) for i, q in enumerate(questions)]))
    return path


def row(number: int, question: Question) -> dict[str, Any]:
    image = question.image_set[0]
    return {
        "question": question.text,
        "options": dict(question.options),
        "answer": question.answer,
        "rationale": "",
        "image_path": {"low_mag": image, "mid_mag": None, "high_mag": None},
        "extra_info": {
            "wsi_name": question.slide,
            "path_id": image,
            "question_type": f"type_{'ABC'[number % 3]}",
        },
        "No": number + 1,
    }


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_file_to_table_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    file = write(tmp_path / "leaky.json", "length", 120)
    done = invoke(file, *FEW)
    assert done.exit_code == 0, done.output
    assert "Verdict: LEAKY" in done.stdout
    assert "/120" in done.stdout
    assert "most words" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    (written,) = tmp_path.glob("audits/*/audit.json")
    assert str(written.relative_to(tmp_path)) in done.stdout
    data = json.loads(written.read_text())
    text = data["text_only"]
    assert set(text) >= {
        "best_probe", "accuracy", "ci", "n", "chance", "null_mean", "null_sd", "p_value",
        "by_dimension",
    }  # fmt: skip
    assert data["verdict"] == "leaky"
    for name, part in text["by_dimension"].items():
        assert set(part) >= {"accuracy", "ci", "n", "best_probe", "p_value", "verdict"}
        assert name in data["verdict_by_dimension"]
    assert text["n"] == 120 == sum(part["n"] for part in text["by_dimension"].values())
    assert len(data["questions"]) == 120
    assert {"id", "dimension", "leak_score", "leak_sd"} <= set(data["questions"][0])
    rule = next(probe for probe in text["probes"] if probe["name"] == "longest")
    assert rule["p_least"] == pytest.approx(1e-4)
    assert rule["accuracy"] == pytest.approx(rule["correct"] / rule["n"], abs=1e-6)


@pytest.mark.parametrize(
    ("fail_on", "leak", "code"),
    [("leaky", "length", 1), ("undecided", "length", 1), ("leaky", "none", 0),
     ("undecided", "none", 1)],
)  # fmt: skip
def test_exit_code_for_ci(tmp_path: Path, fail_on: str, leak: Leak, code: int) -> None:
    file = write(tmp_path / "some.json", leak, 75)
    done = invoke(file, *FEW, "--output", tmp_path / "out", "--fail-on", fail_on)
    assert done.exit_code == code, done.output
    assert (tmp_path / "out" / "audit.json").is_file()


def test_transfer_from_a_file_and_from_a_split(tmp_path: Path) -> None:
    test = write(tmp_path / "test.json", "length", 60)
    train = write(tmp_path / "train.json", "length", 90, seed=1)
    results = []
    for option in (["--train", train], ["--external", "train"]):
        done = invoke(test, *FEW, "--output", tmp_path / "out", *option)
        assert done.exit_code == 0, done.output
        results.append(json.loads((tmp_path / "out" / "audit.json").read_text())["transfer"])
    assert results[0]["accuracy"] == results[1]["accuracy"] > 0.5
    assert results[0]["trained_questions"] == 90
    assert results[0]["n"] == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "a.json", "--external", "train"], "not both"),
        (["--external", "nowhere"], "nowhere"),
        (["--base-url", "http://127.0.0.1:1"], "go with --adversary or --visual"),
    ],
)
def test_wrong_requests_are_explained(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = write(tmp_path / "test.json", "none", 6)
    done = invoke(file, *arguments)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
    assert len(str(done.exception).splitlines()) == 1


def test_only_verdicts_can_fail_and_clean_is_none_of_them(tmp_path: Path) -> None:
    file = write(tmp_path / "test.json", "none", 6)
    done = invoke(file, "--fail-on", "clean")
    assert done.exit_code == 2
    assert "measurable" in done.output


def test_what_changed_and_what_pruning_would_leave(tmp_path: Path) -> None:
    file = write(tmp_path / "test.json", "phrase", 80)
    few = ["--permutations", "2", "--seeds", "1"]
    assert invoke(file, *few, "--output", tmp_path / "old").exit_code == 0
    old = tmp_path / "old" / "audit.json"
    done = invoke(file, *few, "--output", tmp_path / "new", "--against", old, "--repair", "prune")
    assert done.exit_code == 0, done.output
    printed = " ".join(done.stdout.split())
    assert "verdict: undecided, as before" in printed
    assert "Pruning until all probes combined are at chance would leave" in printed
    assert not (tmp_path / "new" / "repair").exists()
    data = json.loads((tmp_path / "new" / "audit.json").read_text())
    assert data["against"]["lines"][0] == "verdict: undecided, as before"
    page = (tmp_path / "new" / "audit.html").read_text()
    assert "What changed since the earlier audit" in page
    other = write(tmp_path / "other.json", "none", 20)
    done = invoke(other, *few, "--output", tmp_path / "third", "--against", old)
    assert "compared with another benchmark: test and other have" in " ".join(done.stdout.split())
    missing = invoke(file, "--against", tmp_path / "nowhere.json")
    assert "cannot be read as an audit" in str(missing.exception)


def test_report_is_saved_as_it_prints(tmp_path: Path) -> None:
    report = audit(plant("none", 12), permutations=1, seeds=1)
    file = report.save(tmp_path / "deep" / "er")
    assert file.read_text() == report.text()
    assert json.loads(report.text()) == json.loads(json.dumps(report.to_json()))


def test_python_gives_what_the_command_gives(tmp_path: Path) -> None:
    test = write(tmp_path / "test.json", "length", 60)
    train = write(tmp_path / "train.json", "length", 60, seed=1)
    assert invoke(test, *FEW, "--train", train, "--output", tmp_path / "one").exit_code == 0
    report = audit(test, train=train, permutations=40, seeds=1)
    report.save(tmp_path / "two")
    names = {"audit.json", "audit.html", "badge.svg", "datasheet.md", "easy.txt", "hard.txt"}
    assert {path.name for path in (tmp_path / "two").iterdir()} == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    data = json.loads((tmp_path / "two" / "audit.json").read_text())
    assert "shared-slide" in {finding["kind"] for finding in data["findings"]}
    most = next(q for q in report.source if q.id == report.questions[0].id)
    assert most.options["A"] in (tmp_path / "two" / "audit.html").read_text()
    assert report.transfer is not None
    assert report.transfer["accuracy"] == data["transfer"]["accuracy"]
    assert data["transfer"]["trained_on"] == "train"
    text = report.text_only
    assert text.best_name == data["text_only"]["best_probe"]
    for name, part in {"": data["text_only"], **data["text_only"]["by_dimension"]}.items():
        own = text.by_dimension[name] if name else text
        assert (own.accuracy, *own.ci) == pytest.approx((part["accuracy"], *part["ci"]), abs=1e-6)
        assert 0 < part["p_value"] <= 1
    assert data["transfer"]["p_value"] < 0.005


def test_a_repair_parts_no_patient(tmp_path: Path) -> None:
    """Patients that only a field of the file names are clusters of the repair, too."""
    made = plant("length", 64, strength=0.4, slides=16).questions
    rows = []
    for number, question in enumerate(made):
        asked = row(number, question) | {"question": "Which of these fits?"}
        patient = int(str(question.slide)[-4:]) // 2
        rows.append(asked | {"patient_id": f"p{patient}"})
        rows[-1]["extra_info"]["question_type"] = "type_A"
    file = tmp_path / "val.json"
    file.write_text(json.dumps(rows))
    done = invoke(
        file, "--permutations", "2", "--seeds", "1", "--output", tmp_path / "out",
        "--repair", "blocks",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    groups: dict[str, set[str]] = {}
    blocks: dict[str, list[str]] = {}
    written = json.loads((tmp_path / "out" / "repair" / "val.json").read_text())
    for new in written:
        groups.setdefault(new["patient_id"], set()).add(new["extra_info"]["slide_group"])
        blocks.setdefault(new["extra_info"]["block"], []).append(new["patient_id"])
    assert written
    assert {len(group) for group in groups.values()} == {1}
    assert all(len(set(patients)) == len(patients) for patients in blocks.values())
