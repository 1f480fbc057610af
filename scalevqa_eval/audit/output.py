"""The files of an audit, written in one step each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.audit import tables
from scalevqa_eval.audit.datasheet import datasheet
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.errors import DataError
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
