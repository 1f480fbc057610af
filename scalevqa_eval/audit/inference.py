"""From credits per question to accuracies, intervals, tests and verdicts.

The leak of a probe is what it has right above the base rate: above guessing, or, where sets of
options recur (yes and no, grades), above always giving the label that is right most often there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalevqa_eval.audit.probes import COMBINED, COMBINED_FILE
from scalevqa_eval.audit.redraws import DRAWS, Floats
from scalevqa_eval.audit.results import LEVEL, ProbeResult, Share, StratumResult, Verdict, decide
from scalevqa_eval.audit.table import Ints
from scalevqa_eval.statistics import (
    cluster_interval,
    detectable_difference,
    difference_error,
    difference_interval,
)

_ABOVE = 1.64
"""Standard errors by which the commonest labels must beat guessing to count as a base rate: the
floor of guessing alone would raise it by luck wherever sets of options recur a few times."""


@dataclass(frozen=True)
class Credits:
    """One probe's credit per question: `real` averaged over fold seeds, `test` as in the null.

    `test` (questions, 1 + redraws) has the real labels in its first column and holds as many
    seeds as the redraws do; without columns it is in no test.
    """

    name: str
    kind: str
    about: str
    file: bool
    real: Floats
    test: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Given:
    """What the questions of a stratum are tested against, in the table's order.

    `majority` is the base rate over all questions, `own_majority` that of each one's dimension.
    """

    chances: Floats
    clusters: Ints
    majority: Credits
    own_majority: Credits

    def part(self, stratum: Stratum) -> Given:
        mask, m = stratum.mask, self.own_majority if stratum.name else self.majority
        part = Credits(m.name, m.kind, m.about, m.file, m.real[mask], m.test[mask])
        return Given(self.chances[mask], self.clusters[mask], part, part)


def share(
    credits: Floats | Sequence[float], chances: Floats, clusters: Sequence[object] | Ints,
    base: Floats | None = None,
) -> Share:  # fmt: skip
    """k of n with an interval, chance, base rate (per question; chance by default) and leak."""
    values = np.clip(np.asarray(credits, dtype=np.float64), 0.0, 1.0)
    reference = chances if base is None else base
    labels = [str(label) for label in clusters]
    interval = cluster_interval(values, labels)
    leak = difference_interval(values, reference, labels)
    return Share(
        correct=float(values.sum()),
        n=len(values),
        ci=(interval.low, interval.high),
        ci_method=interval.method,
        chance=float(chances.mean()) if len(values) else 0.0,
        base_rate=float(reference.mean()) if len(values) else 0.0,
        leak_ci=(leak.low, leak.high),
    )


def clustered_p(credits: Floats, reference: Floats, clusters: Sequence[object] | Ints) -> float:
    """One-sided p-value of credits above the reference, paired and clustered (CR2, t)."""
    values = np.asarray(credits, dtype=np.float64)
    error, freedom = difference_error(values, reference, [str(label) for label in clusters])
    gain = float((values - reference).mean())
    if not np.isfinite(error) or error <= 0:
        return 1.0
    quantile = gain / error
    return float(
        special.ndtr(-quantile) if np.isinf(freedom) else special.stdtr(freedom, -quantile)
    )


def base_rate(given: Given) -> tuple[Floats, Floats]:
    """Credit of the base rate, (questions,) for the real labels and (questions, 1 + redraws).

    The commonest label in each set of options where that is more than luck above guessing, for
    each set of labels by itself; else guessing.
    """

    def above_luck(values: Floats) -> Floats:
        return label_or_guess(values, given.chances, given.clusters)

    real = above_luck(given.majority.real[:, None])[:, 0]
    return real, above_luck(given.majority.test.astype(np.float64))


def label_or_guess(values: Floats, chances: Floats, clusters: Ints) -> Floats:
    """`values` (questions, sets of labels) of the commonest labels where their mean is more than
    luck above guessing, else guessing.
    """
    chance = chances[:, None]
    guessing = np.sqrt((chance * (1 - chance)).sum()) / len(chance)
    excess, error = _leak(values, chance, clusters)
    return np.where(excess > _ABOVE * np.maximum(guessing, error), values, chance)


@dataclass(frozen=True, slots=True)
class FamilyTest:
    """`p_value[s]` of each stratum's family of probes, `p_adjusted[s]` over all strata too.

    `standard` (probes, strata, 1 + redraws) is what was compared.
    """

    p_value: tuple[float, ...]
    p_adjusted: tuple[float, ...]
    standard: Floats

    def of(self, stratum: int) -> tuple[float, float, Floats]:
        return self.p_value[stratum], self.p_adjusted[stratum], self.standard[:, stratum]


def standardise(leak: Floats, error: Floats, guessing: Floats) -> Floats:
    """Leaks (probes, strata, 1 + redraws) in units of what they vary by.

    Centred at the mean over all columns, the observed one among them: under the null hypothesis
    the columns are then exchangeable, and the p-values exact. The unit is the largest of the
    spread over columns, of the column's own error, estimated from its clusters (so that a
    dependence within slides that the redraws do not keep cannot pass for a leak), and of 0.8 of
    guessing's: a probe that tells options apart in a few questions only has long tails and must
    not set the bar for all others.
    """
    spread = np.maximum(leak.std(-1, keepdims=True), 0.8 * guessing[None, :, None])
    return np.asarray((leak - leak.mean(-1, keepdims=True)) / np.maximum(spread, error))


def family_test(standard: Floats) -> FamilyTest:
    """The largest standardised leak against that of redraws; over strata by step-down.

    Westfall and Young, Resampling-Based Multiple Testing (1993), algorithm 4.1: Holm's procedure
    with the joint distribution in place of Bonferroni's bound.
    """
    largest = np.round(standard.max(0), 9)
    adjusted = [1.0] * len(largest)
    least = 0.0
    order = np.argsort(-largest[:, 0], kind="stable")
    for place, stratum in enumerate(order):
        rest = largest[order[place:], 1:].max(0)
        least = max(least, _rank(largest[stratum, 0], rest))
        adjusted[stratum] = least
    return FamilyTest(tuple(_rank(row[0], row[1:]) for row in largest), tuple(adjusted), standard)


def _rank(observed: float, redrawn: Floats) -> float:
    return float((1 + (redrawn >= observed).sum()) / (len(redrawn) + 1))


@dataclass(frozen=True)
class Stratum:
    """Questions that are judged together: all of them (name ""), or a dimension's.

    `rule_p` are p-values (above, below chance) of rules, which learn from no labels. `by_design`:
    counterfactual texts throughout, where any reader of the text is right 1/K of the time; nothing
    that is computed there can be a leak of one question's text.
    """

    name: str
    mask: npt.NDArray[np.bool_]
    rule_p: dict[str, tuple[float, float]]
    by_design: bool = False


def evaluate_strata(
    strata: Sequence[Stratum], credits: Sequence[Credits], given: Given, margin: float
) -> list[StratumResult]:
    parts = [given.part(stratum) for stratum in strata]
    bases = [base_rate(part) for part in parts]
    moments = [
        [_leak(c.test[stratum.mask], base[1], part.clusters) for stratum, part, base in
         zip(strata, parts, bases, strict=True)]
        for c in credits
    ]  # fmt: skip
    leak = np.array([[pair[0] for pair in row] for row in moments])
    error = np.array([[pair[1] for pair in row] for row in moments])
    guessing = np.array([_guessing_error(p.chances) for p in parts])
    family = family_test(standardise(leak, error, guessing))
    return [
        _judged(stratum, credits, part, base[0], margin, family.of(s))
        for s, (stratum, part, base) in enumerate(zip(strata, parts, bases, strict=True))
    ]


def _leak(credits: npt.NDArray[np.floating], base: Floats, clusters: Ints) -> tuple[Floats, Floats]:
    """Mean over the base rate and its cluster-robust error, for each set of labels."""
    order = np.argsort(clusters, kind="stable")
    first = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    sizes = np.diff(np.append(first, len(order)))[:, None]
    sums = np.add.reduceat((credits - base)[order], first, axis=0)
    mean = sums.sum(0) / len(order)
    residual = sums - mean * sizes
    scale = len(first) / max(1, len(first) - 1)
    return mean, np.sqrt(scale * (residual**2).sum(0)) / len(order)


def _judged(
    stratum: Stratum, credits: Sequence[Credits], given: Given, base: Floats, margin: float,
    family: tuple[float, float, Floats],
) -> StratumResult:  # fmt: skip
    labels = [str(label) for label in given.clusters]
    mask = stratum.mask
    p_value, p_adjusted, standard = family
    least = 1 / standard.shape[1]
    probes = []
    for c, z in zip(credits, standard, strict=True):
        redrawn = c.test[mask][:, 1:].mean(0, dtype=np.float64)
        p, p_least = _rank(round(z[0], 9), np.round(z[1:], 9)), least
        if c.name in stratum.rule_p:
            p, p_least = stratum.rule_p[c.name][0], 1 / (DRAWS + 1)
        probes.append(
            ProbeResult(
                c.name, c.kind, c.about, "file" if c.file else "question",
                share(c.real[mask], given.chances, labels, base), p, p_least,
                float(redrawn.mean()) if len(redrawn) else None,
                float(redrawn.std(ddof=1)) if len(redrawn) > 1 else None,
            )
        )  # fmt: skip
    values = {c.name: np.clip(c.real[mask], 0, 1) for c in credits}
    least_error = _least_error(given.chances)
    largest = max(_limit(value, base, labels, least_error) for value in values.values())
    best = choose(values, labels)
    shown = p_adjusted <= LEVEL and not stratum.by_design
    imbalance = float((base - given.chances).mean())
    verdict: Verdict = "clean" if stratum.by_design else decide(shown, largest, imbalance, margin)
    error, freedom = difference_error(values[best], base, labels)
    seen = detectable_difference(max(error, least_error), freedom, level=2 * LEVEL)
    return StratumResult(
        name=stratum.name,
        clusters=len(set(labels)),
        p_value=p_value,
        p_adjusted=p_adjusted,
        p_least=least,
        shown_by=_evidence(credits, standard, best) if shown else None,
        largest_leak=largest,
        detectable_leak=seen if seen <= 1 - base.mean() else None,
        verdict=verdict,
        by_design=stratum.by_design,
        best_name=best,
        majority=share(base, given.chances, labels),
        probes=tuple(probes),
    )


def _least_error(chances: Floats) -> float:
    """A probe that only repeats the base rate has no error of its own: part of guessing's."""
    return 0.8 * _guessing_error(chances)


