"""What probes reach, k of n with interval and p, and what the figures allow to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scalevqa_eval.pages import fraction

Verdict = Literal["leaky", "undecided", "imbalanced", "measurable", "clean"]
WORDS: Mapping[Verdict, str] = {
    "leaky": "leaky",
    "undecided": "undecided",
    "imbalanced": "imbalanced labels",
    "measurable": "measurable, below the margin",
    "clean": "no learnable shortcut found",
}
VERDICTS: tuple[Verdict, ...] = tuple(WORDS)
"""Worst first: the whole is as bad as its worst part, and never clean beside an undecided one."""

LEVEL = 0.025
"""One-sided level of the family-wise test of text probes (5 % two-sided)."""
SIDE_LEVEL = 0.005
"""Level of each single test beside the text probes: positions, transfer, blind models."""
MARGIN = 0.05
"""Default for what is small enough: a leak that is shown to be below this is not called leaky."""


def decide(shown: bool, largest_leak: float, imbalance: float, margin: float) -> Verdict:
    """From whether a leak is shown and how large one remains possible.

    `imbalance` is how far the commonest label of a set of options is above guessing. "Not shown"
    alone is no pass: few questions show nothing either way. `largest_leak` is the highest upper
    limit of all probes, an intersection-union test, which needs no correction for the choice.
    """
    if largest_leak >= margin:
        return "leaky" if shown else "undecided"
    if imbalance >= margin:
        return "imbalanced"
    return "measurable" if shown else "clean"


def overall(parts: Iterable[Verdict]) -> Verdict:
    """The worst of them."""
    return min(parts, key=VERDICTS.index)


def scope(blind_models: int) -> str:
    """What was looked for: shortcuts that can be learned, and what language models know."""
    if not blind_models:
        return "learnable shortcuts only; knowledge not tested"
    return (
        f"learnable shortcuts, and what {blind_models} blind model"
        f"{'s' if blind_models > 1 else ''} know{'' if blind_models > 1 else 's'}"
    )


_DIGITS = 6  # what single-precision fits reproduce to the byte


@dataclass(frozen=True, slots=True)
class Share:
    """k of n with a 95 % interval clustered by slide. `correct` counts ties as fractions.

    `chance` is the mean of 1/K, `base_rate` what the commonest labels get (chance where sets of
    options do not recur). The leak is accuracy less base rate; its interval is paired by question.
    """

    correct: float
    n: int
    ci: tuple[float, float]
    ci_method: str
    chance: float
    base_rate: float
    leak_ci: tuple[float, float]

    @property
    def accuracy(self) -> float:
        return self.correct / self.n if self.n else 0.0

    @property
    def leak(self) -> float:
        return self.accuracy - self.base_rate

    def to_json(self) -> dict[str, Any]:
        room = 1 - self.base_rate
        return {
            "correct": rounded(self.correct),
            "n": self.n,
            "accuracy": rounded(self.accuracy),
            "ci": [rounded(x) for x in self.ci],
            "ci_method": self.ci_method,
            "chance": rounded(self.chance),
            "base_rate": rounded(self.base_rate),
            "leak": rounded(self.leak),
            "leak_ci": [rounded(x) for x in self.leak_ci],
            "chance_corrected": rounded(self.leak / room) if room > 0 else None,
        }

    def __str__(self) -> str:
        return in_words(self.to_json())


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe on one stratum. `scope`: "question" (one at a time) or "file".

    `p_value` is the probe's own, by redraws; `p_least` the smallest that so many redraws can
    show. `null_mean` and `null_sd` are the accuracy on redrawn labels (None without redraws).
    """

    name: str
    kind: str
    about: str
    scope: str
    share: Share
    p_value: float
    p_least: float
    null_mean: float | None
    null_sd: float | None

    @property
    def accuracy(self) -> float:
        return self.share.accuracy

    @property
    def title(self) -> str:
        """The name for people."""
        return "all probes combined" if self.kind == "combined" else f"the probe {self.name}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "about": self.about,
            "scope": self.scope,
            **self.share.to_json(),
            "p_value": p_rounded(self.p_value),
            "p_least": p_rounded(self.p_least),
            "null_mean": rounded(self.null_mean),
            "null_sd": rounded(self.null_sd),
        }


