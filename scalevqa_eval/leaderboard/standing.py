"""Entries → numbers: intervals, ranks, visual gain. Everything that pages show is computed here.

`answers/BENCHMARK/NAME.jsonl` is what a board keeps of a run, one line per question without any
text of the benchmark. Entries that have such a file can be recomputed by anyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from scalevqa_eval.compare import letters_stay
from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.board import FULL, Board, Count, Credit, Entry, TextOnly
from scalevqa_eval.statistics import (
    Interval,
    Rank,
    binomial_means,
    bootstrap_means,
    cluster_codes,
    cluster_interval,
    difference_interval,
    macro_average,
    ranks_of,
    wilson,
)

DRAWS, SEED = 2000, 0
BLIND = "no-images"
Floats = npt.NDArray[np.float64]


class Answer(BaseModel):
    """One line of an answers file. Letters are those of the benchmark before any permutation."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: str
    dimension: str
    slide: str | None
    answer: str
    letter: str | None
    outcome: Literal["correct", "wrong", "unparsed", "truncated", "refused"]

    @model_validator(mode="after")
    def _outcome_is_the_letters(self) -> Answer:
        # Open questions have no letter to check against: their answer is "".
        if self.answer and (self.outcome == "correct") != (self.letter == self.answer):
            raise ValueError(
                f"question {self.id!r} is {self.outcome}, but {self.letter!r} was given and "
                f"{self.answer!r} is right"
            )
        return self


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one entry, in the order of the file. `scores` are 0 and 1."""

    ids: tuple[str, ...]
    dimensions: tuple[str, ...]
    slides: tuple[str | None, ...]
    letters: tuple[str, ...]
    scores: Floats

    def of(self, dimension: str) -> tuple[Floats, list[str | None]]:
        """Scores and slides of one dimension."""
        inside = [i for i, name in enumerate(self.dimensions) if name == dimension]
        return self.scores[inside], [self.slides[i] for i in inside]


@dataclass(frozen=True, slots=True)
class Cell:
    """A share: counts and interval where they are known, else only what was printed (percent)."""

    share: float
    count: Credit | None = None
    interval: Interval | None = None
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy with images - without, of one model and prompt. `interval` if both have answers."""

    value: float
    interval: Interval | None
    blind: Count


