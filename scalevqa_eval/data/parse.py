"""Rows → questions. A row that makes no question becomes a Defect; nothing is guessed."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from scalevqa_eval.data.card import Card
from scalevqa_eval.data.readers import BadRow, Repeated
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import LETTERS, SCALES, Question, View

MAX_TEXT = 100_000
MAX_QUESTIONS, MAX_DEFECTS = 2_000_000, 10_000
_LETTER = re.compile(r"\(?([A-Za-z])\s*(?:[).:](?P<rest>.*))?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BLANKS = re.compile(r"\s+")
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    bytes: "binary data",
    type(None): "null",
}


class RowError(Exception):
    """A row makes no question; becomes a Defect of this kind."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


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
class SplitParser:
    """What makes questions of the rows of one split; `store_image` keeps embedded images."""

    card: Card
    split: str
    image_root: Path
    store_image: Callable[[bytes], str]
    _views: dict[tuple[View, ...], tuple[View, ...]] = field(default_factory=dict)

    def question(self, row: Any, name: str) -> Question:
        """The question of a row of a table. Raises RowError."""
        card, fields = self.card, self.card.fields
        check_object(row)
        options: dict[str, str] = {}
        if fields.options:
            options = read_options(_needed(row, fields.options, "options", "there are no options"))
        raw_answer = _needed(row, fields.answer, "answer", "there is no answer")
        answer = (
            resolve_answer(raw_answer, options, card.answer_index_from)
            if options
            else text_of(raw_answer, "answer")
        )
        text = _needed(row, fields.text, "question text", "there is no question text")
        dimension = pick(row, fields.dimension)
        label = "all" if dimension is None else label_of(dimension, "dimension")
        slide = pick(row, fields.slide)
        extra = {key: pick(row, paths) for key, paths in fields.extra.items()}
        return self.make(
            id=name,
            text=text_of(text, "question"),
            options=options,
            answer=answer,
            views=self.views(row),
            dimension=card.dimensions.get(label, label) or "all",
            slide=None if slide is None else label_of(slide, "slide") or None,
            rationale=text_of(pick(row, fields.rationale) or "", "rationale"),
            extra={
                key: check_value(value, f"extra.{key}")
                for key, value in extra.items()
                if value is not None
            },
        )

    def make(self, **parts: Any) -> Question:
        """A Question of this split, with what it objects to as a RowError.

        What many questions share is kept once: views, slides, dimensions.
        """
        views = parts["views"]
        parts["views"] = self._views.setdefault(views, views)
        for name in ("slide", "dimension"):
            parts[name] = parts[name] and sys.intern(parts[name])
        try:
            return Question(split=self.split, **parts)
        except ValueError as error:
            raise RowError("options" if "option" in str(error) else "answer", str(error)) from None

    def views(self, row: Mapping[str, Any]) -> tuple[View, ...]:
        """The views of a row in the order low, mid, high, single; an absent scale is no view."""
        views = []
        for scale in SCALES:
            for dotted in self.card.fields.views.get(scale, ()):
                value = pick(row, (dotted,))
                # `image_path` may be a mapping of scales or one path, depending on the row.
                if isinstance(value, dict) and not value.keys() & {"bytes", "path"}:
                    continue
                if value is not None and value != "":
                    image = self.image(value)
                    views.append(View(scale, image, self.card.magnifications.get(scale, "")))
                    break
        return tuple(views)

    def single_view(self, image: Any) -> tuple[View, ...]:
        """The one view of a question that has no scales."""
        return (View("single", self.image(image), self.card.magnifications.get("single", "")),)

    def image(self, value: Any) -> str:
        """A path relative to the image root; embedded bytes are stored and named by content."""
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return self.store_image(value)
        if not isinstance(value, str):
            raise RowError("type", f"an image is named by {kind_of(value)}, not by a path")
        path = value.replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/") or re.match(r"[A-Za-z]:", path):
            raise RowError(
                "path", f"the image path {shorten(value)} leads out of the image directory"
            )
        return label_of(path, "image path")


# A row's place, its question's id, and what makes the question of it.
Row = tuple[int | str, str, Callable[[], Question]]


def table_rows(rows: Iterable[Any], parser: SplitParser) -> Iterator[Row]:
    """The rows of a table whose fields the card names."""
    for number, row in enumerate(rows, start=1):
        name = question_id(row, number, parser.card, parser.split)
        yield number, name, partial(parser.question, row, name)


def read_rows(rows: Iterable[Row], place: Path) -> tuple[list[Question], list[Defect]]:
    """The questions, ids unique, and the rows that are none. Raises DataError on endless ones."""
    first_row: dict[str, int | str] = {}
    questions: list[Question] = []
    defects: list[Defect] = []
    for row, name, make in rows:
        try:
            question = make()
            if question.id in first_row:
                first = first_row[question.id]
                message = f"the id {shorten(question.id)} was used before, in row {first}"
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
        first_row[question.id] = row
        if len(questions) > MAX_QUESTIONS:
            raise DataError(f"{place} holds more than {MAX_QUESTIONS:,} questions")
    return questions, defects


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


def _needed(row: Any, paths: tuple[str, ...], name: str, complaint: str) -> Any:
    value = pick(row, paths)
    if value is None:
        where = f"field {' or '.join(paths)}" if paths else f"the card names no field for {name}"
        raise RowError("missing", f"{complaint} ({where})")
    return value


