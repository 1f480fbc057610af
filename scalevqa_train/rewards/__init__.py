"""Rewards by name. Each is one module with verl's `compute_score`; none of them needs torch.

    compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs) -> dict

The dict has `score`, which is what a policy is trained on, and the parts that it is made of; verl
averages every key into its validation metrics.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from scalevqa_eval.errors import UsageError

Score = dict[str, float]
RewardFunction = Callable[..., Score]


@dataclass(frozen=True, slots=True)
class Reward:
    """What a reward is called, where it lies, and what its rows must hold.

    `answers` is "letter" if the ground truth is an option letter, "text" if it is a reference
    answer; `options` says whether `extra_info["options"]` must list the question's letters, and
    `reference` whether `extra_info["rationale"]` must hold a reasoning to compare with.
    """

    name: str
    module: str
    answers: str
    options: bool = False
    reference: bool = False

    def load(self) -> RewardFunction:
        function: RewardFunction = import_module(self.module).compute_score
        return function


REWARDS: Mapping[str, Reward] = {
    reward.name: reward
    for reward in (
        Reward("scalereasoner", "scalevqa_train.rewards.scalereasoner", answers="letter"),
        Reward("grounded", "scalevqa_train.rewards.grounded", answers="letter", options=True),
        Reward(
            "pathreasoner",
            "scalevqa_train.rewards.pathreasoner",
            answers="text",
            reference=True,
        ),
    )
}


def get_reward(name: str) -> Reward:
    """A reward by name. Raises UsageError with the nearest name that exists."""
    if name in REWARDS:
        return REWARDS[name]
    near = difflib.get_close_matches(name, REWARDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(REWARDS)}"
    raise UsageError(f"no reward {name!r}: {hint}")
