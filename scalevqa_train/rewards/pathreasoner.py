"""The reward of PathReasoner-R1's kind, for open diagnosis questions with a reference reasoning.

    score = format + semantic + 0.5 · entity            (0 to 2.5)

- `format` is 1 for exactly `<observe>…</observe> <think>…</think> <answer>…</answer>`, each tag
  once, none empty, nothing outside;
- `semantic` (0 to 1) is a judge model's opinion of how far reasoning and answer mean the same as
  the reference's (see judge.py);
- `entity` (0 to 1) is the soft Dice of the knowledge-graph entities in the observation and the
  reasoning with those in the reference reasoning (see entities.py).

Without the format there is nothing that could be compared without guessing: all parts are 0.
`acc` is 1 if the answer equals the reference but for case, punctuation and spaces; it is reported
and not trained on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_train.rewards.entities import read_lexicon, soft_dice
from scalevqa_train.rewards.judge import Work, shared_judge

ENTITY_WEIGHT = 0.5

_TAGS = ("observe", "think", "answer")
_REPLY = re.compile(
    r"\s*" + r"\s*".join(rf"<{tag}>(.*)</{tag}>" for tag in _TAGS) + r"\s*", re.DOTALL
)


def compute_score(
    data_source: str | None,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    *,
    judge: str | None = None,
    judge_options: Mapping[str, Any] | None = None,
    lexicon: str | None = None,
    **_: Any,
) -> dict[str, float]:
    """`score` and its parts `format`, `semantic`, `entity` and `acc` of one reply.

    `judge` names a model (`engine/model`, with `judge_options` of its adapter), `lexicon` is the
    path of the knowledge graph's entities; `extra_info["rationale"]` is the reference reasoning.
    Raises UsageError without them, DataError without a reference, and ModelError if the judge
    fails.
    """
    if not judge or not lexicon:
        raise UsageError(
            "the reward pathreasoner needs a judge and a lexicon:"
            " +reward.custom_reward_function.reward_kwargs.judge=engine/model"
            " +reward.custom_reward_function.reward_kwargs.lexicon=FILE"
        )
    info = extra_info or {}
    reference = str(info.get("rationale") or "").strip()
    if not reference:
        raise DataError(
            f"question {info.get('question_id', '?')} of {data_source or 'the data'} has no"
            " reference reasoning (extra_info['rationale']) to compare with"
        )
    entities = read_lexicon(lexicon)
    parts = split_reply(solution_str)
    if parts is None:
        return {"score": 0.0, "acc": 0.0, "format": 0.0, "semantic": 0.0, "entity": 0.0}
    observed, thought, answer = parts
    reasoning = f"{observed}\n{thought}"
    opinion = shared_judge(judge, tuple(sorted((judge_options or {}).items())))
    semantic = opinion.judge(Work(reasoning, answer), Work(reference, ground_truth))
    entity = soft_dice(entities.mentions(reasoning), entities.mentions(reference))
    return {
        "score": 1.0 + semantic + ENTITY_WEIGHT * entity,
        "acc": float(_plain(answer) == _plain(ground_truth)),
        "format": 1.0,
        "semantic": semantic,
        "entity": entity,
    }


def split_reply(reply: str) -> tuple[str, str, str] | None:
    """Observation, reasoning and answer of a reply of exactly the asked form, else None."""
    if any(reply.count(f"<{tag}>") != 1 or reply.count(f"</{tag}>") != 1 for tag in _TAGS):
        return None
    match = _REPLY.fullmatch(reply)
    if match is None or not all(part.strip() for part in match.groups()):
        return None
    return match[1].strip(), match[2].strip(), match[3].strip()


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
