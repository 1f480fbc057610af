"""The verdict on designs of benchmarks, each wrong in an earlier version; rates are elsewhere
(tests/performance/audit_designs.py)."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from designs import DESIGNS, base_rate, counterfactual, grades, repeating, wording
from planted import plant
from planting import benchmark, question

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.clusters import find_clusters
from scalevqa_eval.audit.reading import select
from scalevqa_eval.audit.report import AuditReport
from scalevqa_eval.audit.results import p_text
from scalevqa_eval.types import Benchmark, View


def quick(made: Benchmark, **options: int) -> AuditReport:
    return audit(made, permutations=40, seeds=1, look_at_data=False, **options)


def kinds(report: AuditReport) -> set[str]:
    return {finding.kind for finding in report.findings}


@pytest.mark.parametrize("labels", [("Yes", "No"), ("none", "few", "moderate", "many")])
def test_a_prior_that_hangs_on_the_question_is_found(labels: tuple[str, ...]) -> None:
    report = quick(wording(0, labels, 240, 12))
    assert report.verdict == "leaky"
    assert report.text_only.probe("pairs").accuracy > 0.95
    assert report.text_only.probe("combined").accuracy > 0.95
    told = [phrase for phrase in report.phrases if phrase.asked]
    assert told
    assert all(p.right == p.questions and p.text in map(str.lower, labels) for p in told)
    assert len(told) == len(report.phrases)  # a label alone is a base rate, and no phrase
    rows = report.partial_inputs
    assert rows["question alone"].accuracy > 0.95
    assert rows["options alone"].leak < 0.05
    assert list(rows) == ["no text (base rate)", "question alone", "options alone",
                          "both apart", "both joined"]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["stems", "stop", "capital", "number", "title", "articles", "nearest"]
)
def test_what_no_word_tells_is_found(name: str) -> None:
    report = quick(DESIGNS[name].make(0))
    assert report.verdict == "leaky"
    assert report.text_only.best.accuracy > (0.8 if name == "nearest" else 0.95)


def test_a_dimension_has_a_base_rate_of_its_own() -> None:
    """Mostly yes in one dimension, mostly no in the other, whatever is asked."""
    rng = random.Random(0)
    made = [
        replace(q, dimension=("A", "B")[i % 2],
                answer="AB"[(rng.random() < 0.8) == (i % 2)])
        for i, q in enumerate(base_rate(0, 400).questions)
    ]  # fmt: skip
    report = quick(Benchmark("mirror", "", "test", tuple(made), dimensions=("A", "B")))
    for name, share in report.text_only.by_dimension.items():
        assert share.majority.accuracy > 0.7, name
        assert abs(share.best.share.leak) < 0.05, name
    assert report.text_only.majority.accuracy < 0.6


def test_no_leak_is_larger_than_what_the_base_rate_leaves() -> None:
    made = [replace(q, answer="A") for q in base_rate(0, 100).questions]
    report = quick(Benchmark("always", "", "test", tuple(made), dimensions=("Finding",)))
    assert report.text_only.largest_leak == 0.0
    assert report.verdict == "imbalanced"


def test_a_slide_without_a_patient_does_not_part_the_others() -> None:
    made = grades(0, slides=12, each=4).questions
    named = [
        replace(q, extra={"patient_age": 60 + i % 2, "case_type": "biopsy"}
                | ({} if q.slide == "slide-0000" else {"patient_id": int(str(q.slide)[-4:]) // 3}))
        for i, q in enumerate(made)
    ]  # fmt: skip
    found = select(named)
    assert (found.clusters.source, found.clusters.count) == ("field 'patient_id'", 5)
    (said,) = [f for f in found.findings if f.kind == "clusters-joined"]
    assert "1 slide without one" in said.message
    ages = [replace(q, extra={"patient_age": 60, "subject": "lung"}) for q in made]
    assert select(ages).clusters.source == "slide"


def test_labels_that_hang_together_in_a_slide_are_no_leak() -> None:
    for seed in range(3):
        report = quick(grades(seed, slides=12, each=10))
        # Nor can so few slides exclude one, unless the draw is balanced for each text.
        assert report.verdict == ("clean" if report.text_only.by_design else "undecided")
        whole = report.text_only.probe("combined")
        assert whole.null_sd is not None
        assert whole.null_sd > 0.05  # guessing by the question would have 0.04


@pytest.mark.parametrize("size", [2, 4])
def test_counterfactual_texts_are_no_leak(size: int) -> None:
    report = quick(counterfactual(0, size, groups=160 // size, slides=10))
    assert report.verdict == "clean"
    assert "by design" in report.reasons[0]
    assert "counterfactual-design" in kinds(report)
    assert report.text_only.probe("combined").accuracy < 1 / size + 0.03
    assert report.groups is not None
    assert report.groups["groups"] == 160 // size
    assert report.groups["all_right"]["accuracy"] < 1 / size


def test_a_base_rate_is_no_leak_of_the_text_and_no_position_error() -> None:
    report = quick(base_rate(0, n=400, share=0.7, slides=20))
    assert report.parts["position"] == "clean"
    assert report.verdict in ("imbalanced", "undecided")
    assert report.text_only.majority.accuracy == pytest.approx(0.7, abs=0.06)
    assert report.text_only.best.share.base_rate == report.text_only.majority.accuracy
    assert "label-imbalance" in kinds(report)
    assert not report.cues
    assert not report.phrases


def test_what_only_the_whole_file_gives_away_is_said_apart() -> None:
    report = quick(repeating(0, n=240, slides=12))
    assert report.verdict != "leaky"
    data = report.to_json()
    assert data["parts"]["whole_file"] == report.whole_file[0].verdict
    assert report.whole_file[0].accuracy > report.text_only.accuracy


def test_too_few_redraws_leave_it_undecided_and_say_how_many_decide() -> None:
    report = audit(plant("phrase", 120, strength=0.6), permutations=20, seeds=1)
    assert report.verdict == "undecided"
    assert any("39 or more" in reason for reason in report.reasons)


def test_clean_says_what_was_not_tested() -> None:
    data = quick(counterfactual(0, 2, groups=40, slides=10)).to_json()
    assert data["verdict"] == "clean"
    assert data["parts"]["knowledge"] == "not tested"
    assert "knowledge not tested" in data["verdict_text"]


def test_two_slides_of_one_patient_are_one_cluster() -> None:
    made = plant("none", 60, slides=12).questions
    named = [replace(q, slide=f"TCGA-AB-{1000 + int(str(q.slide)[-4:]) // 2}-01Z-{q.slide}")
             for q in made]  # fmt: skip
    found = find_clusters(named)
    assert (found.count, found.known) == (6, True)
    fields = [replace(q, extra={"patient": int(str(q.slide)[-4:]) // 3}) for q in made]
    assert find_clusters(fields).count == 4


def test_of_a_large_file_whole_slides_are_drawn() -> None:
    made = plant("phrase", 400, strength=0.6, slides=20)
    report = quick(made, most=150)
    sampled = report.benchmark["sampled"]
    assert sampled["questions"] == report.text_only.n <= 150
    assert (sampled["of"], sampled["of_clusters"]) == (400, 20)
    assert report.verdict == "leaky"
    assert any("150 of 400" in reason for reason in report.reasons)


def test_every_design_has_its_questions() -> None:
    for design in DESIGNS.values():
        assert len(design.make(1)) > 100
        assert design.make(1).questions == design.make(1).questions


def test_p_values_say_what_redraws_can_show() -> None:
    assert p_text(1 / 101, 1 / 101) == "≤ 0.010, the least that 100 redraws can show"
    assert p_text(0.25, 1 / 101) == "0.250"


def test_grades_that_are_asked_again_and_again_are_no_counterfactual_groups() -> None:
    assert quick(grades(0, slides=12, each=10)).groups is None
    rng = np.random.default_rng(0)
    shown = ["grade 1", "grade 2", "grade 3"]
    grade = [int(rng.integers(3)) for _ in range(20)]
    one = [question(i, shown, grade[i], text="Which grade is this?", slide=f"s{i}",
                    views=(View("single", f"{i}.png"),)) for i in range(20)]  # fmt: skip
    more = [question(20 + k, shown, k, text="Which grade is this?", slide="s20",
                     views=(View("single", f"{20 + k}.png"),)) for k in range(3)]  # fmt: skip
    assert quick(benchmark([*one, *more])).groups is None


def test_one_text_with_other_answers_in_each_dimension_is_no_balance() -> None:
    made = [
        question(i, ["yes", "no"], i % 2, text="Is it seen?", slide=f"slide{i // 12}",
                 dimension=f"d{i % 2}")
        for i in range(240)
    ]  # fmt: skip
    report = quick(benchmark(made))
    assert not any(stratum.by_design for stratum in report.strata)
    assert report.verdict == "leaky"
    assert {share.verdict for share in report.text_only.by_dimension.values()} == {"imbalanced"}
