"""The typed results of an audit; `report` puts them together and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalevqa_eval.audit.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe on one stratum. `correct` counts ties as fractions.

    `p_value` is the probe's own: exact (Poisson-)binomial for a rule, by redraws for a trained
    probe. `null_mean` and `null_sd` are the accuracy on redrawn labels (NaN-free: None without
    redraws).
    """

    name: str
    kind: str
    about: str
    n: int
    correct: float
    accuracy: float
    ci: tuple[float, float]
    ci_method: str
    upper: float
    chance: float
    p_value: float
    test: str
    null_mean: float | None
    null_sd: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "about": self.about,
            "n": self.n,
            "correct": rounded(self.correct),
            "accuracy": rounded(self.accuracy),
            "ci": [rounded(x) for x in self.ci],
            "ci_method": self.ci_method,
            "upper_bound": rounded(self.upper),
            "chance": rounded(self.chance),
            "p_value": p_rounded(self.p_value),
            "test": self.test,
            "null_mean": rounded(self.null_mean),
            "null_sd": rounded(self.null_sd),
        }


@dataclass(frozen=True, slots=True)
class StratumResult:
    """All probes on all questions (name "") or on one dimension.

    `p_value` is for the family of probes, `p_adjusted` also for all strata. `upper` is the
    largest one-sided 95 % upper limit of any probe; `detectable` the smallest accuracy that a
    probe on so many questions shows with 80 % power (None: too few for any). `best_name` is the
    probe that stands for the stratum, see `strata.choose`. `by_dimension` is filled for all
    questions (`AuditReport.text_only`).
    """

    name: str
    n: int
    clusters: int
    chance: float
    p_value: float
    p_adjusted: float
    upper: float
    detectable: float | None
    verdict: Verdict
    best_name: str
    probes: tuple[ProbeResult, ...]
    by_dimension: Mapping[str, StratumResult] = field(default_factory=dict, compare=False)

    @property
    def best(self) -> ProbeResult:
        return self.probe(self.best_name)

    @property
    def best_probe(self) -> str:
        return self.best_name

    @property
    def accuracy(self) -> float:
        """Of the best probe, as `correct`, `ci`, `null_mean` and `null_sd` are."""
        return self.best.accuracy

    @property
    def correct(self) -> float:
        return self.best.correct

    @property
    def ci(self) -> tuple[float, float]:
        return self.best.ci

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
        best = self.best
        return {
            "best_probe": best.name,
            "accuracy": rounded(best.accuracy),
            "correct": rounded(best.correct),
            "ci": [rounded(x) for x in best.ci],
            "n": self.n,
            "clusters": self.clusters,
            "chance": rounded(self.chance),
            "chance_corrected": rounded((best.accuracy - self.chance) / (1 - self.chance)),
            "null_mean": rounded(best.null_mean),
            "null_sd": rounded(best.null_sd),
            "p_value": p_rounded(self.p_value),
            "p_adjusted": p_rounded(self.p_adjusted),
            "upper_bound": rounded(self.upper),
            "detectable_accuracy": rounded(self.detectable),
            "verdict": self.verdict,
        }


def p_rounded(p: float) -> float:
    """Six significant digits; never 0, which no p-value is (below 1e-300: 1e-300)."""
    return float(f"{max(p, 1e-300):.6g}")


def rounded(value: float | None) -> float | None:
    """Six digits: what single-precision fits reproduce to the byte."""
    return None if value is None else round(float(value), 6) + 0.0
