"""Odd and broken data: a clear finding or error, never a wrong number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant
from planting import benchmark, question

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.clusters import find_clusters
from scalevqa_eval.audit.reading import read_for_audit
from scalevqa_eval.audit.report import AuditReport
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.types import LETTERS, Question, View


def run(questions: Sequence[Question]) -> AuditReport:
    report = audit(benchmark(questions), permutations=5, seeds=1)
    _check_numbers(json.loads(report.text()))
    return report


def _check_numbers(data: object) -> None:
    """No NaN anywhere, and every accuracy, p-value and interval within [0, 1]."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("accuracy", "p_value", "p_adjusted", "leak_score") and value is not None:
                assert 0 <= value <= 1
            if key == "ci":
                assert 0 <= value[0] <= value[1] <= 1
            _check_numbers(value)
    elif isinstance(data, list):
        for value in data:
            _check_numbers(value)
    elif isinstance(data, float):
        assert math.isfinite(data)


def kinds(report: AuditReport) -> set[str]:
    return {finding.kind for finding in report.findings}


def random_questions(n: int, options: int = 4) -> list[Question]:
    return list(plant("none", n, options=(options,)).questions)


def test_no_slides_is_said() -> None:
    bare = [replace(q, slide=None, views=()) for q in random_questions(40)]
    report = run(bare)
    assert "no-clusters" in kinds(report)
    assert report.benchmark["clusters"] == 40
    assert report.text_only.best.share.ci_method == "Wilson"


@pytest.mark.parametrize(
    ("change", "source", "count"),
    [
        (lambda q, i: replace(q, id=f"TCGA-AB-{1000 + i % 5}-01Z-{i}", views=()), "TCGA", 5),
        (lambda q, i: replace(q, extra={"patient_no": i % 7}, views=()), "patient_no", 7),
        (lambda q, i: replace(q, views=(View("single", f"d{i % 6}/{i}.png"),)), "directory", 6),
        (lambda q, i: replace(q, views=(View("single", f"{i // 2}.png"),)), "image", 20),
    ],
)
def test_clusters_are_looked_for(change: object, source: str, count: int) -> None:
    assert callable(change)
    made = [replace(q, slide=None) for q in random_questions(40)]
    questions = [change(q, i) for i, q in enumerate(made)]
    found = find_clusters(questions)
    assert source in found.source
    assert found.count == count
    assert not found.known
    assert "clusters-guessed" in kinds(run(questions))


def test_clusters_are_looked_for_in_fields_of_the_file(tmp_path: Path) -> None:
    rows = [
        {
            "question": q.text, "options": dict(q.options), "answer": q.answer, "No": i,
            "image_path": {"low_mag": f"{i}.jpg"}, "case_kind": i % 2,
            "extra_info": {"patient": f"p{i % 7}", "question_type": "type_A"},
        }
        for i, q in enumerate(random_questions(28))
    ]  # fmt: skip
    path = tmp_path / "val.json"
    path.write_text(json.dumps(rows))
    report = audit(path, permutations=1, seeds=1)
    assert report.benchmark["clusters"] == 7
    assert "patient" in report.benchmark["clusters_from"]
    assert "clusters-guessed" in kinds(report)


def test_one_slide() -> None:
    report = run([replace(q, slide="only") for q in random_questions(30)])
    assert "few-clusters" in kinds(report)
    assert report.verdict == "undecided"
    best = report.text_only.best
    assert best.share.ci[1] - best.share.ci[0] > 0.5


def test_two_options() -> None:
    report = run(random_questions(40, options=2))
    assert report.text_only.chance == 0.5


def test_one_question() -> None:
    report = run(random_questions(1))
    assert "too-few-questions" in kinds(report)
    assert report.verdict == "undecided"
    assert report.questions[0].leak_score == 0.25


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_questions_are_never_certified(n: int) -> None:
    assert run(random_questions(n)).verdict == "undecided"


def test_all_answers_the_same_letter() -> None:
    report = run([replace(q, answer="A") for q in random_questions(60)])
    assert report.verdict == "leaky"
    assert report.parts["position"] == "leaky"
    assert "answer-position" in kinds(report)
    assert report.position.counts[""][0] == 60


def test_one_dimension_has_its_name_and_its_verdict() -> None:
    made = [replace(q, answer="A", dimension="Only") for q in random_questions(60)]
    report = run(made)
    data = report.to_json()
    assert list(data["text_only"]["by_dimension"]) == ["Only"]
    assert data["verdict_by_dimension"] == {"Only": "leaky"}
    assert report.text_only.by_dimension["Only"].accuracy == report.text_only.accuracy


