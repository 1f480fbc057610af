"""Rows → questions. A row that makes no question becomes a Defect; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.fields import (
    RowError,
    check_object,
    check_value,
    kind_of,
    label_of,
    read_options,
    resolve_answer,
    shorten,
    text_of,
)
from scalevqa_eval.data.tables import Document, find_rows
from scalevqa_eval.types import SCALES, Question, View

StoreImage = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Defect:
    """A row that is no question.

    `row` counts from 1 (or names the place, as in `PubMed/val/12`); `kind` is one of json, type,
    missing, options, answer, duplicate-id, too-long, path, text.
    """

    row: int | str
    id: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a reader needs besides the rows; `store_image` keeps embedded images."""

    card: Card
    split: str
    image_root: Path
    store_image: StoreImage


def read_questions(
    document: Document, context: Context
) -> tuple[tuple[Question, ...], tuple[Defect, ...]]:
    """All questions of one split of a document, and the rows that are none. Ids are unique."""
    questions: dict[str, Question] = {}
    defects: list[Defect] = []
    first_row: dict[str, int | str] = {}
    for row, name, make in _ROWS[context.card.format](document, context):
        try:
            question = make()
        except RowError as error:
            defects.append(Defect(row, name, error.kind, str(error)))
            continue
        if question.id in questions:
            first = first_row[question.id]
            message = f"the id {shorten(question.id)} was used before, in row {first}"
            defects.append(Defect(row, question.id, "duplicate-id", message))
            continue
        questions[question.id] = question
        first_row[question.id] = row
    return tuple(questions.values()), tuple(defects)


Rows = Iterator[tuple[int | str, str, Callable[[], Question]]]


def _table_rows(document: Document, context: Context) -> Rows:
    for number, row in enumerate(find_rows(document, context.card.rows), start=1):
        name = _id(row, number, context)

        def make(row: Any = row, name: str = name) -> Question:
            return _table_question(row, name, context)

        yield number, name, make


def _table_question(row: Any, name: str, context: Context) -> Question:
    card, fields = context.card, context.card.fields
    check_object(row)
    options: dict[str, str] = {}
    raw_options = pick(row, fields.options)
    if fields.options:
        if raw_options is None:
            raise RowError("missing", f"there are no options (field {_names(fields.options)})")
        options = read_options(raw_options)
    raw_answer = pick(row, fields.answer)
    if raw_answer is None:
        raise RowError("missing", f"there is no answer (field {_names(fields.answer)})")
    answer = (
        resolve_answer(raw_answer, options, card.answer_index_from)
        if options
        else text_of(raw_answer, "answer")
    )
    text = pick(row, fields.text)
    if text is None:
        raise RowError("missing", f"there is no question text (field {_names(fields.text)})")
    dimension = pick(row, fields.dimension)
    label = "all" if dimension is None else label_of(dimension, "dimension")
    slide = pick(row, fields.slide)
    extra = {key: pick(row, paths) for key, paths in fields.extra.items()}
    for key, value in extra.items():
        check_value(value, f"extra.{key}")
    return make_question(
        id=name,
        text=text_of(text, "question"),
        options=options,
        answer=answer,
        views=read_views(row, context),
        dimension=card.dimensions.get(label, label) or "all",
        slide=None if slide is None else label_of(slide, "slide") or None,
        split=context.split,
        rationale=text_of(pick(row, fields.rationale) or "", "rationale"),
        extra={key: value for key, value in extra.items() if value is not None},
    )


def make_question(**parts: Any) -> Question:
    """A Question, with what it objects to as a RowError."""
    try:
        return Question(**parts)
    except ValueError as error:
        raise RowError("options" if "option" in str(error) else "answer", str(error)) from None


def _id(row: Any, number: int, context: Context) -> str:
    raw = pick(row, context.card.fields.id) if isinstance(row, dict) else None
    name = row_name(raw, number)
    return context.card.ids.replace("{split}", context.split).replace("{id}", name)


def row_name(raw: Any, number: int) -> str:
    """The id that a row gives itself, or its number if that is no printable text or integer."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)) or not str(raw).isprintable():
        raw = ""
    return str(raw)[:200] or f"row{number}"


def read_views(row: Mapping[str, Any], context: Context) -> tuple[View, ...]:
    """The views of a row in the order low, mid, high, single; an absent scale is no view."""
    views = []
    paths = context.card.fields.views
    for scale in SCALES:
        image = None
        for candidate in paths.get(scale, ()):
            value = pick(row, (candidate,))
            # `image_path` may be a mapping of scales or one path, depending on the row.
            if isinstance(value, dict) and not value.keys() & {"bytes", "path"}:
                continue
            if value is not None and value != "":
                image = image_reference(value, context)
                break
        if image is not None:
            magnification = context.card.magnifications.get(scale, "")
            views.append(View(scale, image, magnification))
    return tuple(views)


def image_reference(value: Any, context: Context) -> str:
    """A path relative to the image root; embedded bytes are stored and named by their content."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return context.store_image(value)
    if not isinstance(value, str):
        raise RowError("type", f"an image is named by {kind_of(value)}, not by a path")
    path = PurePosixPath(value.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", value):
        raise RowError("path", f"the image path {shorten(value)} leads out of the image directory")
    return label_of(value, "image path")


def pick(row: Any, paths: tuple[str, ...]) -> Any:
    """The value at the first of the dotted paths that is there and not null, else None."""
    for dotted in paths:
        value = row
        for key in dotted.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _names(paths: tuple[str, ...]) -> str:
    return " or ".join(paths)


def _special_rows(document: Document, context: Context) -> Rows:
    from scalevqa_eval.data import formats as special_readers

    if context.card.format == "pathmmu":
        return special_readers.pathmmu_rows(document, context)
    return special_readers.conversation_rows(document, context)


_ROWS: Mapping[str, Callable[[Document, Context], Rows]] = {
    "table": _table_rows,
    "pathmmu": _special_rows,
    "conversations": _special_rows,
}
