"""Two runs on the same questions: what differs, how surely, and what could have been seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scalevqa_eval.conditions import CONDITIONS, permutation
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.run import MANIFEST, QuestionKey, Run
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
from scalevqa_eval.types import LETTERS, Record

ALL = "all questions"
_PERMUTED = "permuted-options-"
Scores = npt.NDArray[np.float64]


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


def compare_runs(first: Run, second: Run, *, seed: int = 0) -> Comparison:
    """Compare two complete runs on the same questions under the same condition.

    Raises UsageError, with the reason, for other questions or right answers, another condition,
    or missing answers. What may differ but should be known (prompt, sampling) is in `notes`.
    """
    check_same_benchmark(first, second)
    if first.condition != second.condition:
        raise UsageError(
            f"the runs are under other conditions ({first.condition}, {second.condition}); to "
            "compare conditions of one model use --condition-gap"
        )
    _check_same_questions(first, second)
    differing = [k for k in ("prompt", "sampling", "seed", "scorer") if _differ(first, second, k)]
    return replace(
        _paired(first, second, seed),
        first=str(first.manifest["model"]["name"]),
        second=str(second.manifest["model"]["name"]),
        notes=tuple(f"The runs differ in {name}." for name in differing),
    )


def condition_gap(full: Run, other: Run, *, seed: int = 0) -> Comparison:
    """What a model loses under a condition: full - other on the questions that both asked.

    Raises UsageError for other benchmarks, right answers, models or prompts, or missing answers.
    """
    check_same_benchmark(full, other)
    names = {"model": "models", "prompt": "prompts", "sampling": "sampling settings"}
    for key, name in names.items():
        if _differ(full, other, key):
            raise UsageError(
                f"{other.path} cannot be set against {full.path}: a condition gap needs one model "
                f"with one setup, and the {name} differ"
            )
    return replace(_paired(full, other, seed), meaning=gap_meaning(other.condition))


def gap_meaning(condition: str) -> str:
    """What full minus this condition measures, in words."""
    if condition == "no-images":
        return "visual gain"
    if condition in ("blank-images", "wrong-images"):
        return f"visual gain over {condition}"
    if condition.startswith("without-") and "+" not in condition:
        return f"dependence on the {condition.removeprefix('without-')} scale"
    return f"full minus {condition}"


def condition_gaps(runs: Sequence[Run], *, seed: int = 0) -> list[Comparison]:
    """All gaps to `full` among runs of one model. Raises UsageError if there is none to measure."""
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
        check_same_benchmark(runs[0], run)
        _check_same_questions(runs[0], run)
    keys = runs[0].questions
    scores = [_scores(_answered(run), keys) for run in runs]
    return rank_intervals(scores, [key.slide for key in keys], seed=seed)


def find_runs(path: Path) -> list[Path]:
    """The run directories at or below a path, sorted. Raises DataError if there is none."""
    if (path / MANIFEST).is_file():
        return [path]
    found = sorted(file.parent for file in path.rglob(MANIFEST)) if path.is_dir() else []
    if not found:
        raise DataError(f"there is no run at or below {path}: no {MANIFEST}")
    return found


def letters_stay(condition: str) -> bool:
    """Whether a right letter under this condition can be told from that under `full`.

    Not so for conditions of somebody else, which may move options about.
    """
    known = (CONDITIONS.get(part) for part in condition.split("+") if _PERMUTED not in part)
    return all(c and c.function.__module__.startswith("scalevqa_eval.") for c in known)


def original_letter(run: Run, key: QuestionKey, letter: str | None) -> str | None:
    """What an option letter of a run was before `permuted-options-K`, if it was under that."""
    for part in run.condition.split("+"):
        number = part.removeprefix(_PERMUTED)
        if number != part and number.isdecimal() and letter and letter in LETTERS[: key.n_options]:
            order = permutation(key.n_options, int(number), int(run.manifest["seed"]), key.id)
            letter = LETTERS[order[LETTERS.index(letter)]]
    return letter


def check_same_benchmark(first: Run, second: Run) -> None:
    """Raises UsageError unless the questions that two runs share are equal, answers included.

    Under other conditions less is shown, but dimension, slide and right option are the same.
    """
    one, two = first.manifest["benchmark"], second.manifest["benchmark"]
    for key in ("name", "split", "revision"):
        if one[key] != two[key]:
            raise UsageError(
                f"the runs are on different questions: benchmark {key} {one[key]!r} in "
                f"{first.path}, {two[key]!r} in {second.path}"
            )
    keys = {key.id: key for key in second.questions}
    letters = letters_stay(first.condition) and letters_stay(second.condition)
    changed = [
        key.id
        for key in first.questions
        if key.id in keys and _asked(first, key, letters) != _asked(second, keys[key.id], letters)
    ]
    if changed:
        raise UsageError(
            f"the runs are on different questions: {len(changed)} have another right answer, "
            f"dimension or slide in {second.path} than in {first.path}, first {changed[0]!r} "
            "(was the card or the file corrected between them?); run both again"
        )
    if not letters and one.get("card") != two.get("card"):
        raise UsageError(
            f"the runs were made with different cards, and whether {first.condition} and "
            f"{second.condition} have the same right answers cannot be told; run both again"
        )


def _asked(run: Run, key: QuestionKey, letters: bool) -> tuple[str, str | None, str | None]:
    return key.dimension, key.slide, original_letter(run, key, key.answer) if letters else None


def _check_same_questions(first: Run, second: Run) -> None:
    """Raises UsageError unless two runs under one condition showed the same."""
    one, two = {key.id for key in first.questions}, {key.id for key in second.questions}
    if one != two:
        raise UsageError(
            f"the runs are on different questions: {len(one - two)} only in {first.path}, "
            f"{len(two - one)} only in {second.path} (were they made with another --limit?)"
        )
    if not _differ(first, second, "seed") and _differ(first, second, "questions"):
        raise UsageError(
            f"the runs are on different questions: {second.path} has the same ids as "
            f"{first.path}, but other texts, options or images; run both again"
        )


def _differ(first: Run, second: Run, key: str) -> bool:
    return bool(first.manifest.get(key) != second.manifest.get(key))


def _paired(first: Run, second: Run, seed: int) -> Comparison:
    answers_first, answers_second = _answered(first), _answered(second)
    shared = [key for key in first.questions if key.id in answers_second]
    if not shared:
        raise UsageError(f"{first.path} and {second.path} have no question in common")
    a, b = _scores(answers_first, shared), _scores(answers_second, shared)
    slides = [key.slide for key in shared]
    rows = []
    for name in dict.fromkeys(key.dimension for key in shared):
        inside = [i for i, key in enumerate(shared) if key.dimension == name]
        rows.append(_row(name, a[inside], b[inside], [slides[i] for i in inside], seed))
    adjusted = benjamini_hochberg([row.permutation for row in rows])
    changes = []
    for key, x, y in zip(shared, a, b, strict=True):
        said = [
            r.letter or r.outcome.value for r in (answers_first[key.id], answers_second[key.id])
        ]
        if x != y:
            right = "first" if x > y else "second"
            changes.append(Change(key.id, key.dimension, key.slide, said[0], said[1], right))
    return Comparison(
        first=first.condition,
        second=second.condition,
        meaning="",
        rows=tuple(replace(row, adjusted=p) for row, p in zip(rows, adjusted, strict=True)),
        overall=_row(ALL, a, b, slides, seed),
        changes=tuple(changes),
        left_out=len(answers_first.keys() ^ answers_second.keys()),
        notes=(),
    )


def _row(name: str, a: Scores, b: Scores, slides: Sequence[str | None], seed: int) -> Row:
    interval = difference_interval(a, b, slides)
    level = swap_level(len(set(cluster_codes(slides).tolist())))
    detectable = detectable_difference(*difference_error(a, b, slides), level=level)
    only_first, only_second = int((a > b).sum()), int((a < b).sum())
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


def _scores(answers: Mapping[str, Record], keys: Sequence[QuestionKey]) -> Scores:
    return np.array([answers[key.id].score for key in keys], dtype=np.float64)


def _answered(run: Run) -> dict[str, Record]:
    """Records by question. Raises UsageError if a question has no answer."""
    answers = {record.question_id: record for record in run.records if record.outcome.scored}
    if missing := len(run.questions) - len(answers):
        raise UsageError(
            f"{run.path} is incomplete: {missing} of {len(run.questions)} questions have no "
            "answer; repeat its command first"
        )
    return answers
