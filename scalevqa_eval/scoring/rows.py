"""What a summary needs of questions and records: the texts of a long run do not fit into memory."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scalevqa_eval.scoring.reader import READ
from scalevqa_eval.types import LETTERS, Outcome, Record

COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens")
Tokens = tuple[int | None, ...]  # of those three
_UNKNOWN: Tokens = (None, None, None)


class QuestionFacts(Protocol):
    """What a summary needs of a question: a Question or a QuestionKey of a run."""

    @property
    def id(self) -> str: ...
    @property
    def dimension(self) -> str: ...
    @property
    def slide(self) -> str | None: ...
    @property
    def answer(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A scored record.

    `usage` has prompt, cached and completion tokens, `read` those of the reader (None if it did
    not see the reply); `followed` says whether the reply has the form that the prompt asked for
    (None: there is no text, or the form is not known).
    """

    outcome: Outcome
    score: int
    letter: str | None
    read: Tokens | None
    usage: Tokens
    latency: float | None  # None for a reply from the cache
    followed: bool | None
    measures: Mapping[str, float] | None


class Tally:
    """The row of each answered question and what failed, from records added one by one.

    Raises ValueError for a record of no question in the list, or two answers to one question.
    """

    def __init__(self, questions: Mapping[str, QuestionFacts], manifest: Mapping[str, Any]) -> None:
        self.scored: dict[str, Row] = {}
        self._failed: set[str] = set()
        self._questions = questions
        model, prompt = manifest.get("model", {}), manifest.get("prompt", {})
        baseline = str(model.get("name", "")).startswith("baseline/")  # they read no prompt
        self._style = "" if baseline else str(prompt.get("style", ""))

    def add(self, record: Record) -> None:
        id_ = record.question_id
        if id_ not in self._questions:
            raise ValueError(f"record of {id_!r}, which is no question of this run")
        if not record.outcome.scored:
            self._failed.add(id_)
        elif id_ in self.scored:
            raise ValueError(f"question {id_!r} is answered twice")
        else:
            self.scored[id_] = _row(record, self._questions[id_], self._style)

    @property
    def errors(self) -> int:
        """How many questions failed and have no answer."""
        return len(self._failed - self.scored.keys())


def _row(record: Record, question: QuestionFacts, style: str) -> Row:
    count = record.usage.get
    usage = tuple(map(count, COUNTS))
    is_read = record.method in READ
    return Row(
        record.outcome,
        record.score,
        record.letter,
        tuple(count(f"reader_{name}") for name in COUNTS) if is_read else None,
        _UNKNOWN if usage == _UNKNOWN else usage,  # one for all
        None if record.cached else record.latency or 0.0,  # one 0.0 for all
        None if record.logprobs is not None else _followed(question, record.text, style),
        record.measures or None,
    )


def _followed(question: QuestionFacts, text: str, style: str) -> bool | None:
    """Whether a reply has exactly the form that the prompt asked for.

    None for a user's own prompt, whose form is not known.
    """
    last = text.strip().rpartition("\n")[2].strip()
    letters = tuple(getattr(question, "options", LETTERS[: choices(question)]))
    if style.startswith("scalereasoner"):
        return format_followed(text, letters)
    if style.startswith("cot"):
        return last.startswith("Answer: ") and last.removeprefix("Answer: ") in letters
    if style.startswith("open"):
        return text.rstrip().endswith("</answer>") and text.count("<answer>") == 1
    return text.strip() in letters if style.startswith("direct") else None


def choices(question: QuestionFacts) -> int:
    """The number of options: a Question has them, a QuestionKey counts them; 0 if open."""
    count = getattr(question, "n_options", None)
    return int(count) if count is not None else len(getattr(question, "options", ()))


def format_followed(text: str, letters: Collection[str]) -> bool:
    """Whether a reply is `<think>…</think> <answer>X</answer>` and nothing else, X an option."""
    form = re.fullmatch(
        r"<think>(.*?)</think>\s*<answer>\s*([A-Z])\s*</answer>", text.strip(), re.DOTALL
    )
    if not form or not form[1].strip() or any(tag in form[1] for tag in ("<think>", "<answer>")):
        return False
    return form[2] in letters