@dataclass(frozen=True, slots=True)
class Line:
    """One entry with its numbers. `rank` is None where entries cannot be ranked together."""

    entry: Entry
    overall: Cell
    macro: Cell | None
    dimensions: dict[str, Cell]
    rank: int | None = None
    rank_interval: Rank | None = None
    gain: Gain | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A board worked out. `lines` are under full, best first; `others` under other conditions."""

    board: Board
    lines: tuple[Line, ...]
    others: tuple[Line, ...]
    text_only: tuple[tuple[TextOnly, Interval], ...]

    @property
    def strongest_text(self) -> tuple[TextOnly, Interval] | None:
        """What text alone reaches at most, as far as it was measured."""
        return max(self.text_only, key=lambda pair: pair[0].total.share, default=None)


Known = dict[tuple[str, ...], Answers]


def work_out(board: Board, directory: Path) -> Standing:
    """Compute a board. Raises DataError if an answers file is missing, changed or contradicts."""
    answers: Known = {e.key: read_answers(e, directory) for e in board.entries if e.answers}
    _check_same_questions(board, answers)
    lines = [_line(board, entry, answers.get(entry.key)) for entry in board.entries]
    others = [line for line in lines if line.entry.condition != FULL]
    full = [_with_gain(line, others, answers) for line in lines if line.entry.condition == FULL]
    others.sort(key=lambda line: (line.entry.condition, -line.overall.share, line.entry.key))
    text = tuple(
        (p, Interval(*p.ci, p.ci_method) if p.ci else wilson(p.total.correct, p.total.n))
        for p in board.text_only
    )
    return Standing(board, tuple(_ranked(board, full, answers)), tuple(others), text)


def read_answers(entry: Entry, directory: Path) -> Answers:
    """An entry's answers.

    Raises DataError for a damaged line, a question twice, another content than was entered, or
    counts that are not what the answers give.
    """
    path = directory / str(entry.answers)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(raw).hexdigest() != entry.answers_sha256:
        raise DataError(f"{path} was changed after it was entered (its sha256 is another)")
    rows = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            rows.append(Answer.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            text = f"{field} {first['msg'].removeprefix('Value error, ')}".strip()
            raise DataError(f"{path}, line {number}: {text}") from error
    found = Answers(
        tuple(row.id for row in rows),
        tuple(row.dimension for row in rows),
        tuple(row.slide for row in rows),
        tuple(row.answer for row in rows),
        np.array([row.outcome == "correct" for row in rows], dtype=np.float64),
    )
    if len(set(found.ids)) != len(found.ids):
        raise DataError(f"{path} has a question twice")
    if unknown := set(found.dimensions) - entry.results.keys():
        raise DataError(f"{entry.answers} has questions of {min(unknown)!r}, {entry.model} has not")
    for name, count in entry.results.items():
        scores, _ = found.of(name)
        if (len(scores), scores.sum()) != (count.n, count.correct):
            raise DataError(
                f"{entry.model}, {name}: entered {count.correct}/{count.n}, its answers give "
                f"{scores.sum():.0f}/{len(scores)}"
            )
    return found


def _check_same_questions(board: Board, answers: Known) -> None:
    """Raises DataError if two entries differ in the dimension, slide or right letter of one."""
    known: dict[str, tuple[str, str | None, str]] = {}
    for entry in board.entries:
        one = answers.get(entry.key)
        if one is None or not letters_stay(entry.condition):
            continue
        rows = zip(one.dimensions, one.slides, one.letters, strict=True)
        for id_, asked in zip(one.ids, rows, strict=True):
            if known.setdefault(id_, asked) != asked:
                raise DataError(
                    f"question {id_!r} is {asked} (dimension, slide, right "
                    f"letter) for {entry.model}, {entry.condition}, but {known[id_]} for an entry "
                    "before it: they are not the same questions"
                )


def _line(board: Board, entry: Entry, answers: Answers | None) -> Line:
    total = entry.total
    if total is None:
        shares = {k: Cell(float(text) / 100, printed=text) for k, text in entry.printed.items()}
        cells = {name: shares[name] for name in board.dimensions if name in shares}
        overall = shares.get("overall") or shares.get("average")
        mean = Cell(sum(cell.share for cell in cells.values()) / max(1, len(cells)))
        return Line(entry, overall or mean, None, cells)
    counts = {name: entry.results[name] for name in board.dimensions}
    if answers is None:
        cells = {name: Cell(c.share, c, _unclustered(c)) for name, c in counts.items()}
        scores = np.concatenate([np.arange(c.n) < c.correct for c in counts.values()])
        strata = [name for name, c in counts.items() for _ in range(c.n)]
        middle, macro = macro_average(scores.astype(float), [None] * len(strata), strata)
        macro = replace(macro, method="logit, slides not known")
        overall = Cell(total.share, total, _unclustered(total))
    else:
        cells = {
            name: Cell(c.share, c, cluster_interval(*answers.of(name)))
            for name, c in counts.items()
        }
        middle, macro = macro_average(answers.scores, answers.slides, answers.dimensions)
        overall = Cell(total.share, total, cluster_interval(answers.scores, answers.slides))
    return Line(entry, overall, Cell(middle, None, macro), cells)


def _unclustered(count: Count) -> Interval:
    return replace(wilson(count.correct, count.n), method="Wilson, slides not known")


def _with_gain(line: Line, others: Sequence[Line], answers: Known) -> Line:
    """The blind run of the same model, revision, state and prompt, if there is one."""
    entry = line.entry
    key = (*entry.key[:3], BLIND, entry.prompt)
    blind = next((other for other in others if other.entry.key == key), None)
    if blind is None or blind.entry.total is None or line.overall.count is None:
        return line
    interval = None
    one, two = answers.get(entry.key), answers.get(key)
    if one is not None and two is not None and set(one.ids) == set(two.ids):
        place = {id_: i for i, id_ in enumerate(two.ids)}
        order = [place[id_] for id_ in one.ids]
        interval = difference_interval(one.scores, two.scores[order], one.slides)
    value = line.overall.share - blind.overall.share
    return replace(line, gain=Gain(value, interval, blind.entry.total))


def _ranked(board: Board, lines: Sequence[Line], answers: Known) -> list[Line]:
    """Best first; entries with counts get rank intervals, printed percentages alone get none.

    Where answers are there, slides are resampled, once for all of them; the other entries'
    counts are redrawn from binomials.
    """
    counted = [line for line in lines if line.overall.count is not None]
    printed = [line for line in lines if line.overall.count is None]
    if counted:
        means, method = _resampled(board, counted, answers)
        ranks = ranks_of([line.overall.share for line in counted], means, method)
        counted = [
            replace(line, rank=rank.rank, rank_interval=rank)
            for line, rank in zip(counted, ranks, strict=True)
        ]
    else:
        shares = [line.overall.share for line in printed]
        printed = [
            replace(line, rank=1 + sum(share > line.overall.share for share in shares))
            for line in printed
        ]
    for part in (counted, printed):
        part.sort(key=lambda line: (-line.overall.share, line.entry.key))
    return counted + printed


def _resampled(board: Board, lines: Sequence[Line], answers: Known) -> tuple[Floats, str]:
    """Accuracies of all lines in each of DRAWS resamples, (draws, lines), and the method."""
    means = np.empty((DRAWS, len(lines)))
    alike: dict[frozenset[str], list[int]] = {}
    rest = []
    for i, line in enumerate(lines):
        if one := answers.get(line.entry.key):
            alike.setdefault(frozenset(one.ids), []).append(i)
        else:
            rest.append(i)
    for members in alike.values():
        found = [answers[lines[i].entry.key] for i in members]
        codes = cluster_codes(found[0].slides)
        by_id = dict(zip(found[0].ids, codes, strict=True))
        sizes = np.bincount(codes).astype(np.float64)
        sums = [np.bincount([by_id[i] for i in one.ids], weights=one.scores) for one in found]
        means[:, members] = bootstrap_means(np.stack(sums), sizes, DRAWS, SEED)
    if rest:
        rows = [[lines[i].entry.results[name] for name in board.dimensions] for i in rest]
        means[:, rest] = binomial_means(
            [[count.correct for count in row] for row in rows],
            [[count.n for count in row] for row in rows],
            draws=DRAWS,
            seed=SEED,
        )
    if not rest:
        return means, "bootstrap over slides"
    if not alike:
        return means, "binomial bootstrap (no records)"
    return means, "bootstrap over slides where records are there, else binomial"
