"""Drawing tokens row by row, so that neither the batch nor its order changes a reply."""

from __future__ import annotations

import hashlib
import math
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from scalevqa_eval.types import Prompt


@dataclass(frozen=True, slots=True)
class RowDraw:
    """How one row's tokens are drawn. `top_k` 0 and `top_p` 1 leave all tokens in."""

    temperature: float
    top_p: float
    top_k: int
    seed: int

    @classmethod
    def of(cls, prompt: Prompt, temperature: float, top_p: float, top_k: int) -> RowDraw:
        """Seeded by the prompt and its seed alone: no batch or order changes what is drawn."""
        seed = random.SystemRandom().getrandbits(63)
        if prompt.sampling.seed is not None:
            text = f"{prompt.sampling.seed}:{prompt.digest()}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
        return cls(temperature, top_p, top_k, seed)

    def choose(self, logprobs: Mapping[str, float]) -> str:
        """One key, drawn in proportion to exp(log-probability / temperature)."""
        draw = random.Random(self.seed)
        weights = [math.exp(value / self.temperature) for value in logprobs.values()]
        if not sum(weights):
            return max(logprobs, key=logprobs.__getitem__)
        return draw.choices(list(logprobs), weights)[0]


class RowSampler(LogitsProcessor):  # type: ignore[misc]  # untyped base
    """Adds Gumbel noise to the scores, after which greedy decoding is sampling.

    argmax(score / T + Gumbel noise) is a draw from softmax(score / T) (Gumbel 1954). Each row
    has a generator of its own; rows that are None stay greedy.
    """

    def __init__(self, draws: Sequence[RowDraw | None]) -> None:
        self._draws = draws
        self._generators: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """`scores` (rows, vocabulary), of which the processed copy is returned."""
        if not self._generators:
            for draw in self._draws:
                generator = torch.Generator(device=scores.device)
                generator.manual_seed(draw.seed if draw else 0)
                self._generators.append(generator)
        scores = scores.float().clone()
        for row, (draw, generator) in enumerate(zip(self._draws, self._generators, strict=True)):
            if draw is not None:
                kept = _filtered(scores[row] / draw.temperature, draw)
                noise = torch.empty_like(kept).exponential_(generator=generator).log().neg()
                scores[row] = kept + noise
        return scores


def _filtered(scores: Any, draw: RowDraw) -> Any:
    """Scores (vocabulary,) with all but the `top_k` and the nucleus of `top_p` at -inf."""
    if draw.top_k:
        least = scores.topk(min(draw.top_k, scores.numel())).values[-1]
        scores = scores.masked_fill(scores < least, -math.inf)
    if draw.top_p < 1:
        ordered, places = scores.sort(descending=True)
        before = ordered.softmax(0).cumsum(0) - ordered.softmax(0)
        scores = scores.index_fill(0, places[before >= draw.top_p], -math.inf)
    return scores


class RowLimits(StoppingCriteria):  # type: ignore[misc]  # untyped base
    """Ends each row at its own number of new tokens, and all of them once `stop` is set."""

    def __init__(self, limits: Sequence[int], width: int, stop: threading.Event) -> None:
        self._limits = torch.tensor(limits)
        self._width = width
        self._stop = stop

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """`input_ids` (rows, width + new tokens); returns which rows are done."""
        if self._limits.device != input_ids.device:
            self._limits = self._limits.to(input_ids.device)
        done = self._limits <= input_ids.shape[1] - self._width
        return done | self._stop.is_set()
