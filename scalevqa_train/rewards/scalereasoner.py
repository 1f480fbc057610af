"""The reward that ScaleReasoner-R1 was trained with, its flaws included.

0.8 · accuracy + 0.2 · format, as published (iMVR-PL/ScaleReasoner-R1,
verl/verl/utils/reward_score/cross_scale_vqa.py), so that a training run can be compared with the
paper's. What it does that a reward should not do, kept on purpose:

- accuracy does not ask for reasoning: the right letter alone earns 0.8;
- the first well-formed answer tag counts for accuracy, wherever it stands, also before or inside
  the think block, and whatever follows it;
- `<answer>B.</answer>` is no answer at all and earns 0;
- every letter from A to Z is valid, whatever options the question has;
- an empty think block, or one that encloses the answer, is well-formed.

`scalevqa_train.rewards.grounded` is the one without them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import Any

FORMAT_WEIGHT = 0.2

_LETTER_TAG = re.compile(r"<answer>\s*([A-Za-z])\s*</answer>")
_LONE_LETTER = re.compile(r"\b([A-Za-z])\b")


def compute_score(
    data_source: str | None = None,
    solution_str: str | None = None,
    ground_truth: str | None = None,
    extra_info: dict[str, Any] | None = None,
    *,
    format_weight: float = FORMAT_WEIGHT,
    valid_options: Iterable[str] = string.ascii_uppercase,
    require_think: bool = True,
    strict_only_letter: bool = True,
    use_answer_tag_for_acc: bool = True,
    **_: Any,
) -> dict[str, float]:
    """`score`, `acc` and `format` of one reply; the last two are 0 or 1.

    The keyword options are those of the published function, with its defaults. Raises ValueError
    if the reply or the ground truth is None, as it does.
    """
    if solution_str is None or ground_truth is None:
        raise ValueError("a reward needs a reply (solution_str) and a ground truth")
    letters = {option.upper() for option in valid_options}
    well_formed = (not require_think or _has_think_block(solution_str)) and _one_answer(
        solution_str, letters, strict_only_letter
    )
    found = (_LETTER_TAG if use_answer_tag_for_acc else _LONE_LETTER).search(solution_str)
    right = found is not None and found[1].upper() == ground_truth.strip().upper()
    accuracy, form = float(right), float(well_formed)
    score = (1.0 - format_weight) * accuracy + format_weight * form
    return {"score": score, "acc": accuracy, "format": form}


def _has_think_block(reply: str) -> bool:
    start = reply.find("<think>")
    return start >= 0 and "</think>" in reply[start:]


def _one_answer(reply: str, letters: set[str], strict: bool) -> bool:
    """Whether there is one answer block, with one valid letter in it and (strict) nothing after."""
    if _count_answer_blocks(reply) != 1:
        return False
    tags = list(_LETTER_TAG.finditer(reply))
    if not tags or (strict and len(tags) != 1) or tags[0][1].upper() not in letters:
        return False
    return not strict or not reply[tags[0].end() :].strip()


def _count_answer_blocks(reply: str) -> int:
    """How many `<answer>…</answer>` follow one another (searching in linear time)."""
    count = position = 0
    while (start := reply.find("<answer>", position)) >= 0:
        end = reply.find("</answer>", start)
        if end < 0:
            break
        count, position = count + 1, end + len("</answer>")
    return count
