"""Entries → numbers: intervals, ranks, visual gain. Everything that pages show is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.answers import Answers, read_answers
from scalevqa_eval.leaderboard.entries import FULL, Board, Count, Credit, Entry, TextOnly
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


@dataclass(frozen=True, slots=True)
class Cell:
    """A share: counts and interval where they are known, else only what was printed (percent)."""

    share: float
    count: Count | Credit | None = None
    interval: Interval | None = None
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy with images - without, of one model and prompt. `paired` if records are there."""

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
        if not self.text_only:
            return None
        return max(self.text_only, key=lambda pair: pair[0].total.correct / pair[0].total.n)


def work_out(board: Board, directory: Path) -> Standing:
    """Compute a board. Raises DataError if an answers file is missing, changed or contradicts."""
    answers = {
        entry.key: checked_answers(entry, directory) for entry in board.entries if entry.answers
    }
    lines = [_line(board, entry, answers.get(entry.key)) for entry in board.entries]
    full = [line for line in lines if line.entry.condition == FULL]
    others = [line for line in lines if line.entry.condition != FULL]
    full = [_with_gain(line, others, answers) for line in full]
    full = _ranked(board, full, answers)
    others.sort(key=lambda line: (line.entry.condition, -line.overall.share, line.entry.key))
    text = tuple((probe, _text_interval(probe)) for probe in board.text_only)
    return Standing(board, tuple(full), tuple(others), text)


def checked_answers(entry: Entry, directory: Path) -> Answers:
    """An entry's answers. Raises DataError if its counts are not what the answers give."""
    assert entry.answers is not None
    answers = read_answers(directory / entry.answers, entry.answers_sha256)
    counts = answers.counts()
    if unknown := counts.keys() - entry.results.keys():
        raise DataError(f"{entry.answers} has questions of {min(unknown)!r}, {entry.model} has not")
    for name, count in entry.results.items():
        n, correct = counts.get(name, (0, 0))
        if (n, correct) != (count.n, count.correct):
            raise DataError(
                f"{entry.model}, {name}: entered {count.correct}/{count.n}, its answers give "
                f"{correct}/{n}"
            )
    return answers


def _line(board: Board, entry: Entry, answers: Answers | None) -> Line:
    total = entry.total
    if total is None:
        shares = {
            name: Cell(float(text) / 100, printed=text) for name, text in entry.printed.items()
        }
        plain = [shares[name].share for name in board.dimensions if name in shares]
        overall = shares.get("overall") or shares.get("average") or Cell(sum(plain) / len(plain))
        return Line(
            entry, overall, None, {k: v for k, v in shares.items() if k in board.dimensions}
        )
    cells: dict[str, Cell] = {}
    for name in board.dimensions:
        count = entry.results[name]
        if answers is None:
            interval = _unclustered(count)
        else:
            inside = [i for i, dimension in enumerate(answers.dimensions) if dimension == name]
            interval = cluster_interval(answers.scores[inside], [answers.slides[i] for i in inside])
        cells[name] = Cell(count.correct / count.n, count, interval)
    if answers is None:
        scores = np.concatenate(
            [np.arange(entry.results[d].n) < entry.results[d].correct for d in board.dimensions]
        ).astype(float)
        strata = [d for d in board.dimensions for _ in range(entry.results[d].n)]
        mean, macro = macro_average(scores, [None] * len(scores), strata)
        macro = Interval(macro.low, macro.high, "logit, slides not known")
        overall = Cell(total.correct / total.n, total, _unclustered(total))
    else:
        mean, macro = macro_average(answers.scores, answers.slides, answers.dimensions)
        overall = Cell(
            total.correct / total.n, total, cluster_interval(answers.scores, answers.slides)
        )
    return Line(entry, overall, Cell(mean, None, macro), cells)


def _text_interval(probe: TextOnly) -> Interval:
    if probe.ci is not None:
        return Interval(*probe.ci, probe.ci_method)
    return wilson(probe.total.correct, probe.total.n)