def test_questions_without_options() -> None:
    asked = random_questions(20)
    opened = [replace(q, id=f"o{q.id}", options={}, answer="text") for q in asked[:3]]
    report = run([*asked, *opened])
    assert report.text_only.n == 20
    assert "open-question" in kinds(report)
    with pytest.raises(DataError, match="no question has options"):
        run(opened)


def test_other_scripts() -> None:
    words = ["腺癌", "鳞癌", "炎症", "坏死", "纤维", "间质", "血管", "淋巴", "核仁", "染色"]
    rng = np.random.default_rng(0)
    made = []
    for i in range(60):
        texts = ["".join(rng.permutation(words)[:4]) for _ in range(4)]
        texts[i % 4] += "不明显"
        made.append(question(i, texts, i % 4))
    report = audit(benchmark(made), permutations=40, seeds=1)
    assert "other-script" in kinds(report)
    assert report.verdict == "leaky"
    named = {p.text.replace(" ", "") for p in report.phrases}
    assert "不明显" in named


def test_huge_options_are_bounded_and_said() -> None:
    huge = "word " * 200_000
    made = [*random_questions(20), question(99, [huge, huge + "x", "c", "d"])]
    assert "long-text" in kinds(run(made))


def test_not_a_number_is_no_text() -> None:
    bad = question(1, ["a", "b"])
    object.__setattr__(bad, "options", {"A": float("nan"), "B": "b"})
    report = run([*random_questions(20), bad, question(2, ["  ", "b"])])
    finding = next(f for f in report.findings if f.kind == "unusable-question")
    assert set(finding.question_ids) == {"q1", "q2"}
    assert report.text_only.n == 20


def test_duplicate_ids_and_equal_options() -> None:
    made = random_questions(20)
    twin = question(50, ["same", "Same", "other", "else"])
    report = run([*made, replace(made[0], text="again?"), twin])
    assert {"duplicate-id", "duplicate-options"} <= kinds(report)


def test_texts_that_say_nothing() -> None:
    same = [question(i, ["x", "x", "x", "x"], i % 4) for i in range(20)]
    report = run(same)
    assert report.text_only.best.accuracy == pytest.approx(0.25)
    marks = [question(i, ["?", "!", "…", "--"], i % 4) for i in range(20)]
    assert run(marks).verdict in ("undecided", "leaky")


def test_too_few_redraws_are_said() -> None:
    assert "few-redraws" in kinds(run(random_questions(20)))


def test_settings_are_checked() -> None:
    made = benchmark(random_questions(4))
    with pytest.raises(UsageError, match="permutations"):
        audit(made, permutations=0)
    with pytest.raises(UsageError, match="margin"):
        audit(made, margin=1.5)
    with pytest.raises(DataError, match="too few to fit on"):
        audit(made, train=made, permutations=1)


def test_defective_rows_of_a_file_become_findings(tmp_path: Path) -> None:
    rows = [
        {
            "question": q.text, "options": dict(q.options), "answer": q.answer, "No": i,
            "image_path": {"low_mag": f"s{i % 3}/a.jpg"}, "rationale": "",
            "extra_info": {"wsi_name": f"s{i % 3}", "question_type": "type_A"},
        }
        for i, q in enumerate(random_questions(6))
    ]  # fmt: skip
    rows[1]["answer"] = "Z"
    rows[2]["options"] = {"A": "one"}
    rows[3]["options"] = {"A": "x" * 1_000_000, "B": "y"}
    path = tmp_path / "val.json"
    path.write_text(json.dumps(rows).replace('"No": 4', '"No": NaN'))
    loaded, findings = read_for_audit(str(path))
    named = {finding.kind for finding in findings}
    assert {"defect-answer", "defect-options", "defect-too-long"} <= named
    report = audit(loaded, permutations=2, seeds=1, findings=findings)
    assert report.text_only.n == len(loaded)
    assert named <= kinds(report)


_TEXT = st.text(min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(_TEXT, min_size=2, max_size=6), st.integers(0, 25), st.text(max_size=20)
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_texts_make_a_report(rows: list[tuple[list[str], int, str]]) -> None:
    made = [
        question(i, texts, right % len(texts), text=text)
        for i, (texts, right, text) in enumerate(rows)
    ]
    report = run(made)
    assert report.verdict in ("undecided", "leaky")
    assert all(letter in LETTERS for q in made for letter in q.options)
