"""Probes without training: one look at the options. Each gives every option a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scalevqa_eval.audit.evidence import Evidence
from scalevqa_eval.audit.features.structure import Floats


@dataclass(frozen=True)
class Rule:
    """Answers with the option of the highest score; equal scores share the credit.

    `score` maps the evidence to one number per row. `about` says what is done, for people.
    """

    name: str
    about: str
    score: Callable[[Evidence], Floats]
    siblings: bool = False

    def answer(self, evidence: Evidence) -> Floats:
        return self.score(evidence)


def _column(name: str, sign: float = 1.0) -> Callable[[Evidence], Floats]:
    def score(evidence: Evidence) -> Floats:
        return sign * evidence.structure.column(name)

    return score


def _support(evidence: Evidence) -> Floats:
    return evidence.support


RULES: tuple[Rule, ...] = (
    Rule("medoid", "the option most similar to the others (words)", _column("word mean")),
    Rule("medoid-letters", "the option most similar to the others (runs of four characters)",
         _column("letter mean")),
    Rule("outlier", "the option least similar to the others (words)", _column("word mean", -1)),
    Rule("longest", "the option of most words", _column("length")),
    Rule("shortest", "the option of fewest words", _column("length", -1)),
    Rule("question-overlap", "the option with most words of the question",
         _column("question overlap")),
    Rule("most-negations", "the option with most negations", _column("negation rank", -1)),
    Rule("fewest-negations", "the option with fewest negations", _column("negation rank")),
    Rule("most-hedges", "the option with most hedging words", _column("hedge rank", -1)),
    Rule("fewest-absolutes", "the option with fewest absolute words (all, never, …)",
         _column("absolute rank")),
    Rule("commonest-words", "the option whose own words are most common in the benchmark",
         _column("frequency of words mean")),
    Rule("rarest-words", "the option whose own words are rarest in the benchmark",
         _column("frequency of words mean", -1)),
    Rule("sibling-support", "the option whose own words occur most in the other questions on the "
         "same images", _support, siblings=True),
)  # fmt: skip
