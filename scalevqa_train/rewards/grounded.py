"""A reward for a model that should look at the images before it answers.

    score = (0.2 · format + 0.8 · acc · weight) · length

- `format` is 1 for exactly `<think>…</think> <answer>X</answer>`: each tag once, in this order,
  words between the think tags, nothing outside, and X one of *this question's* letters;
- `acc` is 1 if the letter of such a reply is right. A reply that breaks the format earns nothing:
  neither an answer before or inside the thinking, nor a second answer, nor a letter that the
  question does not have;
- `weight` is 1 − strength · leak, where `extra_info["leak_score"]` (0 to 1) says how surely a text
  probe of the audit answers the question right without its images. What can be answered from the
  text teaches less. GRPO divides a group's rewards by their standard deviation, which undoes a
  weight that is the same for a whole group: set `algorithm.norm_adv_by_std_in_grpo=false` (the
  preset `grounded` does);
- `length` is 1 up to `soft_limit` characters and falls to 0 at `hard_limit`.

All parts lie in 0..1, and so does the score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.types import LETTERS

FORMAT_WEIGHT = 0.2
LEAK_STRENGTH = 0.75
SOFT_LIMIT = 8_000
HARD_LIMIT = 16_000

_REPLY = re.compile(r"\s*<think>(.*)</think>\s*<answer>\s*([A-Z])\s*</answer>\s*", re.DOTALL)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_WORD = re.compile(r"\w")


def compute_score(
    data_source: str | None,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    leak_strength: float = LEAK_STRENGTH,
    soft_limit: int = SOFT_LIMIT,
    hard_limit: int = HARD_LIMIT,
    **_: Any,
) -> dict[str, float]:
    """`score` and its parts `acc`, `format`, `weight` and `length` of one reply.

    `extra_info["options"]` lists the letters of the question. Raises DataError if it does not or
    if the ground truth is none of them, UsageError for limits that are none.
    """
    if not 0 <= leak_strength <= 1 or not 0 < soft_limit < hard_limit:
        raise UsageError("grounded needs leak_strength in 0..1 and 0 < soft_limit < hard_limit")
    info = extra_info or {}
    letters = _letters(info.get("options"))
    if ground_truth not in letters:
        raise DataError(
            f"{_place(data_source, info)}: the answer {ground_truth!r} is none of the options "
            f"{'/'.join(letters)}"
        )
    weight = 1 - leak_strength * _leak(info.get("leak_score"), data_source, info)
    length = min(1.0, max(0.0, (hard_limit - len(solution_str)) / (hard_limit - soft_limit)))
    letter = _letter(solution_str)
    form = float(letter is not None and letter in letters)
    accuracy = float(form > 0 and letter == ground_truth)
    score = (FORMAT_WEIGHT * form + (1 - FORMAT_WEIGHT) * accuracy * weight) * length
    return {"score": score, "acc": accuracy, "format": form, "weight": weight, "length": length}


def _letter(reply: str) -> str | None:
    """The letter of a reply of exactly the asked form, else None."""
    if any(reply.count(tag) != 1 for tag in _TAGS):
        return None
    match = _REPLY.fullmatch(reply)
    return match[2] if match and _WORD.search(match[1]) else None


def _letters(options: object) -> tuple[str, ...]:
    """Option letters from a list, a mapping or a string; verl's rows hold arrays of them."""
    if isinstance(options, (str, Iterable)):
        letters = tuple(str(option) for option in options)
        if len(letters) >= 2 and all(letter in LETTERS for letter in letters):
            return letters
    raise DataError(
        "the reward grounded needs the option letters of each question in extra_info['options'];"
        " `scalevqa train prepare` writes them"
    )


def _leak(value: object, data_source: str | None, info: Mapping[str, Any]) -> float:
    if value is None:
        return 0.0
    leak = float(value) if isinstance(value, (int, float)) else math.nan
    if not 0 <= leak <= 1:
        raise DataError(f"{_place(data_source, info)}: leak_score is 0 to 1, not {value!r}")
    return leak


def _place(data_source: str | None, info: Mapping[str, Any]) -> str:
    return f"question {info.get('question_id', '?')} of {data_source or 'the data'}"
