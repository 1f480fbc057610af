"""The parts of a row: texts, options and the answer. What is ambiguous is refused, not guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from scalevqa_eval.data.tables import BadRow, Repeated
from scalevqa_eval.types import LETTERS

MAX_TEXT = 100_000
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
    """A row makes no question; becomes a Defect."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_options(raw: Any) -> dict[str, str]:
    """Letter → text. Takes a mapping, or a list of texts (with letters in front of all, or none).

    Trailing nulls (Parquet pads shorter questions with them) are no options.
    """
    if isinstance(raw, Repeated):
        raise RowError("options", f"option {', '.join(raw.keys_repeated)} is given twice")
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
    options = {letter: text_of(value, f"option {letter}") for letter, value in pairs}
    if isinstance(raw, list):
        return dict(zip(options, strip_letters(list(options.values())), strict=True))
    return options


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

    An integer counts options from `index_from` if the card gives it. Raises RowError where it
    names none of them, or more than one.
    """
    letters = tuple(options)
    if isinstance(raw, int) and not isinstance(raw, bool) and index_from is not None:
        if 0 <= raw - index_from < len(letters):
            return letters[raw - index_from]
        raise RowError("answer", f"answer {raw} is not the position of an option")
    answer = text_of(raw, "answer").strip()
    if not answer:
        raise RowError("answer", "the answer is empty")
    if answer in options:
        return answer
    same = [letter for letter, text in options.items() if plain(text) == plain(answer)]
    match = _LETTER.match(answer)
    if match is not None and match[1].upper() in options:
        letter = match[1].upper()
        rest = plain(match["rest"] or "")
        if not same and rest in ("", plain(options[letter])):
            return letter
    if len(same) == 1:
        return same[0]
    if same:
        raise RowError("answer", f"answer {shorten(answer)} is the text of {' and '.join(same)}")
    raise RowError("answer", f"answer {shorten(answer)} is none of {'/'.join(letters)}")


def plain(text: str) -> str:
    """A text for comparison: case, runs of blanks and a final period do not count."""
    return _BLANKS.sub(" ", text).strip().removesuffix(".").casefold()


def check_object(row: Any) -> None:
    """Raise RowError unless the row is an object in which no field stands twice."""
    if isinstance(row, BadRow):
        raise RowError("json", row.message)
    if not isinstance(row, dict):
        raise RowError("type", f"the row is {kind_of(row)}, no object")
    if isinstance(row, Repeated):
        raise RowError("type", f"the field {', '.join(row.keys_repeated)} stands twice")


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


def kind_of(value: Any) -> str:
    """What a value is, in words for people."""
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def label_of(value: Any, field: str) -> str:
    """A name that is shown in tables and messages: a text or integer without control characters."""
    text = str(value) if type(value) is int else text_of(value, field)
    if _CONTROL.search(text):
        raise RowError("text", f"{field} {shorten(text)} holds control characters")
    return text


def check_value(value: Any, field: str, depth: int = 8) -> None:
    """Raise RowError unless a value can be written as strict JSON."""
    if depth == 0:
        raise RowError("type", f"{field} is nested too deeply")
    if isinstance(value, str):
        text_of(value, field)
    elif isinstance(value, dict):
        for key, item in value.items():
            check_value(key, field, depth - 1)
            check_value(item, field, depth - 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_value(item, field, depth - 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise RowError("type", f"{field} is {value}")
    elif value is not None and not isinstance(value, (bool, int)):
        raise RowError("type", f"{field} is {kind_of(value)}")


def shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
