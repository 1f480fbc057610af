"""Replies that are JSON, or hold some: the field that names the answer."""

from __future__ import annotations

import json
import re
from typing import Any

from scalevqa_eval.scoring import extraction_text as plain
from scalevqa_eval.scoring.extraction_options import Options
from scalevqa_eval.scoring.extraction_statements import Statement
from scalevqa_eval.scoring.extraction_value import choice_in

_FENCE = re.compile(r"```[ \t]{0,4}(?:json[c5]?|JSON)?[ \t]{0,4}\n?")
# What the key of an answer says, the surest first; other words in the key only qualify it.
_KEY_NOUNS = (
    *("answer", "ans", "答案", "respuesta", "antwort"),
    *("final", "choice", "selection", "selected", "chosen", "pick", "option", "letter"),
    *("prediction", "predicted", "pred", "result", "response", "output", "label", "diagnosis"),
)
_KEY_QUALIFIERS = frozenset(
    [
        "my",
        "the",
        "your",
        "model",
        "correct",
        "best",
        "most",
        "likely",
        "single",
        "right",
        "best",
        "正确",
        "最终",
    ]
)


def _rank(key: str) -> int | None:
    """How surely a key names the answer, 0 first; None if it names something else."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s_-]+", " ", key.strip()).casefold()
    parts = re.sub(r"(正确|最终)(?=答案)", r"\1 ", parts)
    said = parts.removeprefix("final answer").removeprefix("finalanswer").split()
    final = said != parts.split()
    if any(one not in _KEY_NOUNS and one not in _KEY_QUALIFIERS for one in said):
        return None
    ranks = [_KEY_NOUNS.index(one) + 1 for one in said if one in _KEY_NOUNS]
    return 0 if final else min(ranks, default=None)


_FIELD = re.compile(
    r"[\"'](?P<key>[^\"'\n]{1,30})[\"']\s{0,9}:\s{0,9}"
    r"(?P<value>\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|\[[^\[\]\n]{0,200}\]|null|[A-Za-z](?![A-Za-z]))"
)


def read_json(said: str) -> list[Any] | None:
    """The JSON value that the reply consists of (in a list of one), or None."""
    text = said.strip()
    fence = _FENCE.match(text)
    if fence:
        text = text[fence.end() :].partition("```")[0].strip()
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]") or len(text) > 4 * plain.WINDOW:
        return None
    try:
        return [json.loads(text, strict=False)]
    except (ValueError, RecursionError):
        return None


def answer_field(data: Any, depth: int = 0) -> Any:
    """The value of the field that holds an answer."""
    if isinstance(data, list):
        if len(data) == 1:
            return answer_field(data[0], depth + 1) if depth < 9 else None
        return data if data and all(isinstance(item, str) for item in data) else None
    if not isinstance(data, dict):
        return data
    ranked = [(rank, key) for key in data if (rank := _rank(str(key))) is not None]
    if ranked:
        value = data[min(ranked, key=lambda one: one[0])[1]]
        nested = isinstance(value, dict | list) and depth < 9
        return answer_field(value, depth + 1) if nested else value
    for value in data.values():
        if isinstance(value, dict) and depth < 9:
            inner = answer_field(value, depth + 1)
            if inner is not None:
                return inner
    return None


def chosen(value: Any, options: Options) -> tuple[str | None, str]:
    """The letter that the value of an answer field names, and how (or why there is none)."""
    if isinstance(value, list):
        letters = {choice_in(str(item), options) for item in value}
        letter = letters.pop() if len(letters) == 1 else None
        return letter, "json" if letter else "ambiguous"
    if not isinstance(value, str) or (plain.is_placeholder(value) and len(value.strip()) != 1):
        return None, "no-answer"
    letter = choice_in(plain.prose(value), options)
    return letter, "json" if letter else "ambiguous"


def json_fields(text: str, options: Options) -> list[Statement]:
    """Answer fields of JSON that stands inside other text."""
    found = []
    for field in _FIELD.finditer(text):
        if _rank(field["key"]) is None:
            continue
        raw = field["value"].strip("\"'")
        if plain.is_placeholder(raw) and len(raw) != 1:
            continue
        items = [item.strip(" \"'") for item in raw.strip("[]").split(",")]
        letters = {choice_in(item, options) for item in items} if "[" in raw else set()
        letter = choice_in(raw, options) if "[" not in raw else None
        if len(letters) == 1:
            letter = letters.pop()
        found.append(Statement(field.start(), field.end(), letter, True, "json"))
    return found
