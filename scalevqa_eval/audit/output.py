"""The files of an audit, written in one step each: page, badge, data sheet section, subsets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.audit import tables
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.errors import DataError
from scalevqa_eval.pages import markdown_text, visible
from scalevqa_eval.types import Question

FILE = "audit.json"
_RED, _AMBER, _GREEN, _GREY = "#a02414", "#7a5c00", "#1b6e4b", "#50565c"
_COLOURS = {"leaky": _RED, "undecided": _AMBER, "imbalanced": _AMBER, "measurable": _AMBER}
_LABEL = "text-only audit"
_CHARACTER = 7.0  # of 11 px text, on the wide side: textLength fits the text to it
_PAD = 8


def write_audit(
    data: Mapping[str, Any], directory: Path | str, questions: Sequence[Question] = ()
) -> Path:
    """Write all files of an audit from what audit.json holds; returns audit.json, written last.

    `questions` give the page the texts of its examples. Raises DataError if it cannot be written.
    """
    files = {
        "audit.html": to_html(data, questions),
        "badge.svg": badge_svg(data),
        "datasheet.md": datasheet(data),
        **subsets(data),
        FILE: text_of(data),
    }
    return [write_text(Path(directory) / name, text) for name, text in files.items()][-1]


def text_of(data: Mapping[str, Any]) -> str:
    """audit.json as text; the same audit gives the same bytes."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> Path:
    """Write a file in one step, making its directory. Raises DataError if that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def subsets(data: Mapping[str, Any]) -> dict[str, str]:
    """File name → ids, one a line, in order: what all probes combined have right, and wrong.

    Right is what is chosen in more than half of the assignments to folds, ties counted in part.
    Ids alone, no texts; an id with a line break in it is left out.
    """
    easy = {row["id"]: row["credit"] > 0.5 for row in data["questions"]}
    ids = sorted(id_ for id_ in easy if len(id_.splitlines()) == 1)
    return {
        "easy.txt": "".join(f"{id_}\n" for id_ in ids if easy[id_]),
        "hard.txt": "".join(f"{id_}\n" for id_ in ids if not easy[id_]),
    }


def badge_svg(data: Mapping[str, Any]) -> str:
    """A badge with the verdict of an audit.json in words. Needs no font and no link.

    It is green only where language models were asked, too: else knowledge was not tested.
    """
    words = tables.verdict_words(data)
    known = data["parts"]["knowledge"] != "not tested"
    colour = _COLOURS.get(data["verdict"], _GREEN if known else _GREY)
    left = round(len(_LABEL) * _CHARACTER) + 2 * _PAD
    right = round(len(words) * _CHARACTER) + 2 * _PAD
    width = left + right
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>'
        for x, length, text in (
            (_PAD, left - 2 * _PAD, _LABEL),
            (left + _PAD, right - 2 * _PAD, words),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" '
        f'viewBox="0 0 {width} 20" role="img" aria-label="{_LABEL}: {words}">'
        f"<title>{_LABEL}: {words}</title>"
        f'<rect width="{width}" height="20" rx="4" fill="#33383e"/>'
        f'<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4}z" '
        f'fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


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
