"""Language models that answer without the images, asked through the ordinary runner.

Two modes: told to guess from the text, and asked as if the images were there (which fewer models
see through). A model far below chance is as telling as one above it. Elimination asks for an
option that is surely wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.inference import clustered_p, share
from scalevqa_eval.audit.models import PROMPTS, Round, applicable
from scalevqa_eval.audit.reading import select
from scalevqa_eval.audit.redraws import DRAWS, Floats, given_answers, relabelled_together
from scalevqa_eval.audit.report import AuditReport
from scalevqa_eval.audit.results import SIDE_LEVEL, WORDS, Share, decide, in_words, rounded
from scalevqa_eval.audit.table import gold_offsets, make_table, numbered
from scalevqa_eval.errors import ModelError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model
from scalevqa_eval.run import Progress, evaluate
from scalevqa_eval.types import Benchmark, Question, Record

MODES = {"guess": "told to guess", "as-if-shown": "as if images were shown"}
STYLES = {
    "guess": str(PROMPTS / "guess.txt"),
    "as-if-shown": "scalereasoner",
    "eliminate": str(PROMPTS / "eliminate.txt"),
}
ELIMINATE = "eliminate"


Pairs = Sequence[tuple[Question, Record]]


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers in one mode under one condition."""

    model: str
    mode: str
    condition: str
    pairs: Pairs
    asked: int
    run: str

    @property
    def name(self) -> str:
        return f"{self.model} ({MODES[self.mode]}, {self.condition})"


@dataclass(frozen=True)
class Blind:
    """The section `blind` of audit.json, findings, and lines for the verdict's reasons."""

    section: dict[str, Any]
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """What the audit knows of each question id: its cluster, and the combined probe's credit if
    there was an audit of the text. `base_rate` is what the commonest labels get.
    """

    clusters: Mapping[str, str]
    credit: Mapping[str, float] = field(default_factory=dict)
    base_rate: float = 0.0

    @classmethod
    def of(cls, report: AuditReport, questions: Sequence[Question]) -> Known:
        return cls(
            dict(zip((q.id for q in questions), select(questions).clusters.labels, strict=True)),
            {leak.id: leak.credit for leak in report.questions},
            report.strata[0].majority.accuracy,
        )


def plan(benchmark: Benchmark, takes_images: bool) -> list[Round]:
    """What each adversary is asked. Images without the question need images that are there."""
    plans = [
        Round(mode, STYLES[mode], condition)
        for mode in MODES
        for condition in ("no-images", "options-only")
    ]
    if takes_images and _images_there(benchmark):
        plans.append(Round("as-if-shown", STYLES["as-if-shown"], "no-question"))
    plans.append(Round(ELIMINATE, STYLES[ELIMINATE], "no-images"))
    return [one for one in plans if applicable(one.condition, benchmark, 0)]


def _images_there(benchmark: Benchmark) -> bool:
    shown = [question for question in benchmark.questions if question.views]
    return bool(shown) and not ImageStore(benchmark.image_root).check(shown)