def _unclustered(count: Count) -> Interval:
    interval = wilson(count.correct, count.n)
    return Interval(interval.low, interval.high, "Wilson, slides not known")


def _with_gain(line: Line, others: Sequence[Line], answers: dict[tuple[str, ...], Answers]) -> Line:
    """The blind run of the same model, revision, state and prompt, if there is one."""
    entry = line.entry
    key = (*entry.key[:3], BLIND, entry.prompt)
    blind = next((other for other in others if other.entry.key == key), None)
    if blind is None or blind.entry.total is None or line.overall.count is None:
        return line
    value = line.overall.share - blind.overall.share
    interval = None
    one, two = answers.get(entry.key), answers.get(key)
    if one is not None and two is not None and set(one.ids) == set(two.ids):
        place = {id_: i for i, id_ in enumerate(two.ids)}
        order = [place[id_] for id_ in one.ids]
        interval = difference_interval(one.scores, two.scores[order], one.slides)
    return Line(
        entry, line.overall, line.macro, line.dimensions,
        gain=Gain(value, interval, blind.entry.total),
    )  # fmt: skip


def _ranked(
    board: Board, lines: Sequence[Line], answers: dict[tuple[str, ...], Answers]
) -> list[Line]:
    """Best first; entries with counts get rank intervals, printed percentages alone get none.

    Where answers are there, slides are resampled, once for all of them; the other entries'
    counts are redrawn from binomials.
    """
    counted = [line for line in lines if line.overall.count is not None]
    printed = [line for line in lines if line.overall.count is None]
    ranks: list[Rank | None] = [None] * len(counted)
    if counted:
        means, method = _resampled(board, counted, answers)
        ranks = list(ranks_of([line.overall.share for line in counted], means, method))
    placed = [
        Line(x.entry, x.overall, x.macro, x.dimensions, r.rank if r else None, r, x.gain)
        for x, r in zip(counted, ranks, strict=True)
    ]
    placed.sort(key=lambda line: (-line.overall.share, line.entry.key))
    printed.sort(key=lambda line: (-line.overall.share, line.entry.key))
    if not counted:
        shares = [line.overall.share for line in printed]
        return [
            Line(
                x.entry,
                x.overall,
                x.macro,
                x.dimensions,
                1 + sum(s > x.overall.share for s in shares),
            )
            for x in printed
        ]
    return placed + printed


def _resampled(
    board: Board, lines: Sequence[Line], answers: dict[tuple[str, ...], Answers]
) -> tuple[npt.NDArray[np.float64], str]:
    """Accuracies of all lines in each of DRAWS resamples, (draws, lines), and the method."""
    means = np.empty((DRAWS, len(lines)))
    known = [i for i, line in enumerate(lines) if line.entry.key in answers]
    groups: dict[frozenset[str], list[int]] = {}
    for i in known:
        groups.setdefault(frozenset(answers[lines[i].entry.key].ids), []).append(i)
    for members in groups.values():
        found = [answers[lines[i].entry.key] for i in members]
        codes = cluster_codes(found[0].slides)
        by_id = dict(zip(found[0].ids, codes, strict=True))
        sizes = np.bincount(codes).astype(np.float64)
        rows = []
        for one in found:
            own = codes if one.ids == found[0].ids else np.array([by_id[id_] for id_ in one.ids])
            rows.append(np.bincount(own, weights=one.scores, minlength=len(sizes)))
        means[:, members] = bootstrap_means(np.stack(rows), sizes, DRAWS, SEED)
    rest = [i for i in range(len(lines)) if i not in set(known)]
    if rest:
        counts = [[lines[i].entry.results[name] for name in board.dimensions] for i in rest]
        correct = [[count.correct for count in row] for row in counts]
        total = [[count.n for count in row] for row in counts]
        means[:, rest] = binomial_means(correct, total, draws=DRAWS, seed=SEED)
    if not rest:
        return means, "bootstrap over slides"
    if not known:
        return means, "binomial bootstrap (no records)"
    return means, "bootstrap over slides where records are there, else binomial"
