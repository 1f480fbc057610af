"""The section on text-only leakage for a dataset card, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalevqa_eval.audit import tables
from scalevqa_eval.pages import markdown_text, visible

_PHRASES = 5
_FINDINGS = 12
_TABLES = ("transfer", "blind", "visual")


def datasheet(data: Mapping[str, Any]) -> str:
    """A Markdown section to paste into a dataset card, from what audit.json holds."""
    benchmark = data["benchmark"]
    found = {table.key: table for table in tables.tables(data)}
    clusters = ""
    if benchmark["clusters_from"]:
        clusters = f", {benchmark['clusters']} clusters ({_plain(benchmark['clusters_from'])})"
    lines = [
        "## Can it be answered without the images?",
        "",
        _plain(tables.first_line(data)),
        "",
        f"**Verdict: {tables.verdict_words(data)}.** {_plain(tables.name_of(benchmark))}, "
        f"{benchmark['audited']} questions{clusters}; revision `{_code(benchmark['revision'])}`; "
        f"audited with scalevqa-eval {data['versions']['scalevqa-eval']}, seed "
        f"{data['settings']['seed']}, {data['settings']['permutations']} redraws. Looked for: "
        f"{_plain(data['scope'])}.",
        "",
        *_table(found["dimensions"]),
    ]
    for key in _TABLES:
        if key in found:
            lines += [f"**{_plain(found[key].title)}**", "", *_table(found[key])]
    if "phrases" in found:
        lines += ["Phrases that give options away:", ""]
        for row in found["phrases"].rows[:_PHRASES]:
            where, rate, chance, slides, way = row.cells
            lines.append(
                _plain(f"{row.name} ({where}): in the right option in {rate}, by chance {chance} "
                       f"%, from {slides} slides; it {way}").join(("- ", "."))
            )  # fmt: skip
        lines.append("")
    serious = [f for f in tables.sorted_findings(data) if f["severity"] != "note"]
    if serious:
        lines += ["Findings about the data:", ""]
        lines += [f"- {f['severity']}: {_plain(f['message'])}" for f in serious[:_FINDINGS]]
        if len(serious) > _FINDINGS:
            lines.append(f"- and {len(serious) - _FINDINGS} more")
        lines.append("")
    lines.append(
        "Intervals are clustered; a leak is what is above the commonest label of each set of "
        f"options; the margin is {100 * data['settings']['margin']:g} points."
    )
    return "\n".join(lines) + "\n"


def _table(table: tables.Table) -> list[str]:
    columns = [table.columns[0] or "questions", *table.columns[1:]]
    rows = [[row.name, *row.cells] for row in table.rows]
    lines = [columns, ["---"] * len(columns), *([_plain(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _plain(text: str) -> str:
    return markdown_text(visible(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _code(text: str) -> str:
    return visible(text).replace("`", "'").replace("|", "/").replace("\n", " ")[:80]
