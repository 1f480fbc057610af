"""Paired tests, corrections, chance, power and ranks: hand cases, identities, uniformity."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scalevqa_eval.statistics import (
    benjamini_hochberg,
    binomial_means,
    chance_corrected,
    detectable_difference,
    difference_error,
    difference_interval,
    holm,
    mcnemar,
    permutation_test,
    rank_intervals,
    ranks_of,
    sign_flip,
    swap_level,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 8)), min_size=1, max_size=60
)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (0, 5, 2 / 32), (1, 0, 1.0), (3, 3, 1.0), (8, 2, 112 / 1024)],
)
def test_mcnemar_by_hand(first: int, second: int, expected: float) -> None:
    assert mcnemar(first, second) == pytest.approx(expected)


@given(PAIRS)
def test_swapping_the_runs_swaps_the_sign(pairs: list[tuple[int, int, int]]) -> None:
    a, b, clusters = zip(*pairs, strict=True)
    one, two = difference_interval(a, b, clusters), difference_interval(b, a, clusters)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)
    assert -1 <= one.low < one.high <= 1
    assert (
        one.low - 1e-12 <= (sum(a) - sum(b)) / len(a) <= one.high + 1e-12 or "Agresti" in one.method
    )
    assert permutation_test(a, b, clusters) == pytest.approx(permutation_test(b, a, clusters))
    error, freedom = difference_error(a, b, clusters)
    assert 0 < error < math.inf
    assert freedom >= 1


@given(PAIRS)
def test_equal_answers_differ_by_nothing(pairs: list[tuple[int, int, int]]) -> None:
    a, _, clusters = zip(*pairs, strict=True)
    interval = difference_interval(a, a, clusters)
    assert interval.low < 0 < interval.high
    assert permutation_test(a, a, clusters) == 1.0


def test_permutation_enumerates_few_clusters() -> None:
    a = [1, 1, 1, 0, 1, 1, 1, 0]
    b = [0, 0, 1, 1, 0, 0, 0, 0]
    clusters = [0, 0, 1, 1, 2, 2, 3, 3]
    sums = [2, -1, 2, 1]
    total = abs(sum(sums))
    patterns = list(itertools.product((1, -1), repeat=4))
    as_large = sum(
        abs(sum(s * x for s, x in zip(signs, sums, strict=True))) >= total for signs in patterns
    )
    assert permutation_test(a, b, clusters) == pytest.approx(as_large / 16)


def test_permutation_of_single_questions_is_mcnemar() -> None:
    """With one question a cluster both are the sign test."""
    a, b = [1] * 9 + [0] * 2 + [1] * 20, [0] * 9 + [1] * 2 + [1] * 20
    assert permutation_test(a, b, list(range(31))) == pytest.approx(mcnemar(9, 2))


def test_random_permutations_come_near_the_exact_ones() -> None:
    rng = np.random.default_rng(0)
    sums = rng.normal(0.3, 1, (1, 14))
    exact = sign_flip(sums)[0]
    padded = np.concatenate([sums, np.full((1, 1), 1e-12)], axis=1)  # one more: no enumeration
    assert sign_flip(padded, draws=20_000)[0] == pytest.approx(exact, abs=0.015)


def test_permutation_p_values_are_uniform_under_the_null() -> None:
    """Clustered differences; tiny noise breaks ties, which keeps the symmetry."""
    rng = np.random.default_rng(8)
    own = rng.beta(1.4, 0.93, (600, 37))
    sums = rng.binomial(20, own) - rng.binomial(20, own) + rng.normal(0, 1e-3, own.shape)
    blocks = [sign_flip(block, draws=499, seed=i) for i, block in enumerate(np.split(sums, 30))]
    assert stats.kstest(np.concatenate(blocks), "uniform").pvalue > 0.01


@given(P_VALUES)
def test_corrections_only_raise_and_keep_the_order(p: list[float]) -> None:
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert all(
            0 <= raw <= new + 1e-12 <= 1 + 1e-9 for raw, new in zip(p, adjusted, strict=True)
        )
        order = np.argsort(p, kind="stable")
        assert list(np.array(adjusted)[order]) == sorted(adjusted)
    assert all(h >= b - 1e-12 for h, b in zip(holm(p), benjamini_hochberg(p), strict=True))


def test_corrections_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx(
        [0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5]
    )
    assert holm([]) == benjamini_hochberg([]) == []


def test_detectable_difference_has_the_power_it_says() -> None:
    rng = np.random.default_rng(6)
    wanted = detectable_difference(1.0)
    assert np.mean(np.abs(rng.normal(wanted, 1, 100_000)) > 1.959964) == pytest.approx(
        0.8, abs=0.01
    )
    assert detectable_difference(1.0, 5) > wanted
    assert detectable_difference(math.inf) == math.inf


def test_chance_correction() -> None:
    assert chance_corrected(0.25, 0.25) == 0
    assert chance_corrected(1.0, 0.25) == 1
    assert chance_corrected(0.0, 0.5) == -1
    with pytest.raises(ValueError, match="chance"):
        chance_corrected(0.5, 1.0)


def test_ranks_of_clear_and_of_equal_runs() -> None:
    rng = np.random.default_rng(9)
    good, bad = rng.binomial(1, 0.9, 400), rng.binomial(1, 0.3, 400)
    clusters = [i // 10 for i in range(400)]
    first, second, third = rank_intervals([bad, good, good], clusters)
    assert (second.rank, second.low, second.high) == (1, 1, 1)
    assert third == second
    assert (first.rank, first.low, first.high) == (3, 3, 3)
    assert rank_intervals([bad, good, good], clusters) == [first, second, third]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_rank_intervals_hold_the_rank(correct: list[int]) -> None:
    means = binomial_means([[k] for k in correct], [[50]] * len(correct), draws=200)
    for place in ranks_of([k / 50 for k in correct], means, "binomial"):
        assert 1 <= place.low <= place.rank <= place.high <= len(correct)


def test_special_functions_agree_with_scipy_stats() -> None:
    draw = np.random.default_rng(5)
    for _ in range(60):
        k, other = int(draw.integers(0, 300)), int(draw.integers(0, 40))
        exact = stats.binomtest(k, k + other).pvalue if k + other else 1.0
        assert mcnemar(k, other) == pytest.approx(exact, rel=1e-9)
    correct, n_each = np.array([[0, 5, 201, 100]]), np.array([[10, 5, 201, 201]])
    uniform = np.random.Generator(np.random.PCG64(0)).random((500, 1, 4))
    drawn = stats.binom.ppf(uniform, n_each, correct / n_each).sum(2) / n_each.sum()
    assert binomial_means(correct, n_each, draws=500) == pytest.approx(drawn)


def test_the_slow_part_of_scipy_is_not_imported() -> None:
    code = "import sys, scalevqa_eval.scoring.score; print('scipy.stats' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_swaps_of_few_slides_cannot_reach_small_p_values() -> None:
    assert swap_level(5) == 0  # 2 of 2^5 patterns are the least: 0.0625
    assert swap_level(6) == 2 / 2**6
    assert swap_level(7) == 6 / 2**7
    assert swap_level(200) == 0.05
    ones, zeros = [1.0] * 6, [0.0] * 6
    assert permutation_test(ones, zeros, range(6)) == swap_level(6)
    assert detectable_difference(0.01, 4.0, level=swap_level(5)) == math.inf
