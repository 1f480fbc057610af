"""Language models that answer without the images, asked through the ordinary runner.

Two modes: told to guess from the text, and asked as if the images were there (which fewer models
see through). A model far below chance is as telling as one above it. Elimination asks for an
option that is surely wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.audit.models import PROMPTS, Asked, applicable, proportion, scored
from scalevqa_eval.audit.results import rounded
from scalevqa_eval.audit.verdict import SIDE_LEVEL
from scalevqa_eval.errors import DataError, ModelError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model
from scalevqa_eval.run.evaluate import evaluate
from scalevqa_eval.run.progress import Progress
from scalevqa_eval.statistics import chance_test
from scalevqa_eval.types import Benchmark, Question, Record

MODES = {"guess": "told to guess", "as-if-shown": "as if images were shown"}
STYLES = {
    "guess": str(PROMPTS / "guess.txt"),
    "as-if-shown": "scalereasoner",
    "eliminate": str(PROMPTS / "eliminate.txt"),
}
ELIMINATE = "eliminate"
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers in one mode under one condition."""

    model: str
    mode: str
    condition: str
    pairs: tuple[tuple[Question, Record], ...]
    asked: int
    run: str


@dataclass(frozen=True)
class Blind:
    """The section `blind` of audit.json, findings, and lines for the verdict's reasons."""

    section: dict[str, Any]
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]


def plan(benchmark: Benchmark, takes_images: bool) -> list[Asked]:
    """What each adversary is asked. Images without the question need images that are there."""
    plans = [
        Asked(mode, STYLES[mode], condition)
        for mode in MODES
        for condition in ("no-images", "options-only")
    ]
    if takes_images and _images_there(benchmark):
        plans.append(Asked("as-if-shown", STYLES["as-if-shown"], "no-question"))
    plans.append(Asked(ELIMINATE, STYLES[ELIMINATE], "no-images"))
    return [one for one in plans if applicable(one.condition, benchmark, 0)]


def _images_there(benchmark: Benchmark) -> bool:
    shown = [question for question in benchmark.questions if question.views]
    return bool(shown) and not ImageStore(benchmark.image_root).check(shown)


def run_blind(
    models: Sequence[Model],
    benchmark: Benchmark,
    clusters: Mapping[str, str],
    *,
    output: Path,
    seed: int = 0,
    max_concurrency: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Blind:
    """Ask all adversaries; runs lie under `output` and are continued by a repeated call.

    `benchmark` holds the audited questions, `clusters` the cluster of each id. Raises ModelError
    if a model answers nothing at all.
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
            pairs = tuple(scored(run.records, questions))
            if not pairs:
                raise ModelError(
                    f"{model.name} answered no question ({evaluation.stopped or 'see its run'}): "
                    f"{run.path}"
                )
            found.append(
                Answers(model.name, one.mode, one.condition, pairs, len(run.questions),
                        str(run.path))
            )  # fmt: skip
    return summarise(found, clusters)


def summarise(found: Sequence[Answers], clusters: Mapping[str, str]) -> Blind:
    """Accuracy against guessing, agreement and elimination, from answers alone."""
    if not found:
        raise DataError("no adversary was asked")
    results = [_result(one, clusters) for one in found if one.mode != ELIMINATE]
    elimination = [_elimination(one, clusters) for one in found if one.mode == ELIMINATE]
    same = [one for one in found if one.mode != ELIMINATE and one.condition == "no-images"]
    right, none = _unanimous(same)
    section = {
        "results": results,
        "elimination": elimination,
        "agreement": [_agreement(a, b) for a, b in combinations(same, 2)],
        "all_right": len(right),
        "none_right": len(none),
        "all_right_ids": right[:_SHOWN],
        "level": SIDE_LEVEL,
    }
    findings = [_below(row) for row in results if row["call"] == "below"]
    missing = sum(one.asked - len(one.pairs) for one in found)
    if missing:
        findings.append(
            Finding("blind-incomplete", "warning",
                    f"{missing:,} prompts to blind models got no reply and are not counted; the "
                    "same command asks them again.", {"prompts": missing})
        )  # fmt: skip
    reasons = [
        f"{row['model']} ({row['mode']}, {row['condition']}) answers {row['correct']:.0f}/"
        f"{row['n']} = {row['accuracy']:.3f} without images; chance is {row['chance']:.3f}"
        for row in results
        if row["call"] == "above" and row["condition"] != "no-question"
    ]
    return Blind(section, tuple(findings), tuple(reasons))


Call = Literal["above", "below", "not shown"]


def _result(one: Answers, clusters: Mapping[str, str]) -> dict[str, Any]:
    names = list(dict.fromkeys(question.dimension for question, _ in one.pairs))
    return {
        "model": one.model,
        "mode": MODES[one.mode],
        "condition": one.condition,
        **_counted(one.pairs, clusters),
        "by_dimension": {
            name: _counted([p for p in one.pairs if p[0].dimension == name], clusters)
            for name in names
        },
        "run": one.run,
    }


def _counted(
    pairs: Sequence[tuple[Question, Record]], clusters: Mapping[str, str]
) -> dict[str, Any]:
    chances = [1 / len(question.options) for question, _ in pairs]
    credits = [float(record.score) for _, record in pairs]
    # Who gives no letter avoids no option: what is below chance is judged among letters given.
    given = [(q, r) for q, r in pairs if r.letter is not None]
    above = chance_test(sum(credits), chances)
    below = chance_test(
        float(sum(r.score for _, r in given)), [1 / len(q.options) for q, _ in given], "less"
    )
    call: Call = "not shown"
    if above <= SIDE_LEVEL:
        call = "above"
    elif below <= SIDE_LEVEL:
        call = "below"
    return {
        **proportion(credits, [clusters[q.id] for q, _ in pairs], sum(chances) / len(chances)),
        "answered": len(given),
        "p_above": rounded(above),
        "p_below": rounded(below),
        "call": call,
    }


def _elimination(one: Answers, clusters: Mapping[str, str]) -> dict[str, Any]:
    given = [(q, r) for q, r in one.pairs if r.letter is not None]
    chances = [1 - 1 / len(question.options) for question, _ in given]
    credits = [float(record.letter != question.answer) for question, record in given]
    chance = sum(chances) / len(chances) if chances else 0.0
    return {
        "model": one.model,
        **proportion(credits, [clusters[q.id] for q, _ in given], chance),
        "p_above": rounded(chance_test(sum(credits), chances)),
        "p_below": rounded(chance_test(sum(credits), chances, "less")),
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


def _below(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "blind-below-chance",
        "warning",
        f"{row['model']} ({row['mode']}, {row['condition']}) is right in {row['correct']:.0f}/"
        f"{row['n']} without images, below chance ({row['chance']:.3f}): avoiding its picks is a "
        "shortcut. Were questions that such a model answers removed?",
        {"model": row["model"], "accuracy": row["accuracy"], "p_value": row["p_below"]},
    )