@dataclass(frozen=True, slots=True)
class StratumResult:
    """All probes on all questions (name "") or on one dimension.

    `p_value` is for the family of probes, `p_adjusted` also for all strata; `shown_by` is the
    probe that shows a leak, if one is shown. `largest_leak` is the highest one-sided
    95 % upper limit of any probe's leak; `detectable_leak` what the standing probe shows with
    80 % power, knowing slides (None: nothing). `best_name` stands for the stratum, see
    `inference.choose`. `by_design`: counterfactual texts throughout.
    """

    name: str
    clusters: int
    p_value: float
    p_adjusted: float
    p_least: float
    shown_by: str | None
    largest_leak: float
    detectable_leak: float | None
    verdict: Verdict
    by_design: bool
    best_name: str
    majority: Share
    probes: tuple[ProbeResult, ...]
    by_dimension: Mapping[str, StratumResult] = field(default_factory=dict, compare=False)

    @property
    def best(self) -> ProbeResult:
        return self.probe(self.best_name)

    @property
    def n(self) -> int:
        return self.best.share.n

    @property
    def chance(self) -> float:
        return self.best.share.chance

    @property
    def accuracy(self) -> float:
        """Of the probe that stands for all, as `correct` and `ci` are."""
        return self.best.accuracy

    @property
    def correct(self) -> float:
        return self.best.share.correct

    @property
    def ci(self) -> tuple[float, float]:
        return self.best.share.ci

    @property
    def null_mean(self) -> float | None:
        return self.best.null_mean

    @property
    def null_sd(self) -> float | None:
        return self.best.null_sd

    def probe(self, name: str) -> ProbeResult:
        """One of `probes`. Raises KeyError if there is none of that name."""
        for probe in self.probes:
            if probe.name == name:
                return probe
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        return {
            "probe": self.best_name,
            "best_probe": self.best_name,
            **self.best.share.to_json(),
            "clusters": self.clusters,
            "null_mean": rounded(self.null_mean),
            "null_sd": rounded(self.null_sd),
            "p_value": p_rounded(self.p_value),
            "p_adjusted": p_rounded(self.p_adjusted),
            "p_least": p_rounded(self.p_least),
            "shown_by": self.shown_by,
            "largest_leak": rounded(self.largest_leak),
            "detectable_leak": rounded(self.detectable_leak),
            "verdict": self.verdict,
            "by_design": self.by_design,
            "majority": self.majority.to_json(),
            "probes": [probe.to_json() for probe in self.probes],
        }


def p_text(p: float, least: float) -> str:
    """A p-value in words: redraws that never reached the observed figure show a limit only."""
    if p <= least * (1 + 1e-9):
        return f"≤ {_plain(least)}, the least that {round(1 / least) - 1:,} redraws can show"
    return f"{p:.3f}" if p >= 0.0005 else _plain(p)


def _plain(p: float) -> str:
    return f"{p:.3f}" if p >= 0.0095 else f"{p:.1g}" if p < 0.0001 else f"{p:.4f}"


def p_rounded(p: float) -> float:
    """Six significant digits; never 0, which no p-value is (below 1e-300: 1e-300)."""
    return float(f"{max(p, 1e-300):.6g}")


def in_words(share: Mapping[str, Any]) -> str:
    """`349/450 = 77.6 % (95 % 72.1 to 82.0)`, from a share's JSON."""
    low, high = share["ci"]
    return (
        f"{fraction(round(share['correct'], 1), share['n'])} = {100 * share['accuracy']:.1f} % "
        f"(95 % {100 * low:.1f} to {100 * high:.1f})"
    )


def rounded(value: float | None) -> float | None:
    """Six digits; None for what is infinite or unknown."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return round(float(value), _DIGITS) + 0.0
