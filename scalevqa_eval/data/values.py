"""A row's values: texts, options and the answer that names one of them. Nothing is guessed."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from scalevqa_eval.data.readers import RowError, kind_of
from scalevqa_eval.types import LETTERS

MAX_TEXT = 100_000
_LETTER = re.compile(r"\(?([A-Za-z])\s*(?:[).:](?P<rest>.*))?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_options(raw: Any) -> dict[str, str]:
    """Letter → text. Takes a mapping, or a list of texts (with letters in front of all, or none).

    Numbers are taken as texts. Trailing nulls (Parquet pads shorter questions with them) are no
    options.
    """
    if isinstance(raw, list) and raw and all(isinstance(x, tuple) and len(x) == 2 for x in raw):
        raw = dict(raw)  # a Parquet map
    if isinstance(raw, dict):
        letters, texts = [str(key).strip().upper() for key in raw], list(raw.values())
    elif isinstance(raw, list):
        letters, texts = list(LETTERS), list(raw)
    else:
        raise RowError("options", f"the options are {kind_of(raw)}, no object or list")
    while texts and texts[-1] is None:
        texts.pop()
    if not 2 <= len(texts) <= len(LETTERS):
        raise RowError("options", f"2 to 26 options are needed, not {len(texts)}")
    letters = [sys.intern(letter) for letter in letters[: len(texts)]]
    if len(set(letters)) < len(letters):
        raise RowError("options", "two options have the same letter")
    texts = [
        text_of(_number_as_text(text), f"option {letter[:60]}")
        for letter, text in zip(letters, texts, strict=True)
    ]
    if isinstance(raw, list):
        texts = strip_letters(texts)
    return dict(zip(letters, texts, strict=True))


def _number_as_text(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return json.dumps(value) if math.isfinite(value) else value


def strip_letters(texts: list[str]) -> list[str]:
    """Texts without their prefixes `A) `, `B) `, … if all of them have one, in sequence.

    Otherwise the texts as they are: "A) …" may be part of a text.
    """
    found = [re.match(rf"\s*\(?{x}\)", text) for x, text in zip(LETTERS, texts, strict=False)]
    if not all(found):
        return texts
    return [text[match.end() :].strip() for text, match in zip(texts, found, strict=True) if match]


def resolve_answer(
    raw: Any, options: Mapping[str, str], written: list[Any], index_from: int | None = None
) -> str:
    """The letter that an answer names: a letter in either case, `A)`, `A) text`, or a full text.

    `written` are the options as a list of the file has them, perhaps with letters in front. A
    number counts options from `index_from` if the card gives it; else it is the text of an
    option. Raises RowError where the answer names none of them, or more than one.
    """
    letters = tuple(options)
    if index_from is not None and isinstance(raw, int) and not isinstance(raw, bool):
        if 0 <= raw - index_from < len(letters):
            return letters[raw - index_from]
        raise RowError("answer", f"answer {shorten(str(raw))} is not the position of an option")
    number = _number_as_text(raw)
    answer = text_of(number if number in options.values() else raw, "answer").strip()
    if not answer:
        raise RowError("answer", "the answer is empty")
    if answer in options:
        return answer
    same = [
        letter
        for letter, text in zip(letters, written, strict=False)
        if isinstance(text, str) and text.strip() == answer
    ]
    if len(same) == 1:
        return same[0]
    same = [letter for letter, text in options.items() if folded(text) == folded(answer)]
    match = _LETTER.match(answer)
    letter = match[1].upper() if match else ""
    rest = folded((match and match["rest"]) or "")
    if not same and letter in options and rest in ("", folded(options[letter])):
        return letter
    if len(same) == 1:
        return same[0]
    what = f"the text of {' and '.join(same)}" if same else f"none of {'/'.join(letters)}"
    raise RowError("answer", f"answer {shorten(answer)} is {what}")


def folded(text: str) -> str:
    """A text for comparison: case, runs of blanks and a final period do not count."""
    return " ".join(text.split()).removesuffix(".").casefold()


def text_of(value: Any, field: str) -> str:
    """A text that can be sent and stored. Raises RowError naming the field."""
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


def shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
