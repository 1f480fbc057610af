"""Verdicts on planted leaks, the demo benchmark and real data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import PHRASE, Leak, plant

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.position import position_bias
from scalevqa_eval.audit.selftest import SelfTestFailed
from scalevqa_eval.data.demo import LEAKY_PHRASE
from scalevqa_eval.data.load import load_benchmark
from scalevqa_eval.types import Benchmark

_FINDS: dict[Leak, str] = {
    "length": "longest",
    "medoid": "medoid",
    "phrase": "contrast",
    "diagnosis": "tokens",
}


@pytest.mark.parametrize("leak", _FINDS)
def test_a_strong_leak_is_found_by_the_probe_made_for_it(leak: Leak) -> None:
    report = audit(plant(leak, 150, strength=0.5), permutations=40, seeds=1)
    assert report.verdict == "leaky"
    probes = {probe.name: probe for probe in report.text_only.probes}
    assert probes[_FINDS[leak]].accuracy > 0.6
    assert probes["combined"].accuracy > 0.5
    assert report.text_only.p_value == pytest.approx(1 / 41)


def test_sibling_cues_are_found_by_who_has_the_whole_file() -> None:
    report = audit(plant("sibling", 150, strength=0.5, seed=1), permutations=40, seeds=1)
    assert report.whole_file[0].verdict == "leaky"
    assert report.whole_file[0].probe("sibling-support").accuracy > 0.6
    assert report.verdict != "leaky"  # one question at a time there is nothing to see
    assert "whole-file" in {finding.kind for finding in report.findings}


def test_positions_alone_make_a_benchmark_leaky() -> None:
    report = audit(plant("position", 150, strength=0.4), permutations=40, seeds=1)
    assert report.verdict == "leaky"
    assert report.text_only.verdict != "leaky"
    assert "answer-position" in {finding.kind for finding in report.findings}


def test_a_skew_of_positions_has_a_size() -> None:
    """Two points at 12,000 questions are there, and small."""
    made = plant("position", 12_000, strength=0.02, slides=400).questions
    found = position_bias(made, [str(q.slide) for q in made], 0)
    assert found.skewed
    assert found.verdict("", 0.05) == "measurable"
    assert found.verdict("", 0.01) == "leaky"
    assert 0.015 < found.largest_leak[""] < 0.05


def test_nothing_planted_nothing_found() -> None:
    report = audit(plant("none", 200, options=(3, 4, 5)), permutations=40, seeds=1)
    assert report.verdict in ("undecided", "clean")
    assert not [f for f in report.findings if f.kind in ("below-chance", "answer-position")]
    assert not report.phrases


def test_phrase_is_named_with_its_counts() -> None:
    made = plant("phrase", 150, strength=0.6, slides=6)
    report = audit(made, permutations=1, seeds=1)
    phrase = next(p for p in report.phrases if p.dimension == "" and p.text == PHRASE)
    right = sum(PHRASE in q.options[q.answer] for q in made.questions)
    assert (phrase.right, phrase.options, phrase.questions, phrase.slides) == (right, 150, 150, 6)
    assert phrase.expected == pytest.approx(150 / 4)
    assert phrase.ci[0] < right / 150 < phrase.ci[1]
    assert phrase.direction == "right"


def test_most_leaky_questions_come_first() -> None:
    report = audit(plant("length", 120, strength=0.5), permutations=1, seeds=3)
    scores = [question.leak_score for question in report.questions]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.5 > scores[-1]
    assert all(question.leak_sd is not None for question in report.questions)


def test_transfer_from_another_split() -> None:
    train, held_out = plant("phrase", 150, strength=0.6, seed=1), plant("phrase", 90, strength=0.6)
    report = audit(held_out, train=train, permutations=1, seeds=1)
    transfer = report.to_json()["transfer"]
    assert transfer["accuracy"] > 0.6
    assert transfer["n"] == 90
    assert transfer["trained_questions"] == 150
    assert transfer["trained_on"] == "planted-phrase test"
    assert set(transfer["by_dimension"]) == {"Finding", "Place", "Course"}
    assert report.verdict == "leaky"


def test_transfer_does_not_fit_on_audited_questions() -> None:
    made = plant("none", 60)
    other = plant("none", 80, seed=1)
    both = audit(
        made,
        train=_joined(made, other),
        permutations=1,
        seeds=1,
    )
    transfer = both.to_json()["transfer"]
    assert transfer["trained_questions"] == 80
    assert transfer["accuracy"] < 0.5
    assert "transfer-overlap" in {finding.kind for finding in both.findings}


def test_transfer_does_not_know_the_answers_that_it_is_tested_on() -> None:
    """Each of four answers is right in one of four versions, so that the four counts make n."""
    train, held_out = plant("phrase", 90, strength=0.6, seed=1), plant("phrase", 40, strength=0.6)
    counts = []
    for shift in range(4):
        letters = [list(q.options) for q in held_out.questions]
        turned = [
            replace(q, answer=known[(known.index(q.answer) + shift) % 4])
            for q, known in zip(held_out.questions, letters, strict=True)
        ]
        made = replace(held_out, questions=tuple(turned))
        report = audit(made, train=train, permutations=1, seeds=1, look_at_data=False)
        assert report.transfer is not None
        counts.append(report.transfer["correct"])
    assert sum(counts) == pytest.approx(40, abs=1e-4)
    assert counts[0] > 20


def test_a_transfer_that_sees_answers_gives_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    from scalevqa_eval.audit import transfer
    from scalevqa_eval.audit.probes import LEARNED

    class Peeking:
        def __init__(self, inner: Any) -> None:
            self.inner, self.use_folds = inner, inner.use_folds

        def scores(self, gold: Any, train: Any, rows: Any) -> Any:
            return self.inner.scores(gold, np.ones_like(train), rows)

    class Probe:
        name, about, file = "peeking", "trained on what it is asked", False

        def prepare(self, features: Any, seed: int) -> Any:
            return Peeking(LEARNED[1].prepare(features, seed))

    monkeypatch.setattr(transfer, "learned", lambda: [Probe()])
    with pytest.raises(SelfTestFailed, match="peeking"):
        audit(plant("none", 30), train=plant("none", 30, seed=1), permutations=1, seeds=1)


def _joined(first: Benchmark, second: Benchmark) -> Benchmark:
    renamed = [replace(q, id=f"other-{q.id}") for q in second.questions]
    return replace(first, questions=(*first.questions, *renamed))


def test_demo_is_clean_and_its_twin_is_leaky_with_the_phrase_named() -> None:
    clean = audit(load_benchmark("demo"), permutations=40, seeds=1, look_at_data=False)
    assert clean.verdict == "clean"
    leaky = audit(load_benchmark("demo-leaky"), permutations=40, seeds=1, look_at_data=False)
    assert leaky.verdict == "leaky"
    assert set(leaky.verdict_by_dimension.values()) == {"leaky"}
    named = {phrase.text for phrase in leaky.phrases}
    assert LEAKY_PHRASE in named


def test_real_validation_split(shared_data: Path) -> None:
    report = audit(shared_data / "scale_vqa" / "val.json", permutations=40, seeds=1)
    assert report.verdict == "leaky"
    data = report.to_json()["text_only"]
    combined = next(probe for probe in data["probes"] if probe["name"] == "combined")
    assert data["n"] == 450
    assert combined["accuracy"] >= 0.75
    assert abs(combined["null_mean"] - 0.25) < 0.02
    assert combined["base_rate"] == combined["chance"] == 0.25
    assert data["ci"][0] < data["accuracy"] < data["ci"][1]
    assert set(data["by_dimension"]) == {
        "Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis",
    }  # fmt: skip
    assert all(part["n"] == 90 for part in data["by_dimension"].values())
    assert any(cue.rule == "medoid" and cue.share.accuracy > 0.5 for cue in report.cues)
