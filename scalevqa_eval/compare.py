"""Two runs on the same questions: what differs, how surely, and what could have been seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.run.store import MANIFEST, QuestionKey, Run
from scalevqa_eval.statistics import (
    Rank,
    benjamini_hochberg,
    cluster_codes,
    detectable_difference,
    difference_error,
    difference_interval,
    mcnemar,
    permutation_test,
    rank_intervals,
    swap_level,
)
from scalevqa_eval.types import Record

ALL = "all questions"


@dataclass(frozen=True, slots=True)
class Row:
    """One dimension, or all questions; `difference` is first - second, as are the limits.

    `only_first` were right in the first run alone. `mcnemar` knows no slides, `permutation`
    swaps whole slides; `adjusted` is the latter after Benjamini and Hochberg over dimensions
    (None in the row of all questions). `detectable` is the smallest difference that the latter
    finds at 5 % with 80 % power; None if it has too few slides to find any.
    """

    name: str
    n: int
    first: int
    second: int
    difference: float
    low: float
    high: float
    method: str
    only_first: int
    only_second: int
    mcnemar: float
    permutation: float
    adjusted: float | None
    detectable: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """A question that one run had right and the other had not."""

    question_id: str
    dimension: str
    slide: str | None
    first: str
    second: str
    right_in: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left_out` questions were asked in one run alone (conditions that do not apply to all)."""

    first: str
    second: str
    meaning: str
    rows: tuple[Row, ...]
    overall: Row
    changes: tuple[Change, ...]
    left_out: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_runs(first: Run, second: Run, *, seed: int = 0) -> Comparison:
    """Compare two complete runs on the same questions under the same condition.

    Raises UsageError, with the reason, for other questions, another condition, or missing
    answers. What may differ but should be known (prompt, sampling) is in `notes`.
    """
    _same_benchmark(first, second)
    if first.condition != second.condition:
        raise UsageError(
            f"the runs are under other conditions ({first.condition}, {second.condition}); to "
            "compare conditions of one model use --condition-gap"
        )
    _same_questions(first, second)
    notes = _settings_notes(first, second)
    return _compare(first, second, _label(first), _label(second), "", notes, seed)


def condition_gap(full: Run, other: Run, *, seed: int = 0) -> Comparison:
    """What a model loses under a condition: full - other on the questions that both asked.

    Raises UsageError for other benchmarks, models or prompts, or missing answers.
    """
    _same_benchmark(full, other)
    for key, word in (
        ("model", "models"),
        ("prompt", "prompts"),
        ("sampling", "sampling settings"),
    ):
        if full.manifest.get(key) != other.manifest.get(key):
            raise UsageError(
                f"{other.path} cannot be set against {full.path}: a condition gap needs one model "
                f"with one setup, and the {word} differ"
            )
    name = other.condition
    return _compare(full, other, full.condition, name, gap_meaning(name), (), seed)


def gap_meaning(condition: str) -> str:
    """What full minus this condition measures, in words."""
    if "+" in condition:
        return f"full minus {condition}"
    if condition in ("no-images", "blank-images", "wrong-images"):
        return "visual gain" if condition == "no-images" else f"visual gain over {condition}"
    if condition.startswith("without-"):
        return f"dependence on the {condition.removeprefix('without-')} scale"
    return f"full minus {condition}"


def condition_gaps(runs: Sequence[Run], *, seed: int = 0) -> list[Comparison]:
    """All gaps to `full` among runs of one model. Raises UsageError if there is none to measure."""
    for run in runs:
        check_manifest(run)
    full = [run for run in runs if run.condition == "full"]
    rest = sorted((run for run in runs if run.condition != "full"), key=lambda run: run.condition)
    if len(full) != 1 or not rest:
        found = ", ".join(run.condition for run in runs)
        raise UsageError(
            "a condition gap needs one run under the condition full and at least one under "
            f"another of the same model; given: {found}"
        )
    return [condition_gap(full[0], other, seed=seed) for other in rest]


def rank_runs(runs: Sequence[Run], *, seed: int = 0) -> list[Rank]:
    """Ranks of runs on the same questions, with intervals from one bootstrap over slides."""
    for run in runs[1:]:
        _same_benchmark(runs[0], run)
        _same_questions(runs[0], run)
    keys = runs[0].questions
    scores = [_scores(_answered(run), keys) for run in runs]
    return rank_intervals(scores, [key.slide for key in keys], seed=seed)


def check_manifest(run: Run) -> None:
    """Raises DataError if the manifest lacks what comparisons and leaderboards rest on."""
    manifest = run.manifest
    benchmark, model = manifest.get("benchmark"), manifest.get("model")
    complete = (
        isinstance(benchmark, Mapping)
        and all(isinstance(benchmark.get(key), str) for key in ("name", "revision", "split"))
        and isinstance(model, Mapping)
        and isinstance(model.get("name"), str)
        and isinstance(manifest.get("condition"), str)
        and isinstance(manifest.get("prompt"), Mapping)
    )
    if not complete:
        raise DataError(
            f"{run.path / MANIFEST} is no manifest of a run: benchmark (name, revision, split), "
            "model (name), condition and prompt are needed"
        )


