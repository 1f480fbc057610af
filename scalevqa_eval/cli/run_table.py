"""A run's summary as a table for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from scalevqa_eval.pages import fraction, one_line, percent, span

_NOTABLE = ("unparsed", "truncated", "refused")


def plain_table(
    title: Sequence[str] = (), notes: Sequence[str] = (), *, width: int = 79, padding: int = 1
) -> Table:
    """A table without lines; `title` stands above it and `notes` below."""
    return Table(
        title="\n".join(map(one_line, title)) or None,
        caption="\n".join(map(one_line, notes)) or None,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, padding),
        width=width,
    )


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The per-dimension table: k/n, percent and 95 % interval in each row, then what went wrong."""
    place = " ".join(filter(None, (summary["benchmark"], summary["split"])))
    title = f"{summary['model']} on {place}, {summary['condition']}"
    table = plain_table([title], _caption(summary), width=78)
    table.add_column("", ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column("k/n", justify="right", no_wrap=True)
    table.add_column("%", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name, row in summary["by_dimension"].items():
        table.add_row(one_line(name), _fraction(row), percent(row["accuracy"]), span(row["ci"]))
    table.add_section()
    micro, macro = summary["micro"], summary["macro"]
    table.add_row(
        "all questions (micro)", _fraction(micro), percent(micro["accuracy"]), span(micro["ci"])
    )
    if macro["dimensions"] > 1:
        table.add_row(
            f"mean of {macro['dimensions']} dimensions (macro)",
            "",
            percent(macro["accuracy"]),
            span(macro["ci"]),
        )
    if groups := summary.get("groups"):
        right = fraction(groups["correct"], groups["n"])
        cells = (right, percent(groups["accuracy"]), span(groups["ci"]))
        table.add_row("groups of one text, all right", *cells)
    for name, measure in summary.get("measures", {}).items():
        total = f"{measure['sum']:.1f}/{measure['n']}"
        table.add_row(
            one_line(f"measure: {name}"), total, percent(measure["mean"]), span(measure["ci"])
        )
    return table


def _caption(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    if not summary["complete"]:
        lines.append(
            f"INCOMPLETE: {summary['unanswered']}/{summary['questions']} questions have no answer "
            f"({summary['errors']} errors); they are in no number above."
        )
    if summary["measure"] != "accuracy":
        lines.append(f"Open questions: right means {summary['measure']}.")
    chance = summary.get("chance")
    if chance:
        lines.append(
            f"Guessing: {percent(chance['accuracy'])} %; corrected for it: "
            f"{percent(chance['corrected'])} %."
        )
    n, outcomes = summary["n"], summary["outcomes"]
    odd = [f"{outcomes[name]}/{n} {name}" for name in _NOTABLE if outcomes.get(name)]
    if odd:
        lines.append(f"Counted as wrong: {', '.join(odd)}.")
    form = summary.get("format_adherence")
    if form and form["followed"] < form["n"]:
        lines.append(f"Form of reply as asked for: {form['followed']}/{form['n']}.")
    if read := summary.get("reader"):
        lines.append(
            f"Read by {one_line(read['model'])}: {read['letters']}/{read['asked']} replies without "
            f"a clear letter, {read['correct']} of them right."
        )
    if bias := _letters(summary.get("position_bias", {})):
        lines.append(bias)
    if summary["not_applicable"]:
        lines.append(
            f"{summary['not_applicable']} questions are not part of this condition (nothing "
            "left to show)."
        )
    lines.append(f"Intervals: {summary['ci_method']}.")
    parts = _spent(summary)
    if summary["seconds"] is not None:
        parts.append(f"{summary['seconds']:.1f} s")
    if parts:
        lines.append(", ".join(parts))
    if read and (parts := _spent(read)):
        lines.append(f"The reader: {', '.join(parts)}.")
    return lines


def _letters(bias: Mapping[str, Any]) -> str:
    """How often each letter was chosen and was right, in percent; for up to six letters."""
    shares = [(x, row["chosen_share"], row["answers_share"]) for x, row in bias.items()]
    if not 0 < len(shares) <= 6 or any(None in share for share in shares):
        return ""
    said = ", ".join(f"{x} {100 * c:.0f} ({100 * a:.0f})" for x, c, a in shares)
    return f"Letters chosen, % (right, %): {said}."


def _spent(of: Mapping[str, Any]) -> list[str]:
    """Tokens and cost, of a run or of its reader."""
    tokens, cost = of["tokens"], of["cost"]
    if tokens["prompt_tokens"] is None:
        return []
    cached = f" ({tokens['cached_tokens']:,} cached)" if tokens["cached_tokens"] else ""
    return [
        f"tokens {tokens['prompt_tokens']:,} in{cached}",
        f"{tokens['completion_tokens'] or 0:,} out",
        "cost unknown (no price)" if cost is None else f"cost ${cost:.2f}",
    ]


def _fraction(row: Mapping[str, Any]) -> str:
    return f"{row['correct']}/{row['n']}"
