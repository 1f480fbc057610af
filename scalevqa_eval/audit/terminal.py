"""An audit on a terminal of 80 columns: the page's tables, cut to what fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console  # noqa: TID251 (its type)
from rich.table import Table as Grid

from scalevqa_eval.audit import tables
from scalevqa_eval.audit.results import WORDS
from scalevqa_eval.pages import one_line

WIDTH = 79
_FINDINGS = 12
# Columns by their place after the name, and how many rows: what is left out is on the page.
_SHOWN = {
    "dimensions": ((0, 2, 5), 99), "inputs": ((0, 1), 99), "groups": ((0, 1), 9),
    "transfer": ((0, 2), 99), "cues": ((0, 1), 4), "phrases": ((0, 1), 8), "blind": ((0, 1, 4), 99),
    "knowledge": ((0, 1), 99), "visual": ((0, 1, 2), 99), "repair": ((0, 1), 99),
}  # fmt: skip


def show(console: Console, data: Mapping[str, Any], asked: str = "FILE", folder: str = "") -> None:
    """Print the first line, the tables, findings and the verdict of an audit.json.

    `asked` and `folder`: see `tables.next_steps`.
    """
    name = one_line(tables.name_of(data["benchmark"]))
    console.print(f"{name}: {one_line(tables.first_line(data))}")
    for table in tables.tables(data):
        if table.key in _SHOWN:
            columns, most = _SHOWN[table.key]
            console.print()
            console.print(_grid(table, columns, most))
            if table.key == "dimensions":
                whole = data["whole_file"]
                words = WORDS[data["parts"]["whole_file"]]
                console.print(f"Who has the whole file: {tables.share(whole)}, {words}")
            if table.key == "repair":
                console.print(one_line(table.caption))
    console.print()
    since = data.get("against", {}).get("lines", ())
    if since:
        console.print("Since the earlier audit:\n" + "\n".join(f"- {one_line(x)}" for x in since))
        console.print()
    steps = [f"{text} {how}".strip() for text, how in tables.next_steps(data, asked, folder)]
    for line in (*_findings(data), *_verdict(data), *map(one_line, steps)):
        console.print(line)


def _grid(table: tables.Table, columns: Iterable[int], most: int) -> Grid:
    grid = Grid(title=one_line(table.title), title_justify="left", title_style="bold", box=None,
                pad_edge=False, width=WIDTH)  # fmt: skip
    grid.add_column(table.columns[0], ratio=1, min_width=15, overflow="fold")
    for k in columns:
        grid.add_column(table.columns[1 + k], justify="right")
    for row in table.rows[:most]:
        grid.add_row(one_line(row.name), *(one_line(row.cells[k]) for k in columns))
    return grid


def _findings(data: Mapping[str, Any]) -> list[str]:
    found = tables.sorted_findings(data)
    lines = [f"{f['severity']}: {one_line(f['message'])}" for f in found[:_FINDINGS]]
    if len(found) > _FINDINGS:
        lines.append(f"… and {len(found) - _FINDINGS} more in audit.json")
    return [*lines, ""] if lines else []


def _verdict(data: Mapping[str, Any]) -> list[str]:
    words = tables.verdict_words(data)
    rest = one_line(tables.verdict_text(data).removeprefix(words))
    lines = [f"Verdict: {words.upper()}{rest}"]
    return [*lines, *(f"- {one_line(reason)}" for reason in data["reasons"]), ""]
