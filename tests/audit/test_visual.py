"""Image conditions in an audit: models that use certain views are told apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from small import Scripted, tagged
from small import benchmark as small_benchmark

from scalevqa_eval.audit.visual import run_visual
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Benchmark, Capabilities, Prompt, Reply

FREE = Capabilities(concurrency=4, cacheable=False)


def looking(benchmark: Benchmark, scales: set[str]) -> Scripted:
    """A model that knows the answer if it sees its own images of all these scales."""
    answers = {q.id: q.answer for q in benchmark.questions}
    own = {q.id: {view.scale: view.image for view in q.views} for q in benchmark.questions}

    def answer(prompt: Prompt) -> Reply:
        seen = {
            part.scale for part in prompt.images
            if part.source == own[prompt.question_id].get(part.scale) and not part.change
        }  # fmt: skip
        if scales <= seen:
            return tagged(answers[prompt.question_id])
        digest = hashlib.sha256(prompt.question_id.encode()).digest()[0]
        return tagged(sorted(prompt.options)[digest % len(prompt.options)])

    return Scripted(answer, FREE)


@pytest.fixture
def three_views(tmp_path: Path) -> Benchmark:
    found = small_benchmark(tmp_path / "images", sets=12, each=4, views=3)
    questions = [replace(q, slide=f"slide{i % 12}") for i, q in enumerate(found.questions)]
    return replace(found, questions=tuple(questions))


def test_scale_dependence_is_found_for_the_scales_that_are_used(
    three_views: Benchmark, tmp_path: Path
) -> None:
    model = looking(three_views, {"low", "high"})
    section, _ = run_visual([model], three_views, output=tmp_path / "runs")
    (found,) = section["models"]
    gaps = {gap["condition"]: gap["overall"] for gap in found["gaps"]}
    assert found["full"]["correct"] == 48
    assert gaps["no-images"]["low"] > 0
    assert gaps["blank-images"]["low"] > 0
    assert gaps["wrong-images"]["low"] > 0
    assert gaps["without-mid"]["difference"] == 0
    assert gaps["shuffled-views"]["difference"] == 0
    for name in ("without-low", "without-high", "only-low", "only-mid", "only-high"):
        assert gaps[name]["low"] > 0, name
    assert "No single scale is enough" in found["answer"]
    assert "costs something for: low, high." in found["answer"]
    assert {row["name"] for row in found["gaps"][0]["rows"]} == {"Correspondence", "Diagnosis"}
    assert found["full"]["correct"] == 48


def test_a_model_that_needs_one_scale_shows_no_cross_scale_need(
    three_views: Benchmark, tmp_path: Path
) -> None:
    section, _ = run_visual([looking(three_views, {"mid"})], three_views, output=tmp_path / "runs")
    answer = section["models"][0]["answer"]
    assert "not shown that several scales are needed: a loss is not shown with the mid" in answer


def test_a_model_that_ignores_images_gains_nothing(three_views: Benchmark, tmp_path: Path) -> None:
    section, _ = run_visual([looking(three_views, {"none"})], three_views, output=tmp_path / "runs")
    found = section["models"][0]
    assert {gap["overall"]["difference"] for gap in found["gaps"]} == {0.0}
    assert "not shown to differ from none" in found["answer"]


def test_conditions_that_do_not_apply_are_named(tmp_path: Path) -> None:
    single = small_benchmark(tmp_path / "images", sets=4, each=3, views=1)
    section, _ = run_visual([looking(single, {"low"})], single, output=tmp_path / "runs")
    found = section["models"][0]
    assert "only-high" in found["not_applicable"]
    assert "without-low" in found["not_applicable"]
    assert "only-low" in found["runs"]


def test_no_images_is_an_error_that_says_so(three_views: Benchmark, tmp_path: Path) -> None:
    bare = replace(
        three_views, questions=tuple(replace(q, views=()) for q in three_views.questions)
    )
    with pytest.raises(UsageError, match="has no images"):
        run_visual([looking(three_views, set())], bare, output=tmp_path / "runs")
