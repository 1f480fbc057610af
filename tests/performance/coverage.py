"""Do the 95 % intervals cover, and are the p-values uniform? Prints the tables of the docs.

    python tests/performance/coverage.py [--draws 10000] [--seed 0]

Beta-binomial answers: each cluster has its own accuracy, drawn from a Beta distribution with the
given mean and intra-cluster correlation. "unequal" cluster sizes are drawn once from a Gamma
distribution (shape 2). Exits 1 if a cell is outside 93-97 % or a KS p-value is not above 0.01.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from scipy import stats

from scalevqa_eval.statistics import (
    Clusters,
    bootstrap_means,
    detectable_difference,
    difference_error,
    macro_average,
    mcnemar,
    permutation_test,
    proportion_limits,
    sign_flip,
    swap_level,
)
from scalevqa_eval.statistics.intervals import Array
from scalevqa_eval.statistics.paired import difference_limits

CLUSTERS = {10: 27, 37: 27, 150: 7}  # clusters: mean questions in one
ACCURACIES = (0.25, 0.5, 0.9)
CORRELATIONS = (0.0, 0.1, 0.3)


def cluster_sizes(count: int, mean: int, equal: bool) -> Array:
    if equal:
        return np.full(count, float(mean))
    drawn = np.random.default_rng(count).gamma(2, mean / 2, count)
    return np.maximum(1.0, np.rint(drawn))


def draw_sums(
    random: np.random.Generator, sizes: Array, accuracy: float, correlation: float, draws: int
) -> Array:
    shape = (draws, len(sizes))
    if correlation == 0:
        own = np.full(shape, accuracy)
    else:
        weight = (1 - correlation) / correlation
        own = random.beta(accuracy * weight, (1 - accuracy) * weight, shape)
    return random.binomial(sizes.astype(int), own).astype(np.float64)


def coverage(
    random: np.random.Generator, sizes: Array, accuracy: float, correlation: float, draws: int
) -> tuple[float, float, float, float]:
    """Coverage of ours, its mean width, coverage of Wilson and of the cluster bootstrap."""
    sums = draw_sums(random, sizes, accuracy, correlation, draws)
    low, high, _ = proportion_limits(Clusters(sums, sums, sizes))
    ours = np.mean((low <= accuracy) & (accuracy <= high))
    width = float(np.mean(high - low))
    n = float(sizes.sum())
    p, z2 = sums.sum(1) / n, 1.959964**2 / n
    middle, half = (p + z2 / 2) / (1 + z2), np.sqrt(z2 * p * (1 - p) + z2**2 / 4) / (1 + z2)
    wilson = np.mean((middle - half <= accuracy) & (accuracy <= middle + half))
    few = sums[:1000]
    means = bootstrap_means(few, sizes, draws=1000, seed=1)
    b_low, b_high = np.quantile(means, [0.025, 0.975], axis=0)
    boot = np.mean((b_low <= accuracy) & (accuracy <= b_high))
    return float(ours), width, float(wilson), float(boot)


def null_p_values(random: np.random.Generator, sizes: Array, draws: int) -> dict[str, float]:
    """KS p-values for uniformity of the p-values of paired tests when nothing differs.

    Two models of equal accuracy (0.6) share each slide's difficulty (correlation 0.3). The
    permutation p-value takes few distinct values with few clusters, and McNemar's is discrete by
    nature: both are randomised between P(more extreme) and P(as extreme) before the KS test.
    """
    weight = (1 - 0.3) / 0.3
    own = random.beta(0.6 * weight, 0.4 * weight, (draws, len(sizes)))
    first = random.binomial(sizes.astype(int), own).astype(np.float64)
    second = random.binomial(sizes.astype(int), own).astype(np.float64)
    difference = first - second
    # Noise far below one question breaks ties and keeps the symmetry that the test rests on.
    difference += random.normal(0, 1e-3, difference.shape)
    blocks = np.array_split(difference, max(1, draws // 50))
    p_permutation = np.concatenate(
        [sign_flip(block, draws=999, seed=seed) for seed, block in enumerate(blocks)]
    )
    b = random.binomial(200, 0.3, draws)
    gained = random.binomial(b, 0.5)
    exact = np.array([mcnemar(int(k), int(m - k)) for k, m in zip(gained, b, strict=True)])
    as_extreme = np.array(
        [_mass_as_extreme(int(k), int(m)) for k, m in zip(gained, b, strict=True)]
    )
    p_mcnemar = exact - random.random(draws) * as_extreme
    return {
        "permutation": float(stats.kstest(p_permutation, "uniform").pvalue),
        "McNemar": float(stats.kstest(p_mcnemar, "uniform").pvalue),
    }


def difference_coverage(
    random: np.random.Generator, sizes: Array, first: float, second: float, icc: float, draws: int
) -> tuple[float, float]:
    """Coverage and mean width of the paired difference's interval.

    The two models' accuracies on a slide have the same rank among slides (a slide that is hard
    for one is hard for the other); given the slide, replies are independent.
    """
    shape = (draws, len(sizes))
    if icc == 0:
        own_first, own_second = np.full(shape, first), np.full(shape, second)
    else:
        weight, place = (1 - icc) / icc, random.random(shape)
        own_first = stats.beta.ppf(place, first * weight, (1 - first) * weight)
        own_second = stats.beta.ppf(place, second * weight, (1 - second) * weight)
    questions = sizes.astype(int)
    won = own_first * (1 - own_second)
    lost = (1 - own_first) * own_second
    gained = random.binomial(questions, won)
    rest = np.clip(lost / (1 - won), 0, 1)
    gave = random.binomial(questions - gained, rest)
    sums = (gained - gave).astype(np.float64)
    low, high = difference_limits(Clusters(sums, (gained + gave).astype(np.float64), sizes))
    true = first - second
    return float(np.mean((low <= true) & (true <= high))), float(np.mean(high - low))


def macro_coverage(
    random: np.random.Generator, sizes: Array, icc: float, draws: int
) -> tuple[float, float]:
    """Coverage and mean width of the macro average over five strata of unequal accuracy.

    A slide shifts all its strata: its shift has the distribution that a Beta accuracy of mean
    1/2 and this correlation has about its mean, scaled to what the stratum leaves room for.
    """
    base = np.array([0.4, 0.5, 0.6, 0.75, 0.9])
    clusters = np.repeat(np.arange(len(sizes)), sizes.astype(int))
    strata = random.integers(0, 5, len(clusters))
    room = np.minimum(base, 1 - base)[strata]
    covered, width = 0, 0.0
    for _ in range(draws):
        shift = np.zeros(len(sizes))
        if icc:
            weight = 0.5 * (1 - icc) / icc
            shift = random.beta(weight, weight, len(sizes)) - 0.5
        right = random.random(len(clusters)) < base[strata] + 2 * room * shift[clusters]
        _, interval = macro_average(right.astype(float), clusters.tolist(), strata.tolist())
        covered += interval.low <= base.mean() <= interval.high
        width += interval.width
    return covered / draws, width / draws


def power_of_swapping(count: int, draws: int = 800) -> tuple[float, float]:
    """The median difference that `compare` says can be seen, and how often swapping sees it.

    Slides of 20 questions, unequally hard; the second run is the first with so much less.
    """
    random = np.random.default_rng(3)
    slides = np.repeat(np.arange(count), 20).tolist()

    def answers(difference: float) -> tuple[Array, Array]:
        base = random.beta(2, 2, count) * 0.6 + 0.1
        better = np.minimum(base + difference, 1.0)
        first = (random.random((count, 20)) < better[:, None]).astype(np.float64)
        second = (random.random((count, 20)) < base[:, None]).astype(np.float64)
        return first.ravel(), second.ravel()

    level = swap_level(count)
    named = [
        detectable_difference(*difference_error(*answers(0.1), slides), level=level)
        for _ in range(300)
    ]
    difference = float(np.median(named))
    found = [permutation_test(*answers(difference), slides, draws=999) for _ in range(draws)]
    return difference, float(np.mean(np.array(found) <= 0.05))


def _mass_as_extreme(k: int, m: int) -> float:
    if m == 0:
        return 1.0
    mass = stats.binom.pmf(k, m, 0.5)
    return float(mass if 2 * k == m else 2 * mass)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    started = time.perf_counter()
    bad = 0
    print("| sizes | clusters | accuracy | ICC | covered | mean width | Wilson | bootstrap |")
    print("|---|---|---|---|---|---|---|---|")
    for equal in (True, False):
        for count, mean in CLUSTERS.items():
            sizes = cluster_sizes(count, mean, equal)
            for accuracy in ACCURACIES:
                for correlation in CORRELATIONS:
                    ours, width, wilson, boot = coverage(
                        random, sizes, accuracy, correlation, arguments.draws
                    )
                    outside = not 0.93 <= ours <= 0.97
                    bad += outside
                    print(
                        f"| {'equal' if equal else 'unequal'} | {count} | {accuracy} | "
                        f"{correlation} | {100 * ours:.1f}{' OUTSIDE' if outside else ''} | "
                        f"{width:.3f} | {100 * wilson:.1f} | {100 * boot:.1f} |",
                        flush=True,
                    )
    print("\n| clusters | accuracies | ICC | difference covered | mean width |")
    print("|---|---|---|---|---|")
    for count, mean in CLUSTERS.items():
        sizes = cluster_sizes(count, mean, False)
        for pair in ((0.6, 0.6), (0.5, 0.6), (0.85, 0.9)):
            for correlation in CORRELATIONS:
                share, width = difference_coverage(
                    random, sizes, *pair, correlation, arguments.draws
                )
                print(
                    f"| {count} | {pair[0]}, {pair[1]} | {correlation} | {100 * share:.1f} | "
                    f"{width:.3f} |"
                )
    print("\n| clusters | test | KS p |\n|---|---|---|")
    for count, mean in CLUSTERS.items():
        for name, p in null_p_values(random, cluster_sizes(count, mean, False), 2000).items():
            bad += p <= 0.01
            print(f"| {count} | {name} | {p:.3f}{' NOT UNIFORM' if p <= 0.01 else ''} |")
    print("\n| clusters | accuracy | ICC | covered: slides as one answer each |\n|---|---|---|---|")
    for count in (1, 2, 3, 4):
        for accuracy in ACCURACIES:
            for correlation in CORRELATIONS:
                sums = draw_sums(random, np.full(count, 27.0), accuracy, correlation, 4000)
                low, high, _ = proportion_limits(Clusters(sums, sums, np.full(count, 27.0)))
                share = float(np.mean((low <= accuracy) & (accuracy <= high)))
                print(f"| {count} | {accuracy} | {correlation} | {100 * share:.1f} |")
    print("\n| sizes | clusters | accuracy | ICC | covered: five to eight slides |")
    print("|---|---|---|---|---|")
    few = {"equal": np.ones(8), "unequal": np.array([0.1, 0.2, 0.4, 1.0, 2.0, 2.3, 0.5, 1.5])}
    for name, weights in few.items():
        for count in (5, 6, 8):
            sizes = np.maximum(1.0, np.rint(27 * weights[:count] / weights[:count].mean()))
            for accuracy in (*ACCURACIES, 0.95):
                for correlation in CORRELATIONS:
                    sums = draw_sums(random, sizes, accuracy, correlation, 4000)
                    low, high, _ = proportion_limits(Clusters(sums, sums, sizes))
                    share = float(np.mean((low <= accuracy) & (accuracy <= high)))
                    print(f"| {name} | {count} | {accuracy} | {correlation} | {100 * share:.1f} |")
    print("\n| clusters | ICC | macro average covered | mean width |\n|---|---|---|---|")
    for count, mean in CLUSTERS.items():
        for correlation in CORRELATIONS:
            sizes = cluster_sizes(count, mean, False)
            share, width = macro_coverage(random, sizes, correlation, 2000)
            print(f"| {count} | {correlation} | {100 * share:.1f} | {width:.3f} |", flush=True)
    print("\n| clusters | difference named | found by swapping |\n|---|---|---|")
    for count in (6, 8, 10, 20, 37):
        difference, power = power_of_swapping(count)
        print(f"| {count} | {difference:.3f} | {100 * power:.0f} % |", flush=True)
    print(f"\n{bad} cells outside; {time.perf_counter() - started:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