def run_blind(
    models: Sequence[Model],
    benchmark: Benchmark,
    known: Known,
    *,
    output: Path,
    seed: int = 0,
    max_concurrency: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Blind:
    """Ask all adversaries; runs lie under `output` and are continued by a repeated call.

    `benchmark` holds the audited questions, `known` what the audit knows of each id. Raises
    ModelError if a model answers nothing at all.
    """
    questions = {question.id: question for question in benchmark.questions}
    found: list[Answers] = []
    for model in models:
        takes_images = model.capabilities.max_images != 0
        for one in plan(benchmark, takes_images):
            evaluation = evaluate(
                model, benchmark, [one.condition], output=output, prompt=one.style, seed=seed,
                max_concurrency=max_concurrency, progress=on_progress or False, warn=warn,
            )  # fmt: skip
            run = evaluation.runs[one.condition]
            pairs = [(questions[r.question_id], r) for r in run.records if r.outcome.scored]
            if not pairs:
                raise ModelError(
                    f"{model.name} answered no question ({evaluation.stopped or 'see its run'}): "
                    f"{run.path}"
                )
            found.append(
                Answers(model.name, one.mode, one.condition, pairs, len(run.questions),
                        str(run.path))
            )  # fmt: skip
    return summarise(found, known)


def summarise(found: Sequence[Answers], known: Known) -> Blind:
    """Accuracy against guessing, agreement and elimination, from answers alone."""
    guesses = [one for one in found if one.mode != ELIMINATE]
    results = [_result(one, known) for one in guesses]
    elimination = [_elimination(one, known) for one in found if one.mode == ELIMINATE]
    same = [one for one in guesses if one.condition == "no-images"]
    right, none = _unanimous(same)
    section = {
        "results": results,
        "elimination": elimination,
        "agreement": [_agreement(a, b) for a, b in combinations(same, 2)],
        "all_right": len(right),
        "none_right": len(none),
        "all_right_ids": right,
        "level": SIDE_LEVEL,
    }
    findings = [
        Finding("blind-below-chance", "warning",
                f"{one.name} is right in {_Arrays(one.pairs, known).share} without images, below "
                f"chance ({100 * row['chance']:.1f} %): avoiding its picks is a shortcut. Were "
                "questions that such a model answers removed?",
                {"model": one.model, "accuracy": row["accuracy"], "p_value": row["p_below"]})
        for one, row in zip(guesses, results, strict=True) if row["call"] == "below"
    ]  # fmt: skip
    findings += [
        Finding("blind-silent", "warning",
                f"{one.name} gave a letter in {row['answered']:,} of {row['n']:,} questions: "
                "what it knows was not tested.", {"model": one.model, "answered": row["answered"]})
        for one, row in zip(guesses, results, strict=True)
        if 2 * row["answered"] < row["n"] and row["call"] != "above"
    ]  # fmt: skip
    missing = sum(one.asked - len(one.pairs) for one in found)
    if missing:
        findings.append(
            Finding("blind-incomplete", "warning",
                    f"{missing:,} prompts to blind models got no reply and are not counted; the "
                    "same command asks them again.", {"prompts": missing})
        )  # fmt: skip
    reasons = [
        _reason(row) for row in results
        if row["call"] == "above" and row["condition"] != "no-question"
    ]  # fmt: skip
    return Blind(section, tuple(findings), tuple(reasons))


def _reason(row: Mapping[str, Any]) -> str:
    text = (
        f"{row['model']} ({row['mode']}, {row['condition']}) answers {in_words(row)} without "
        f"images; chance is {100 * row['chance']:.1f} %"
    )
    beyond = (row["against_probe"] or {}).get("beyond_probe")
    if beyond is not None:
        text += f"; where the trained probes are wrong, {in_words(beyond)}: "
        known = beyond["p_value"] <= SIDE_LEVEL
        text += "knowledge, or a shortcut that they do not have" if known else (
            "not above chance, so that no knowledge is shown"
        )  # fmt: skip
    return text


def with_blind(report: AuditReport, blind: Blind) -> AuditReport:
    """Add blind models and what they say of knowledge: leaky if one of them shows some."""
    added = report.with_section("blind", blind.section, blind.findings)
    results = [row for row in tested(blind.section) if row["condition"] != "no-question"]
    if not results:
        return added
    learnable, margin = report.parts["text"], report.settings["margin"]
    found = [_knows(row, learnable == "leaky") for row in results]
    largest = max(limit for _, limit in found)
    below = any(row["call"] == "below" for row in results)
    part = decide(any(shown for shown, _ in found), largest, 0.0, margin)
    lines = list(blind.reasons)
    if below and part in ("clean", "measurable"):
        part = "undecided"
        lines.append("a blind model is below chance: who avoids its picks is above it")
    elif part == "undecided":
        lines.append(
            f"no knowledge was shown, but a blind model could have up to {100 * largest:.1f} "
            f"points more than chance (margin {100 * margin:g})"
        )
    elif part == "leaky" and learnable != "leaky":
        lines.append(f"apart from that, what can be learned from the file: {WORDS[learnable]}")
    return replace(
        added,
        parts={**added.parts, "knowledge": part},
        reasons=(*lines, *report.reasons),
    )


def tested(section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results of models that gave a letter to half of the questions or more, or are above
    chance: who is silent shows neither what it knows nor what it does not.
    """
    return [
        row for row in section["results"]
        if 2 * row["answered"] >= row["n"] or row["call"] == "above"
    ]  # fmt: skip


def _knows(row: Mapping[str, Any], learnable: bool) -> tuple[bool, float]:
    """Whether a model shows knowledge, and how far above chance it may be.

    Where the text has a shortcut that can be learned, what counts is what the model has right
    where the probes are wrong: a model may have learned the shortcut, too.
    """
    if not learnable or row["call"] != "above" or row["against_probe"] is None:
        return row["call"] == "above", row["leak_ci"][1]
    beyond = row["against_probe"]["beyond_probe"]
    if beyond is None:  # the probes are wrong nowhere
        return False, 1.0
    return beyond["p_value"] <= SIDE_LEVEL, beyond["leak_ci"][1]


Call = Literal["above", "below", "not shown"]


def _result(one: Answers, known: Known) -> dict[str, Any]:
    names = list(dict.fromkeys(question.dimension for question, _ in one.pairs))
    return {
        "model": one.model,
        "mode": MODES[one.mode],
        "condition": one.condition,
        **_counted(one.pairs, known),
        "by_dimension": {
            name: _counted([p for p in one.pairs if p[0].dimension == name], known)
            for name in names
        },
        "against_probe": _against_probe(one.pairs, known),
        "run": one.run,
    }


class _Arrays:
    """Questions as arrays, in the order of a table of their texts."""

    def __init__(self, pairs: Pairs, known: Known) -> None:
        questions = [question for question, _ in pairs]
        self.table = make_table(questions)
        self.gold = gold_offsets(self.table, questions)
        self.pairs = [pairs[i] for i in self.table.order]
        ids = [question.id for question, _ in self.pairs]
        self.clusters = numbered([known.clusters[id_] for id_ in ids])
        self.chances = self.table.chances
        self.credits = np.array([float(record.score) for _, record in self.pairs])
        self.probe = np.array([known.credit.get(id_, np.nan) for id_ in ids])
        self.base = self.chances
        if known.base_rate > self.chances.mean():
            self.base = np.full(len(ids), known.base_rate)
        # What each option is worth: 1 for the one whose letter was given.
        given = [record.letter for _, record in self.pairs]
        owners = zip(self.table.owner.tolist(), self.table.letters, strict=True)
        self.worth = np.array([float(given[i] == letter) for i, letter in owners])

    @property
    def share(self) -> Share:
        return share(self.credits, self.chances, self.clusters, self.base)

    def given(self, worth: Floats) -> tuple[float, float]:
        """P-values above and below chance, redrawn slide by slide."""
        together = relabelled_together(self.table, self.clusters)
        return given_answers(worth, self.table.sizes, together, self.gold)


def _counted(pairs: Pairs, known: Known) -> dict[str, Any]:
    asked = _Arrays(pairs, known)
    above = max(asked.given(asked.worth)[0], clustered_p(asked.credits, asked.base, asked.clusters))
    # Who gives no letter avoids no option: what is below chance is judged among letters given.
    given = [pair for pair in pairs if pair[1].letter is not None]
    below = 1.0
    if given:
        only = _Arrays(given, known)
        low = clustered_p(1 - only.credits, 1 - only.chances, only.clusters)
        below = max(only.given(only.worth)[1], low)
    call: Call = "not shown"
    if above <= SIDE_LEVEL:
        call = "above"
    elif below <= SIDE_LEVEL:
        call = "below"
    return {
        **asked.share.to_json(),
        "answered": len(given),
        "p_above": rounded(above),
        "p_below": rounded(below),
        "p_least": 1 / (DRAWS + 1),
        "call": call,
    }


def _against_probe(pairs: Pairs, known: Known) -> dict[str, Any] | None:
    """What the model has right that the combined probe has not, and the other way round.

    `beyond_probe` is the model's share where the probe is wrong: knowledge, or a shortcut that no
    probe has. `beyond_model` is the probe's where the model is wrong: a shortcut that can be
    learned and that this model does not use.
    """
    shared = [pair for pair in pairs if pair[0].id in known.credit]
    if not shared:
        return None
    asked = _Arrays(shared, known)
    model, probe = asked.credits, asked.probe
    beyond = {"beyond_probe": (model, probe), "beyond_model": (probe, model)}
    return {
        "both": rounded((model * probe).sum()),  # ties earn a share
        "model_only": rounded((model * (1 - probe)).sum()),
        "probe_only": rounded(((1 - model) * probe).sum()),
        "neither": rounded(((1 - model) * (1 - probe)).sum()),
        **{name: _beyond(asked, *two) for name, two in beyond.items()},
    }


def _beyond(asked: _Arrays, credits: Floats, other: Floats) -> dict[str, Any] | None:
    """What one has right of the questions that the other has wrong; None if there are none."""
    wrong = other < 0.5  # False where there was no audit of the text
    if not wrong.any():
        return None
    right, chances, clusters = credits[wrong], asked.chances[wrong], asked.clusters[wrong]
    p_value = clustered_p(right, chances, clusters)
    return {**share(right, chances, clusters).to_json(), "p_value": rounded(p_value)}


def _elimination(one: Answers, known: Known) -> dict[str, Any]:
    given = [(q, r) for q, r in one.pairs if r.letter is not None]
    if not given:
        return {"model": one.model, "n": 0, "correct": 0.0, "accuracy": 0.0, "ci": [0.0, 1.0],
                "chance": 0.0, "p_above": 1.0, "p_below": 1.0, "run": one.run}  # fmt: skip
    asked = _Arrays(given, known)
    credits = np.array([float(r.letter != q.answer) for q, r in asked.pairs])
    chances = 1 - asked.chances
    above, below = asked.given(1 - asked.worth)
    return {
        "model": one.model,
        **share(credits, chances, asked.clusters).to_json(),
        "p_above": rounded(max(above, clustered_p(credits, chances, asked.clusters))),
        "p_below": rounded(max(below, clustered_p(1 - credits, 1 - chances, asked.clusters))),
        "p_least": 1 / (DRAWS + 1),
        "run": one.run,
    }


def _agreement(first: Answers, second: Answers) -> dict[str, Any]:
    """Same letters among questions that both gave one for; expected from each one's letters."""
    one = {q.id: r.letter for q, r in first.pairs if r.letter is not None}
    two = {q.id: r.letter for q, r in second.pairs if r.letter is not None}
    both = sorted(one.keys() & two.keys())
    n = len(both)
    agree = sum(one[id_] == two[id_] for id_ in both)
    a, b = Counter(one[id_] for id_ in both), Counter(two[id_] for id_ in both)
    expected = sum(a[letter] * b[letter] for letter in a) / (n * n) if n else 0.0
    kappa = (agree / n - expected) / (1 - expected) if n and expected < 1 else None
    return {
        "first": f"{first.model} ({MODES[first.mode]})",
        "second": f"{second.model} ({MODES[second.mode]})",
        "agree": agree,
        "n": n,
        "expected": rounded(expected),
        "kappa": rounded(kappa),
    }


def _unanimous(same: Sequence[Answers]) -> tuple[list[str], list[str]]:
    """Ids that all, and that none, have right, of those that all were asked and answered."""
    scores = [{q.id: r.score for q, r in one.pairs} for one in same]
    if not scores:
        return [], []
    shared = sorted(set.intersection(*(set(score) for score in scores)))
    totals = {id_: sum(score[id_] for score in scores) for id_ in shared}
    return (
        [id_ for id_ in shared if totals[id_] == len(scores)],
        [id_ for id_ in shared if not totals[id_]],
    )