def read_options(raw: Any) -> dict[str, str]:
    """Letter → text. Takes a mapping, or a list of texts (with letters in front of all, or none).

    Numbers are taken as texts. Trailing nulls (Parquet pads shorter questions with them) are no
    options.
    """
    if isinstance(raw, Repeated):
        raise RowError("options", f"option {shorten_all(raw.keys_repeated)} is given twice")
    if isinstance(raw, list) and raw and all(isinstance(x, tuple) and len(x) == 2 for x in raw):
        raw = dict(raw)  # a Parquet map
    if isinstance(raw, dict):
        pairs = [(str(key).strip().upper(), value) for key, value in raw.items()]
    elif isinstance(raw, list):
        if len(raw) > len(LETTERS):
            raise RowError("options", f"2 to 26 options are needed, not {len(raw)}")
        pairs = list(zip(LETTERS, raw, strict=False))
    else:
        raise RowError("options", f"the options are {kind_of(raw)}, no object or list")
    while pairs and pairs[-1][1] is None:
        pairs.pop()
    if len(pairs) < 2:
        raise RowError("options", f"2 to 26 options are needed, not {len(pairs)}")
    if len(dict(pairs)) != len(pairs):
        raise RowError("options", "two options have the same letter")
    options = {
        sys.intern(key): text_of(_number_as_text(value), f"option {shorten(key)[1:-1]}")
        for key, value in pairs
    }
    if isinstance(raw, list):
        return dict(zip(options, strip_letters(list(options.values())), strict=True))
    return options


def _number_as_text(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return json.dumps(value) if math.isfinite(value) else value


def strip_letters(texts: list[str]) -> list[str]:
    """Texts without their prefixes `A) `, `B) `, … if all of them have one, in sequence.

    Otherwise the texts as they are: "A) …" may be part of a text.
    """
    stripped = []
    for letter, text in zip(LETTERS, texts, strict=False):
        match = re.match(rf"\s*\(?{letter}\)", text)
        if match is None:
            return texts
        stripped.append(text[match.end() :].strip())
    return stripped


def resolve_answer(raw: Any, options: Mapping[str, str], index_from: int | None = None) -> str:
    """The letter that an answer names: a letter in either case, `A)`, `A) text`, or a full text.

    A number counts options from `index_from` if the card gives it; else it is the text of an
    option. Raises RowError where the answer names none of them, or more than one.
    """
    letters = tuple(options)
    if isinstance(raw, int) and not isinstance(raw, bool) and index_from is not None:
        if 0 <= raw - index_from < len(letters):
            return letters[raw - index_from]
        raise RowError("answer", f"answer {shorten(str(raw))} is not the position of an option")
    number = _number_as_text(raw)
    answer = text_of(number if number in options.values() else raw, "answer").strip()
    if not answer:
        raise RowError("answer", "the answer is empty")
    if answer in options:
        return answer
    same = [letter for letter, text in options.items() if folded(text) == folded(answer)]
    match = _LETTER.match(answer)
    if match is not None and match[1].upper() in options:
        letter = match[1].upper()
        rest = folded(match["rest"] or "")
        if not same and rest in ("", folded(options[letter])):
            return letter
    if len(same) == 1:
        return same[0]
    if same:
        raise RowError("answer", f"answer {shorten(answer)} is the text of {' and '.join(same)}")
    raise RowError("answer", f"answer {shorten(answer)} is none of {'/'.join(letters)}")


def folded(text: str) -> str:
    """A text for comparison: case, runs of blanks and a final period do not count."""
    return _BLANKS.sub(" ", text).strip().removesuffix(".").casefold()


def check_object(row: Any) -> None:
    """Raise RowError unless the row is an object in which no field stands twice."""
    if isinstance(row, BadRow):
        raise RowError("json", row.message)
    if not isinstance(row, dict):
        raise RowError("type", f"the row is {kind_of(row)}, no object")
    if isinstance(row, Repeated):
        raise RowError("type", f"the field {shorten_all(row.keys_repeated)} stands twice")


def text_of(value: Any, field: str) -> str:
    """A text that can be sent and stored. Raises RowError naming the field."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RowError("type", f"{field} is {value}, not a text")
    if not isinstance(value, str):
        raise RowError("type", f"{field} is {kind_of(value)}, not a text")
    if len(value) > MAX_TEXT:
        message = f"{field} has {len(value):,} characters; at most {MAX_TEXT:,} are taken"
        raise RowError("too-long", message)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError("text", f"{field} holds half of a surrogate pair") from None
    return value


def label_of(value: Any, field: str) -> str:
    """A name that is shown in tables and messages: a text or integer without control characters."""
    text = text_of(str(value) if type(value) is int else value, field)
    if _CONTROL.search(text):
        raise RowError("text", f"{field} {shorten(text)} holds control characters")
    return text


def check_value(value: Any, field: str, depth: int = 8) -> Any:
    """The value, if it can be written as strict JSON; raises RowError otherwise."""
    if depth == 0:
        raise RowError("type", f"{field} is nested too deeply")
    if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
        text_of(value, field)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_value(key, field, depth - 1)
            check_value(item, field, depth - 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_value(item, field, depth - 1)
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise RowError("type", f"{field} is {kind_of(value)}")
    return value


def kind_of(value: Any) -> str:
    """What a value is, in words for people."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")


def shorten_all(texts: tuple[str, ...]) -> str:
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(shorten(text)[1:-1] for text in texts[:3]) + more
