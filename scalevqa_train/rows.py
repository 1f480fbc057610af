"""Questions → rows of verl's data sets. Pure: no files, no images are opened here.

verl cuts a prompt at `<image>`, `<video>` and `<audio>` and puts an image in each place, so a
question that contains such a tag itself cannot be asked through it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from scalevqa_eval.errors import DataError
from scalevqa_eval.prompts import PromptStyle, question_text
from scalevqa_eval.types import Question

TARGETS = ("think", "description+think")

_TAG = re.compile(r"<(?:image|video|audio)>")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def messages(question: Question, style: PromptStyle) -> list[dict[str, str]]:
    """The chat prompt: as the harness asks, with one `<image>` for each view that is there."""
    text = question_text(question)
    if style.suffix:
        text = f"{text}\n{style.suffix}"
    if match := _TAG.search(style.system + text):
        raise DataError(
            f"question {question.id} contains {match[0]}, which verl would take for an image:"
            " change its text"
        )
    content = "<image>" * len(question.views) + text
    system = [{"role": "system", "content": style.system}] if style.system else []
    return [*system, {"role": "user", "content": content}]


def grpo_row(
    question: Question,
    style: PromptStyle,
    images: Sequence[Mapping[str, Any]],
    *,
    index: int,
    source: str,
    leak: float | None = None,
) -> dict[str, Any]:
    """A row for verl's RL data set.

    `data_source` is `benchmark/dimension`: verl reports validation metrics for each data source,
    so accuracy is seen per dimension.
    """
    return {
        "data_source": f"{source}/{question.dimension}",
        "prompt": messages(question, style),
        "images": [dict(image) for image in images],
        "ability": "vqa",
        "reward_model": {"style": "rule", "ground_truth": question.answer},
        "extra_info": {
            "index": index,
            "question_id": question.id,
            "benchmark": source,
            "dimension": question.dimension,
            "slide": question.slide or "",
            "split": question.split,
            "options": list(question.options),
            "rationale": question.rationale,
            "leak_score": leak,
        },
    }


def sft_row(
    question: Question,
    style: PromptStyle,
    images: Sequence[Mapping[str, Any]],
    target: str,
) -> dict[str, Any]:
    """A row for verl's SFT data set: the prompt and the reply to imitate."""
    reply = {"role": "assistant", "content": target}
    return {
        "messages": [*messages(question, style), reply],
        "images": [dict(image) for image in images],
        "extra_info": {"question_id": question.id, "dimension": question.dimension},
    }


def sft_target(
    question: Question, kind: str, *, description: str = "", drop: float = 0.0, rng: Random
) -> str:
    """The reply to imitate: the rationale in think tags (with a description before it), a letter.

    `drop` is the share of the rationale's sentences that is left out (trajectory masking): the
    model then learns to reach the answer from partial evidence. At least one sentence stays.
    Raises DataError if the question has no rationale, or no description where one is asked for.
    """
    if not question.rationale.strip():
        raise DataError(f"question {question.id} has no rationale to learn from")
    parts = []
    if kind == "description+think":
        if not description.strip():
            raise DataError(
                f"question {question.id} has no description (--descriptions FILE): give one, or"
                " use the target `think`"
            )
        parts.append(f"<description>{description.strip()}</description>")
    parts.append(f"<think>{drop_sentences(question.rationale, drop, rng)}</think>")
    parts.append(f"<answer>{question.answer}</answer>")
    return "\n".join(parts)


def drop_sentences(text: str, share: float, rng: Random) -> str:
    """`text` without a random `share` of its sentences, rounded down; one always stays."""
    sentences = _SENTENCE.split(text.strip())
    gone = min(int(share * len(sentences)), len(sentences) - 1)
    dropped = set(rng.sample(range(len(sentences)), gone))
    return " ".join(part for i, part in enumerate(sentences) if i not in dropped)


def in_blocks(questions: Iterable[Question]) -> list[Question]:
    """The questions that stand in option blocks, in their order.

    A block is all questions with the same text and the same options in the same order, if each
    option is the answer equally often: whoever reads only the text is right by chance there.
    """
    groups: dict[tuple[Any, ...], list[Question]] = defaultdict(list)
    listed = list(questions)
    for question in listed:
        groups[_wording(question)].append(question)
    whole = {key for key, group in groups.items() if _is_balanced(group)}
    return [question for question in listed if _wording(question) in whole]


def _wording(question: Question) -> tuple[Any, ...]:
    return question.text, question.dimension, tuple(question.options.items())


def _is_balanced(group: Sequence[Question]) -> bool:
    counts = Counter(question.answer for question in group)
    return set(counts) == set(group[0].options) and len(set(counts.values())) == 1


def shared_slides(train: Iterable[Question], other: Iterable[Question]) -> set[str]:
    """Slides that two splits share: what is learned on one is then no news on the other."""
    left, right = ({q.slide for q in questions if q.slide} for questions in (train, other))
    return left & right
