"""Rows → questions. A row that makes no question becomes a Defect; nothing is guessed."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from scalevqa_eval.data.card import Card, Fields
from scalevqa_eval.data.readers import Repeated, RowError, kind_of
from scalevqa_eval.data.values import (
    MAX_TEXT,
    label_of,
    read_options,
    resolve_answer,
    shorten,
    text_of,
)
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import STARTS, leads_out
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.types import SCALES, Question, View

MAX_QUESTIONS, MAX_DEFECTS = 2_000_000, 10_000

# A row's place in the file, its question's id, and its values (or a RowError in their place).
Row = tuple[int | str, str, Any]


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
class Parser:
    """What makes questions of the rows of one split; `embedded` names the images kept of them."""

    card: Card
    split: str
    fields: Fields
    embedded: set[str]
    # What many questions share is kept once: views here, slides and dimensions by interning.
    _views: dict[tuple[View, ...], tuple[View, ...]] = field(default_factory=dict)

    def read(self, rows: Iterable[Row], place: Path) -> tuple[list[Question], list[Defect]]:
        """The questions, ids unique, and the rows that are none.

        Raises DataError if there is no end of either.
        """
        first_row: dict[str, int | str] = {}
        questions: list[Question] = []
        defects: list[Defect] = []
        for row, name, values in rows:
            try:
                question = self.question(values, name)
                if name in first_row:
                    message = f"the id {shorten(name)} was used before, in row {first_row[name]}"
                    raise RowError("duplicate-id", message)
            except RowError as error:
                defects.append(Defect(row, name, error.kind, str(error)[:500]))
                if len(defects) > MAX_DEFECTS:
                    raise DataError(
                        f"{place}: more than {MAX_DEFECTS:,} rows are no question; "
                        f"row {defects[0].row}: {defects[0].message}"
                    ) from None
                continue
            questions.append(question)
            first_row[name] = row
            if len(questions) > MAX_QUESTIONS:
                raise DataError(f"{place} holds more than {MAX_QUESTIONS:,} questions")
        return questions, defects

    def question(self, row: Any, name: str) -> Question:
        """The question of a row. Raises RowError."""
        if isinstance(row, RowError):
            raise row
        if not isinstance(row, dict):
            raise RowError("type", f"the row is {kind_of(row)}, no object")
        if isinstance(row, Repeated):
            raise RowError("type", f"the field {shorten(row.twice)} stands twice")
        card, fields = self.card, self.fields
        options: dict[str, str] = {}
        if fields.options:
            shown = _needed(row, fields.options, "options")
            options = read_options(shown)
            written = shown if isinstance(shown, list) else []
            raw_answer = _needed(row, fields.answer, "answer")
            answer = resolve_answer(raw_answer, options, written, card.answer_index_from)
        else:
            answer = text_of(_needed(row, fields.answer, "answer"), "answer")
        dimension, slide = pick(row, fields.dimension), pick(row, fields.slide)
        label = "all" if dimension is None else label_of(dimension, "dimension")
        slide = "" if slide is None else label_of(slide, "slide")
        views = self.views(row)
        try:
            return Question(
                id=name,
                text=text_of(_needed(row, fields.text, "question text"), "question"),
                options=options,
                answer=answer,
                views=self._views.setdefault(views, views),
                dimension=sys.intern(card.dimensions.get(label, label) or "all"),
                slide=sys.intern(slide) or None,
                split=self.split,
                rationale=text_of(pick(row, fields.rationale) or "", "rationale"),
                extra=_extra(row, fields.extra),
            )
        except ValueError as error:
            raise RowError("options" if "option" in str(error) else "answer", str(error)) from None

    def views(self, row: Mapping[str, Any]) -> tuple[View, ...]:
        """The views of a row in the order low, mid, high, single; an absent scale is no view."""
        views = []
        for scale in SCALES:
            for dotted in self.fields.views.get(scale, ()):
                value = pick(row, (dotted,))
                # `image_path` may be a mapping of scales or one path, depending on the row.
                if isinstance(value, dict) and not value.keys() & {"bytes", "path"}:
                    continue
                if value is not None and value != "":
                    image = self.image(value)
                    views.append(View(scale, image, self.card.magnifications.get(scale, "")))
                    break
        return tuple(views)

    def image(self, value: Any) -> str:
        """A path relative to the image root; embedded bytes are stored and named by content."""
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            self.embedded.add(name := keep_embedded(value))
            return name
        if not isinstance(value, str):
            raise RowError("type", f"an image is named by {kind_of(value)}, not by a path")
        if leads_out(value):
            message = f"the image path {shorten(value)} leads out of the image directory"
            raise RowError("path", message)
        return label_of(value.replace("\\", "/"), "image path")


def embedded_directory() -> Path:
    """Where images lie that question files carry as bytes."""
    return cache_directory() / "embedded"


def keep_embedded(data: bytes) -> str:
    """Store an image once; its path in `embedded_directory`. Raises RowError if it is none."""
    suffix = next((suffix for start, suffix in STARTS.items() if data.startswith(start)), None)
    if suffix is None:
        raise RowError("type", "the embedded image is in no known image format")
    digest = hashlib.sha256(data).hexdigest()
    target = embedded_directory() / digest[:2] / f"{digest}{suffix}"
    try:
        if not target.is_file() or target.stat().st_size != len(data):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as aside:
                aside.write(data)
            Path(aside.name).replace(target)
    except OSError as error:
        raise DataError(
            f"cannot write images to {embedded_directory()} ({error.strerror}): set SCALEVQA_CACHE"
        ) from error
    return f"{digest[:2]}/{target.name}"


def question_id(row: Any, number: int, card: Card, split: str) -> str:
    """The id of a question from the one that its row gives, or else from the row's number."""
    name = row_name(pick(row, card.fields.id), number)
    return card.ids.replace("{split}", split).replace("{id}", name)


def row_name(raw: Any, number: int) -> str:
    """The id that a row gives itself, or its number if that is no printable text or integer."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raw = ""
    name = str(raw)[:200]
    return name if name and name.isprintable() else f"row{number}"


def pick(row: Any, paths: tuple[str, ...]) -> Any:
    """The value at the first of the dotted paths that is there and not null, else None."""
    for dotted in paths:
        value = row
        for key in _keys(dotted):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


@cache
def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(dotted.split("."))


def _needed(row: Any, paths: tuple[str, ...], name: str) -> Any:
    value = pick(row, paths)
    if value is None:
        where = f"field {' or '.join(paths)}" if paths else "the card names no field for it"
        raise RowError("missing", f"no {name} ({where})")
    return value


def _extra(row: Any, fields: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Values to be kept with a question, if they can be written as JSON."""
    found = {key: pick(row, paths) for key, paths in fields.items()}
    found = {key: value for key, value in found.items() if value is not None}
    try:
        size = len(json.dumps(found, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise RowError("type", f"extra values cannot be kept ({error})") from None
    if size > MAX_TEXT:
        raise RowError("too-long", f"extra values have {size:,} bytes; at most {MAX_TEXT:,} do")
    return found