def _guessing_error(chances: Floats) -> float:
    """Standard error of the accuracy of a guesser."""
    return float(np.sqrt((chances * (1 - chances)).sum())) / len(chances)


def _limit(value: Floats, base: Floats, labels: Sequence[str], least_error: float) -> float:
    """The largest leak (one-sided 95 %) that a probe's answers leave possible.

    A probe that is below the base rate has only learned nothing, or its labels' dependence within
    slides: its limit is counted from 0, or few slides would certify what they cannot exclude.
    """
    leak = float((value - base).mean())
    reach = difference_interval(value, base, labels, 0.90).high - leak
    return min(max(leak, 0.0) + max(reach, 1.645 * least_error), float(1 - base.mean()))


def _evidence(credits: Sequence[Credits], standard: Floats, best: str) -> str:
    """The probe that shows a leak: the standing one if it does by itself, else the strongest.

    "By itself": against the largest statistic of all probes on each redraw.
    """
    largest = np.round(standard[:, 1:].max(0), 9)
    own = next(z[0] for c, z in zip(credits, standard, strict=True) if c.name == best)
    if _rank(round(own, 9), largest) <= LEVEL:
        return best
    return credits[int(standard[:, 0].argmax())].name


def choose(credits: dict[str, Floats], clusters: Sequence[object]) -> str:
    """The probe that stands for all: all of them combined, unless another one is clearly better.

    The highest of many accuracies is too high by the luck of the choice: on clean data by about
    two standard errors. So the combination is set beforehand, and gives way only to a probe whose
    lead, paired by question and clustered, is significant after Bonferroni's correction. Without
    it (nothing could be trained) it is the highest.
    """
    ranked = sorted(credits, key=lambda name: (-round(float(credits[name].mean()), 9), name))
    standard = next((name for name in (COMBINED_FILE, COMBINED) if name in credits), None)
    if standard is None:
        return ranked[0]
    level = 1 - 2 * LEVEL / max(1, len(credits) - 1)
    labels = [str(label) for label in clusters]
    for name in ranked[: ranked.index(standard)]:
        if difference_interval(credits[name], credits[standard], labels, level).low > 0:
            return name
    return standard