def find_runs(path: Path) -> list[Path]:
    """The run directories at or below a path, sorted. Raises DataError if there is none."""
    if (path / MANIFEST).is_file():
        return [path]
    found = sorted(file.parent for file in path.rglob(MANIFEST)) if path.is_dir() else []
    if not found:
        raise DataError(f"there is no run at or below {path}: no {MANIFEST}")
    return found


def _compare(
    first: Run,
    second: Run,
    name_first: str,
    name_second: str,
    meaning: str,
    notes: tuple[str, ...],
    seed: int,
) -> Comparison:
    answers_first, answers_second = _answered(first), _answered(second)
    shared = [key for key in first.questions if key.id in answers_second]
    left_out = len(answers_first.keys() ^ answers_second.keys())
    if not shared:
        raise UsageError(f"{first.path} and {second.path} have no question in common")
    a, b = _scores(answers_first, shared), _scores(answers_second, shared)
    names = list(dict.fromkeys(key.dimension for key in shared))
    slides = [key.slide for key in shared]
    rows = []
    for name in names:
        where = np.array([key.dimension == name for key in shared])
        inside = [slide for slide, keep in zip(slides, where, strict=True) if keep]
        rows.append(_row(name, a[where], b[where], inside, seed))
    adjusted = benjamini_hochberg([row.permutation for row in rows])
    rows = [replace(row, adjusted=p) for row, p in zip(rows, adjusted, strict=True)]
    changes = tuple(
        Change(
            key.id,
            key.dimension,
            key.slide,
            _said(answers_first[key.id]),
            _said(answers_second[key.id]),
            "first" if x > y else "second",
        )
        for key, x, y in zip(shared, a, b, strict=True)
        if x != y
    )
    overall = _row(ALL, a, b, slides, seed)
    return Comparison(
        name_first, name_second, meaning, tuple(rows), overall, changes, left_out, notes
    )


def _row(
    name: str,
    a: np.ndarray[tuple[int], np.dtype[np.float64]],
    b: np.ndarray[tuple[int], np.dtype[np.float64]],
    slides: Sequence[str | None],
    seed: int,
) -> Row:
    interval = difference_interval(a, b, slides)
    level = swap_level(len(set(cluster_codes(slides).tolist())))
    detectable = detectable_difference(*difference_error(a, b, slides), level=level)
    only_first, only_second = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    return Row(
        name=name,
        n=len(a),
        first=int(a.sum()),
        second=int(b.sum()),
        difference=float(a.mean() - b.mean()),
        low=interval.low,
        high=interval.high,
        method=interval.method,
        only_first=only_first,
        only_second=only_second,
        mcnemar=mcnemar(only_first, only_second),
        permutation=permutation_test(a, b, slides, seed=seed),
        adjusted=None,
        detectable=None if math.isinf(detectable) else min(1.0, detectable),
    )


def _scores(
    answers: Mapping[str, Record], keys: Sequence[QuestionKey]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([answers[key.id].score for key in keys], dtype=np.float64)


def _said(record: Record) -> str:
    return record.letter or record.outcome.value


def _label(run: Run) -> str:
    return str(run.manifest["model"]["name"])


def _answered(run: Run) -> dict[str, Record]:
    """Records by question. Raises UsageError if a question has no answer, or two."""
    answers: dict[str, Record] = {}
    for record in run.records:
        if not record.outcome.scored:
            continue
        if record.question_id in answers:
            raise DataError(f"{run.path}: question {record.question_id!r} is answered twice")
        answers[record.question_id] = record
    asked = {key.id for key in run.questions}
    if missing := len(asked - answers.keys()):
        raise UsageError(
            f"{run.path} is incomplete: {missing} of {len(asked)} questions have no answer; "
            "repeat its command first"
        )
    if extra := answers.keys() - asked:
        raise DataError(f"{run.path}: record of {min(extra)!r}, which is no question of the run")
    return answers


def _same_benchmark(first: Run, second: Run) -> None:
    check_manifest(first)
    check_manifest(second)
    one, two = first.manifest["benchmark"], second.manifest["benchmark"]
    for key in ("name", "split", "revision"):
        if one.get(key) != two.get(key):
            raise UsageError(
                f"the runs are on different questions: benchmark {key} {one.get(key)!r} in "
                f"{first.path}, {two.get(key)!r} in {second.path}"
            )


def _same_questions(first: Run, second: Run) -> None:
    one, two = {key.id for key in first.questions}, {key.id for key in second.questions}
    if one != two:
        raise UsageError(
            f"the runs are on different questions: {len(one - two)} only in {first.path}, "
            f"{len(two - one)} only in {second.path} (were they made with another --limit?)"
        )


def _settings_notes(first: Run, second: Run) -> tuple[str, ...]:
    notes = []
    for key, word in (("prompt", "prompt"), ("sampling", "sampling"), ("seed", "seed")):
        if first.manifest.get(key) != second.manifest.get(key):
            notes.append(f"The runs differ in {word}.")
    return tuple(notes)
