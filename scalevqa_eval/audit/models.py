"""What a model's part in an audit will take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scalevqa_eval import conditions
from scalevqa_eval.errors import UsageError
from scalevqa_eval.models.prices import cost
from scalevqa_eval.prompts import PromptStyle, load_style, question_text
from scalevqa_eval.types import Benchmark, Question, Usage

PROMPTS = Path(__file__).resolve().parent / "prompts"
_CHARACTERS = 4.0  # of English text in a token
_REPLY = 300  # tokens
_IMAGE = 1_100  # tokens of a tile of 1,000 pixels a side; engines differ


@dataclass(frozen=True, slots=True)
class Round:
    """A set of questions asked under one condition with one prompt style."""

    mode: str
    style: str
    condition: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what asking will take. `dollars` is None if the model's price is not known."""

    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    dollars: float | None

    def __str__(self) -> str:
        price = "price unknown" if self.dollars is None else f"about ${self.dollars:.2f}"
        return (
            f"{self.model}: {self.requests:,} requests, about {self.input_tokens:,} tokens in and "
            f"{self.output_tokens:,} out ({_REPLY} a reply): {price}"
        )


def estimate(model: str, benchmark: Benchmark, asked: Sequence[Round], seed: int = 0) -> Estimate:
    """Tokens from the length of the texts (four characters each) and the number of images."""
    requests = tokens = 0
    for one in asked:
        style: PromptStyle = load_style(one.style)
        overhead = len(style.system) + len(style.suffix)
        for question in applicable(one.condition, benchmark, seed):
            requests += 1
            tokens += int((overhead + len(question_text(question))) / _CHARACTERS)
            tokens += _IMAGE * len(question.views)
    written = requests * _REPLY
    return Estimate(model, requests, tokens, written, cost(model, Usage(tokens, 0, written)))


def applicable(condition: str, benchmark: Benchmark, seed: int) -> list[Question]:
    """The questions as a condition shows them; none where it does not apply at all."""
    try:
        return conditions.apply_all(condition, benchmark, seed)
    except UsageError:  # no wrong images to be had
        return []
