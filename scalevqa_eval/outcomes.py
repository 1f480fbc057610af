"""What can become of one prompt, and the line that a run keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The first five are answers and stay in the denominator; `error` is no answer."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    ERROR = "error"

    @property
    def scored(self) -> bool:
        return self is not Outcome.ERROR


@dataclass(frozen=True, slots=True)
class Record:
    """One line of `records.jsonl`.

    `letter` is what was extracted (None if nothing was) and `method` how. `images` holds the
    sha256 of each image as sent. `score` is 0 or 1 for multiple choice; open questions put
    their measures (exact, normalised, token F1) into `measures`. `usage` has prompt_tokens,
    cached_tokens and completion_tokens, None where unknown. `error` says why there is no reply.
    """

    question_id: str
    condition: str
    prompt: str
    outcome: Outcome
    letter: str | None = None
    method: str = ""
    text: str = ""
    reasoning: str = ""
    finish: str = ""
    model: str = ""
    latency: float = 0.0
    attempts: int = 1
    cached: bool = False
    usage: Mapping[str, int | None] = field(default_factory=dict)
    logprobs: Mapping[str, float] | None = None
    images: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def score(self) -> int:
        return int(self.outcome is Outcome.CORRECT)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, in a fixed order."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["outcome"] = self.outcome.value
        data["images"] = list(self.images)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The reverse of `to_json`. Unknown fields of newer versions are passed over.

        Raises KeyError, ValueError or TypeError on what is no record.
        """
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["outcome"] = Outcome(data["outcome"])
        known["images"] = tuple(data.get("images", ()))
        record = cls(**known)
        if not isinstance(record.question_id, str) or not record.question_id:
            raise ValueError("a record needs a question id")
        return record
