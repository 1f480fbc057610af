"""The files of a repair: the questions, what became of each, and the reviewer's worksheet."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from scalevqa_eval.audit.reading import raw_rows
from scalevqa_eval.audit.repair.blocks import Block
from scalevqa_eval.data import Card, Loaded, pick
from scalevqa_eval.images import ImageStore
from scalevqa_eval.pages import csv_text, environment, one_line
from scalevqa_eval.types import LETTERS, Benchmark, Question

_COLUMNS = (
    "block", "question", "slide", "dimension", "images", "original question", "new question",
    "letter", "option", "borrowed from", "its slide", "false for these images (yes/no/unsure)",
    "comment",
)  # fmt: skip


def block_files(
    benchmark: Benchmark, blocks: Sequence[Block], audited: Sequence[Question],
    loaded: Loaded | None, seed: int,
) -> dict[str, str]:  # fmt: skip
    """File name → text. `loaded` keeps the rows' other fields; `audited` were all to be blocked."""
    new = [question for block in blocks for question in block.questions()]
    changed = {q.id: (q, block) for block in blocks for q in block.questions()}
    original = {} if loaded is None else raw_rows(loaded)
    dataset = _file_name(benchmark.split)
    changes = {
        "method": "blocks",
        "seed": seed,
        "source": {"name": benchmark.name, "split": benchmark.split,
                   "revision": benchmark.revision},
        "dataset": dataset,
        "questions": [
            _change(question, *changed[question.id]) if question.id in changed
            else {"id": question.id, "action": "removed", "reason": "fits into no block"}
            for question in audited
        ],
    }  # fmt: skip
    root, base = benchmark.image_root, None
    if root is not None and not ImageStore(root).check(new[:1]):
        base = root.absolute().as_uri()
    return {
        dataset: _text(_rows(new, original, None if loaded is None else loaded.card)),
        "changes.json": _text(changes),
        "worksheet.csv": _worksheet_csv(blocks),
        "worksheet.html": _worksheet_html(blocks, benchmark, base),
    }


def _text(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _change(old: Question, new: Question, block: Block) -> dict[str, Any]:
    owners = zip(new.options, block.members, strict=True)
    return {
        "id": old.id,
        "action": "changed",
        "block": block.id,
        "slide_group": new.extra["slide_group"],
        "was": {"question": old.text, "options": dict(old.options), "answer": old.answer},
        "answer": new.answer,
        "borrowed": {letter: owner.id for letter, owner in owners if owner.id != old.id},
    }


def _rows(
    questions: Sequence[Question], originals: Mapping[str, dict[str, Any]], card: Card | None
) -> list[dict[str, Any]]:
    """Each row as it was, with what has changed put in its place.

    Questions without an original row, or with one that JSON cannot hold, are written in the
    Scale-VQA format.
    """
    rows = []
    for question in questions:
        row = originals.get(question.id)
        changed = None if row is None or card is None else _changed(row, question, card)
        rows.append(changed or _scale_vqa_row(question))
    return rows


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


def _scale_vqa_row(question: Question) -> dict[str, Any]:
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


def _file_name(split: str) -> str:
    """A question file's ids begin with its stem, so that this name keeps the ids as they are."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in split).lstrip("._-")
    return f"{safe or 'questions'}.json"


def _worksheet_csv(blocks: Sequence[Block]) -> str:
    """One row per question and borrowed option; no cell can become a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for block in blocks:
        for question in block.members:
            for letter, owner in zip(LETTERS, block.members, strict=False):
                if owner is question:
                    continue
                cells = (
                    block.id, question.id, question.slide or "", question.dimension,
                    " ".join(question.image_set), question.text, block.wording, letter,
                    owner.options[owner.answer], owner.id, owner.slide or "", "", "",
                )  # fmt: skip
                writer.writerow([csv_text(cell) for cell in cells])
    return stream.getvalue()


def _worksheet_html(blocks: Sequence[Block], benchmark: Benchmark, base: str | None) -> str:
    """The worksheet as a page to read and print; images are linked where their `base` is known."""
    made = environment("scalevqa_eval.audit")
    made.globals |= {"letters": LETTERS, "quote": quote}
    made.filters["one_line"] = one_line
    name = " ".join(dict.fromkeys((benchmark.name, benchmark.split)))
    borrowed = sum(block.borrowed for block in blocks)
    template = made.get_template("worksheet.html.j2")
    return template.render(name=name, blocks=blocks, borrowed=borrowed, base=base) + "\n"
