"""A comparison of two runs, and ranks of several, as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from scalevqa_eval.cli.run_table import plain_table
from scalevqa_eval.compare import Comparison, Row
from scalevqa_eval.pages import one_line
from scalevqa_eval.statistics import Rank

_LEGEND = (
    "swap p: permutation of whole slides; BH p: adjusted over dimensions; sees: the",
    "smallest difference (points) that swapping finds at 5 % with 80 % power.",
)


def comparison_table(comparison: Comparison) -> Table:
    """k/n of both, the difference in points with its interval, p-values and power."""
    title = [f"A = {comparison.first}", f"B = {comparison.second}"]
    title += [f"A - B: {comparison.meaning}"] if comparison.meaning else []
    table = plain_table(title, _notes(comparison), padding=0)
    table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("A", "B", "A - B, points", "McNemar", "swap p", "BH p", "sees"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows:
        # A dimension that is called like our own row is told apart.
        same = one_line(row.name) == comparison.overall.name
        table.add_row(f'"{row.name}"' if same else one_line(row.name), *_cells(row))
    table.add_row(comparison.overall.name, *_cells(comparison.overall))
    return table


def _cells(row: Row) -> list[str]:
    return [
        f"{row.first}/{row.n}",
        f"{row.second}/{row.n}",
        f"{100 * row.difference:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]",
        p_text(row.mcnemar),
        p_text(row.permutation),
        "" if row.adjusted is None else p_text(row.adjusted),
        "–" if row.detectable is None else f"{100 * row.detectable:.1f}",
    ]


def _notes(comparison: Comparison) -> list[str]:
    overall = comparison.overall
    lines = [
        f"{overall.only_first} questions right in A alone, {overall.only_second} in B alone. "
        f"Intervals: {overall.method}.",
        *_LEGEND,
    ]
    if any(row.detectable is None for row in (*comparison.rows, overall)):
        lines.append("–: with fewer than six slides no swap p can be below 5 %.")
    if comparison.left_out:
        lines.append(f"{comparison.left_out} questions were asked in one run only: left out.")
    return lines + list(comparison.notes)


def changes_table(comparison: Comparison, limit: int) -> Table:
    """The first `limit` questions whose score changed."""
    table = plain_table()
    table.add_column("changed", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("dimension", "A", "B", "right in"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=22)
    for change in comparison.changes[:limit]:
        right = "A" if change.right_in == "first" else "B"
        texts = (change.question_id, change.dimension, change.first, change.second, right)
        table.add_row(*map(one_line, texts))
    return table


def ranks_table(names: Sequence[str], ranks: Sequence[Rank]) -> Table:
    """Runs in order of rank, with rank intervals."""
    table = plain_table(notes=[f"Rank intervals: {ranks[0].method}."])
    table.add_column("rank", justify="right")
    table.add_column("95 %", justify="right")
    table.add_column("run", ratio=1, no_wrap=True, overflow="ellipsis")
    for rank, name in sorted(zip(ranks, names, strict=True), key=lambda pair: pair[0].rank):
        table.add_row(str(rank.rank), f"{rank.low}-{rank.high}", one_line(name))
    return table


def p_text(p: float) -> str:
    """A p-value with three decimals and no leading zero; small ones as a bound."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
