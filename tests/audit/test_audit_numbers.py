"""The parts that make the numbers: fits, folds, credits, redraws, tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant
from planting import question
from scipy import optimize, stats

from scalevqa_eval.audit import logit
from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.crossval import credit, fold_count, make_folds
from scalevqa_eval.audit.inference import choose, family_test, standardise
from scalevqa_eval.audit.logit import Layout
from scalevqa_eval.audit.position import PositionBias, position_bias
from scalevqa_eval.audit.redraws import given_answers, redraw
from scalevqa_eval.audit.results import decide, overall
from scalevqa_eval.audit.table import make_table
from scalevqa_eval.audit.tokens import tokens
from scalevqa_eval.types import Question


def _loss(
    weights: npt.NDArray[np.float64], features: npt.NDArray[np.float64], sizes: list[int],
    gold: npt.NDArray[np.intp], penalty: float,
) -> float:  # fmt: skip
    scores, first, total = features @ weights, 0, 0.0
    for size, right in zip(sizes, gold, strict=True):
        own = scores[first : first + size]
        total += float(np.log(np.exp(own - own.max()).sum()) + own.max() - own[right])
        first += size
    return total + penalty / 2 * float(weights @ weights)


@pytest.mark.parametrize("sizes", [[4] * 40, [2, 3, 5, 7] * 10])
def test_fit_finds_the_minimum_for_each_set_of_labels(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logit, "STEPS", 400)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(sum(sizes), 5))
    gold = rng.integers(0, np.array(sizes)[:, None], size=(len(sizes), 3))
    single = features.astype(np.float32)
    found = logit.fit(single, single.T @ single, Layout(np.array(sizes)), gold, 2.0)
    for column in range(3):
        best = optimize.minimize(
            _loss, np.zeros(5), args=(features, sizes, gold[:, column], 2.0), tol=1e-10
        )
        np.testing.assert_allclose(found[:, column], best.x, atol=2e-3)


def test_credit_is_shared_by_ties() -> None:
    table = make_table([question(0, ["a b", "c d", "e f", "g h"]), question(1, ["i", "j"])])
    scores = np.array([1.0, 1.0, 0.0, 1.0, 2.0, 1.0])[:, None]
    if table.sizes[0] == 2:
        scores = np.roll(scores, 2)
    gold = np.zeros((2, 1), dtype=np.intp)
    assert sorted(credit(table, scores, gold)[:, 0].tolist()) == pytest.approx([1 / 3, 1.0])


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=40),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_never_cut_a_cluster_and_none_is_empty(
    sizes: list[int], count: int, seed: int
) -> None:
    labels = [f"s{k}" for k, size in enumerate(sizes) for _ in range(size)]
    count = min(count, len(sizes))
    folds = make_folds(labels, count, seed)
    assert set(folds) == set(range(count))
    for label in set(labels):
        assert len({int(f) for f, own in zip(folds, labels, strict=True) if own == label}) == 1
    assert fold_count(1, 1) == 0


def test_other_seeds_make_other_folds_of_unequal_slides() -> None:
    labels = [f"s{k}" for k in range(12) for _ in range(k + 1)]
    partitions = {tuple(make_folds(labels, 4, seed).tolist()) for seed in range(20)}
    assert len(partitions) > 15


@given(
    sizes=st.lists(st.integers(2, 26), min_size=1, max_size=30),
    slides=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_redraws_relabel_a_slide_as_one(sizes: list[int], slides: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = np.array(sizes)
    groups = rng.integers(0, slides, len(sizes)) * 100 + size  # one set of options a size
    gold = rng.integers(0, size)
    drawn = redraw(size, groups, gold, 20, seed)
    assert drawn.shape == (len(sizes), 20)
    assert (drawn >= 0).all()
    assert (drawn < size[:, None]).all()
    for group in set(groups.tolist()):
        inside = groups == group
        for column in drawn[inside].T:  # equal labels stay equal, and other ones other
            pairs = set(zip(gold[inside].tolist(), column.tolist(), strict=True))
            assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


def test_redraws_are_uniform() -> None:
    drawn = redraw(np.full(3, 4), np.array([0, 0, 1]), np.array([1, 1, 2]), 8_000, 0)
    for row in drawn:
        assert stats.chisquare(np.bincount(row, minlength=4)).pvalue > 1e-4
    assert stats.chi2_contingency(np.histogram2d(drawn[0], drawn[2], 4)[0]).pvalue > 1e-4


def test_p_value_of_given_answers_is_binomial_and_knows_slides() -> None:
    n, right = 60, 25
    credits = np.zeros((n, 4))
    credits[:, 0] = 1.0  # always the first option
    gold = np.where(np.arange(n) < right, 0, 1)
    alone = given_answers(credits.ravel(), np.full(n, 4), np.arange(n), gold)
    assert alone[0] == pytest.approx(stats.binom.sf(right - 1, n, 0.25), abs=2e-3)
    assert alone[1] == pytest.approx(stats.binom.cdf(right, n, 0.25), abs=2e-2)
    together = given_answers(credits.ravel(), np.full(n, 4), np.zeros(n, dtype=int), gold)
    assert together[0] == pytest.approx(0.5, abs=0.03)  # 25, 35 or none: one slide says little


def test_family_test_is_exact_under_the_null() -> None:
    rng = np.random.default_rng(1)
    guessing = np.array([0.04, 0.08])
    adjusted = []
    for _ in range(400):
        # Three probes that agree in part, and a stratum within the other.
        common = rng.normal(size=(1, 1, 40))
        values = 0.04 * (common + rng.normal(size=(3, 2, 40)))
        error = 0.04 * np.abs(rng.normal(size=(3, 2, 40)))
        adjusted.append(min(family_test(standardise(values, error, guessing)).p_adjusted))
    rejected = int((np.array(adjusted) <= 0.05).sum())
    assert stats.binom.sf(rejected - 1, 400, 0.05) > 0.001


def test_family_test_finds_one_strong_probe_and_steps_down() -> None:
    rng = np.random.default_rng(2)
    values = 0.04 * rng.normal(size=(6, 3, 101))
    values[4, 1, 0] = 0.30
    found = family_test(standardise(values, np.zeros_like(values), np.full(3, 0.04)))
    assert found.p_adjusted[1] == pytest.approx(1 / 101)
    assert found.p_value[1] == pytest.approx(1 / 101)
    assert all(a >= p for a, p in zip(found.p_adjusted, found.p_value, strict=True))


def test_an_error_between_slides_is_no_evidence() -> None:
    """A lead that rests on a few slides, in a dependence that redraws do not keep."""
    rng = np.random.default_rng(4)
    values = 0.02 * rng.normal(size=(1, 1, 101))
    values[0, 0, 0] = 0.08
    error = np.full_like(values, 0.02)
    assert family_test(standardise(values, error, np.full(1, 0.02))).p_value[0] < 0.02
    error[0, 0, 0] = 0.08
    assert family_test(standardise(values, error, np.full(1, 0.02))).p_value[0] > 0.05


def test_null_of_the_whole_pipeline_is_at_chance() -> None:
    report = audit(plant("none", 120, options=(2, 3, 4)), permutations=60, seeds=1)
    chance = report.text_only.chance
    assert chance == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4]), abs=0.03)
    for probe in report.text_only.probes:
        assert probe.null_mean == pytest.approx(chance, abs=0.02)


@pytest.mark.parametrize(
    ("shown", "largest", "imbalance", "verdict"),
    [
        (True, 0.30, 0.0, "leaky"),
        (False, 0.30, 0.0, "undecided"),
        (True, 0.04, 0.0, "measurable"),
        (False, 0.04, 0.0, "clean"),
        (False, 0.04, 0.06, "imbalanced"),
        (True, 0.05, 0.0, "leaky"),
    ],
)
def test_verdicts(shown: bool, largest: float, imbalance: float, verdict: str) -> None:
    assert decide(shown, largest, imbalance, 0.05) == verdict


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    assert overall(["clean", "undecided"]) == "undecided"
    assert overall(["clean", "leaky", "undecided"]) == "leaky"
    assert overall(["clean", "measurable"]) == "measurable"
    assert overall(["clean", "clean"]) == "clean"


def test_weights_of_a_combination_never_fall_below_nought() -> None:
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 3, (200, 2))
    scores = rng.normal(size=(2, 600, 2)).astype(np.float32)
    rows = np.arange(200)[:, None] * 3 + gold
    scores[0, rows, np.arange(2)] += 2.0  # right more often than by chance
    scores[1, rows, np.arange(2)] -= 2.0  # wrong: what a counterfactual design teaches
    weights = logit.combine(scores, Layout(np.full(200, 3)), gold)
    assert (weights[0] > 0.5).all()
    assert weights[1] == pytest.approx(0.0)


def test_position_of_answers_is_tested_apart() -> None:
    rng = np.random.default_rng(0)

    def asked(i: int, right: int, options: str = "wxyz") -> Question:
        return question(i, [f"{letter}{i}" for letter in options], right)

    def bias(made: list[Question]) -> PositionBias:
        return position_bias(made, [str(q.slide) for q in made], 0)

    assert bias([asked(i, int(rng.integers(4))) for i in range(200)]).p_value[""] > 0.01
    found = bias([asked(i, 0 if i % 3 else int(rng.integers(4))) for i in range(200)])
    assert found.p_value[""] == pytest.approx(1 / 2000)
    assert sum(found.counts[""]) == 200
    assert found.expected[""] == pytest.approx((50, 50, 50, 50))
    two = bias([asked(i, 0, "wx" if i % 2 else "wxyz") for i in range(60)])
    assert two.expected[""] == pytest.approx((22.5, 22.5, 7.5, 7.5))


def test_label_imbalance_is_no_position_error() -> None:
    made = [question(i, ["yes", "no"], 0 if i % 10 else 1) for i in range(200)]
    found = position_bias(made, [str(q.slide) for q in made], 0)
    assert (found.fixed_order, found.p_value[""]) == (200, 1.0)


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_tokens_of_any_text(text: str) -> None:
    found = tokens(text)
    assert tokens(" ".join(found)) == found or any(not t.isascii() for t in found)


def test_tokens_of_scripts_without_blanks() -> None:
    assert tokens("腺癌,高分化") == ("腺", "癌", "高", "分", "化")
    assert tokens("It isn’t HER2-positive: 3.5 µm") == (
        "it", "isn’t", "her2", "positive", "3", "5", "μm",
    )  # fmt: skip
    assert len(tokens("word " * 300_000)) <= 400


def test_the_combination_stands_for_all_unless_another_is_clearly_better() -> None:
    rng = np.random.default_rng(3)
    slides = [f"s{i % 20}" for i in range(400)]
    stack = (rng.random(400) < 0.3).astype(float)
    luckier = stack.copy()
    luckier[np.flatnonzero(stack == 0)[:14]] = 1.0
    luckier[np.flatnonzero(stack == 1)[:8]] = 0.0
    better = np.maximum(stack, (rng.random(400) < 0.5).astype(float))
    assert choose({"rule": luckier, "combined": stack}, slides) == "combined"
    assert choose({"rule": better, "combined": stack}, slides) == "rule"
    assert choose({"low": stack, "high": better}, slides) == "high"
