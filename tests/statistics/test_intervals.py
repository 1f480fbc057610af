"""Intervals: known values, bounds, invariances, and no degenerate case that breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scalevqa_eval.statistics import (
    Clusters,
    bootstrap_means,
    cluster_interval,
    group,
    macro_average,
    proportion_limits,
    wilson,
)
from scalevqa_eval.statistics.intervals import robust_mean

ANSWERS = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.none(), st.integers(0, 12))), min_size=1, max_size=80
)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (571, 1005), (10, 10), (3, 4)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    ours = wilson(k, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.integers(1, 300), st.data())
def test_wilson_bounds_and_monotone(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n - 1))
    here, above = wilson(k, n), wilson(k + 1, n)
    assert 0 <= here.low <= k / n <= here.high <= 1
    assert here.low <= above.low
    assert here.high <= above.high
    assert wilson(k, n, 0.99).width > here.width > wilson(k, n, 0.8).width


@given(ANSWERS)
def test_interval_holds_the_accuracy_and_never_vanishes(
    answers: list[tuple[int, int | None]],
) -> None:
    scores, clusters = zip(*answers, strict=True)
    interval = cluster_interval(scores, clusters)
    assert 0 <= interval.low <= interval.high <= 1
    assert math.isfinite(interval.low)
    assert interval.width > 0
    assert interval.low - 1e-12 <= sum(scores) / len(scores) <= interval.high + 1e-12
    assert interval.method


@given(ANSWERS, st.randoms(use_true_random=False))
def test_order_and_names_of_clusters_do_not_matter(
    answers: list[tuple[int, int | None]], random: object
) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = cluster_interval([s for s, _ in answers], [c for _, c in answers])
    renamed = [None if c is None else f"slide {c}" for _, c in shuffled]
    two = cluster_interval([s for s, _ in shuffled], renamed)
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-9)
    assert one.method == two.method


@given(ANSWERS)
def test_right_and_wrong_mirror_each_other(answers: list[tuple[int, int | None]]) -> None:
    scores, clusters = zip(*answers, strict=True)
    one = cluster_interval(scores, clusters)
    two = cluster_interval([1 - s for s in scores], clusters)
    assert (one.low, one.high) == pytest.approx((1 - two.high, 1 - two.low), abs=1e-9)


def test_one_question_a_cluster_is_wilson() -> None:
    scores = [1, 1, 0, 1, 0, 0, 1, 1]
    assert cluster_interval(scores, list("abcdefgh")) == wilson(5, 8)
    assert cluster_interval(scores, [None] * 8) == wilson(5, 8)


def test_equal_clusters_have_one_degree_of_freedom_less_than_clusters() -> None:
    rng = np.random.default_rng(3)
    sums = rng.binomial(12, 0.6, 9).astype(float)
    fit = robust_mean(Clusters(sums, sums, np.full(9, 12.0)))
    assert float(fit.freedom) == pytest.approx(8)
    # CR2 of equal clusters is the textbook variance of a mean of cluster means.
    assert float(fit.variance) == pytest.approx(np.var(sums / 12, ddof=1) / 9)


def test_freedom_is_the_trace_formula() -> None:
    """The closed form against the matrices it stands for."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 30, 11).astype(float)
    sums = rng.binomial(sizes.astype(int), rng.uniform(0.1, 0.9, 11)).astype(float)
    data = Clusters(sums, sums, sizes)
    n, mean = sizes.sum(), sums.sum() / sizes.sum()
    own = sums / sizes
    between = (sizes * (own - mean) ** 2).sum() / 10
    within = (sizes * own * (1 - own)).sum() / (n - 11)
    typical = (n - (sizes**2).sum() / n) / 10
    icc = np.clip((between - within) / (between + (typical - 1) * within), 0, 1)
    spread = np.diag(sizes * (1 + (sizes - 1) * icc))
    take_mean = np.eye(11) - np.outer(sizes / n, np.ones(11))
    scale = np.diag((1 - sizes / n) ** -0.5)
    matrix = scale @ take_mean @ spread @ take_mean.T @ scale
    expected = np.trace(matrix) ** 2 / np.trace(matrix @ matrix)
    assert float(robust_mean(data).freedom) == pytest.approx(expected)


def test_clustering_widens_what_hangs_together() -> None:
    scores = [1] * 100 + [0] * 100
    apart = cluster_interval(scores, [i % 10 for i in range(200)])
    together = cluster_interval(scores, [i // 20 for i in range(200)])
    assert together.width > 3 * apart.width


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_clusters_count_as_one_answer_each(count: int) -> None:
    interval = cluster_interval([1, 1, 1, 0] * count, [c for c in range(count) for _ in range(4)])
    expected = wilson(0.75 * count, count)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert "one answer each" in interval.method


def test_nothing_to_score() -> None:
    assert cluster_interval([], []) == wilson(0, 0)
    mean, interval = macro_average([], [], [])
    assert math.isnan(mean)
    assert interval.width == 1


def test_scores_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        cluster_interval([2], ["a"])
    with pytest.raises(ValueError, match="cluster labels"):
        group([1, 0], ["a"])


def test_bootstrap_agrees_with_the_formula_on_much_data() -> None:
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(150), 7)
    scores = rng.binomial(1, rng.beta(3, 2, 150)[clusters])
    one = cluster_interval(scores, clusters.tolist())
    data = group(scores, clusters.tolist())
    means = bootstrap_means(data.sums, data.sizes, seed=4)
    assert np.quantile(means, [0.025, 0.975]) == pytest.approx([one.low, one.high], abs=0.01)
    assert (means == bootstrap_means(data.sums, data.sizes, seed=4)).all()


@given(ANSWERS)
def test_macro_of_one_stratum_is_the_accuracy(answers: list[tuple[int, int | None]]) -> None:
    scores, clusters = zip(*answers, strict=True)
    mean, interval = macro_average(scores, clusters, ["x"] * len(scores))
    assert mean == pytest.approx(sum(scores) / len(scores))
    assert 0 <= interval.low <= mean <= interval.high <= 1
    assert interval.width > 0


def test_macro_weighs_strata_equally() -> None:
    scores = [1] * 90 + [0] * 10
    mean, _ = macro_average(scores, list(range(100)), ["big"] * 90 + ["small"] * 10)
    assert mean == pytest.approx(0.5)


@pytest.mark.parametrize("accuracy", [0.25, 0.9])
def test_intervals_cover(accuracy: float) -> None:
    """A small version of tests/performance/coverage.py, with a fixed seed."""
    rng = np.random.default_rng(11)
    own = rng.beta(accuracy * 4, (1 - accuracy) * 4, (2000, 37))
    sums = rng.binomial(27, own).astype(float)
    low, high, _method = proportion_limits(Clusters(sums, sums, np.full(37, 27.0)))
    assert 0.93 <= np.mean((low <= accuracy) & (accuracy <= high)) <= 0.97
