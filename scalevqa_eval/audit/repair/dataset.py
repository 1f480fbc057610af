"""Writing a repaired benchmark as a question file, with the fields that its rows had."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from scalevqa_eval.data import Card, pick
from scalevqa_eval.types import Question


def rows_text(
    questions: Sequence[Question], originals: Mapping[str, dict[str, Any]], card: Card | None
) -> str:
    """A JSON file of questions: each row as it was, with what has changed put in its place.

    Questions without an original row, or with one that JSON cannot hold, are written in the
    Scale-VQA format.
    """
    rows = []
    for number, question in enumerate(questions, start=1):
        row = originals.get(question.id)
        changed = None if row is None or card is None else _changed(row, question, card)
        rows.append(changed or scale_vqa_row(question, number))
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _changed(row: dict[str, Any], question: Question, card: Card) -> dict[str, Any] | None:
    new = copy.deepcopy(row)
    fields = card.fields
    _put(new, fields.text, question.text)
    _put(new, fields.options, dict(question.options))
    _put(new, fields.answer, question.answer)
    for key in ("block", "slide_group"):
        if key in question.extra:
            info = new.setdefault("extra_info", {})
            if not isinstance(info, dict):
                return None
            info[key] = question.extra[key]
    try:
        json.dumps(new, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return new


def _put(row: dict[str, Any], paths: tuple[str, ...], value: Any) -> None:
    """Set the field that was read: the first of the paths that is there."""
    dotted = next((p for p in paths if pick(row, (p,)) is not None), paths[0])
    *parents, last = dotted.split(".")
    for key in parents:
        row = row.setdefault(key, {})
    row[last] = value


def scale_vqa_row(question: Question, number: int) -> dict[str, Any]:
    """A question as a row of the Scale-VQA format; its id ends in the row's `No`."""
    name = question.id.removeprefix(f"{question.split}-") if question.split else question.id
    paths: Any = {f"{view.scale}_mag": view.image for view in question.views}
    if [view.scale for view in question.views] == ["single"]:
        paths = question.views[0].image
    return {
        "No": int(name) if name.isascii() and name.isdigit() else name,
        "question": question.text,
        "options": dict(question.options),
        "answer": question.answer,
        "rationale": question.rationale,
        "image_path": paths,
        "extra_info": {
            **dict(question.extra),
            "wsi_name": question.slide,
            "question_type": question.dimension,
        },
    }


def file_name(split: str) -> str:
    """A question file's ids begin with its stem, so that this name keeps the ids as they are."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in split).lstrip("._-")
    return f"{safe or 'questions'}.json"
