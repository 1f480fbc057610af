"""Models that need no network and no GPU: rules, and two that learn from the train split.

baseline/random       an option by chance, from the seed and the question's id
baseline/first        the first option shown
baseline/longest      the option with the longest text
baseline/text-prior   learns from the train split's option texts; never looks at an image
baseline/pixels       learns from the train split's images and option texts; looks at the images
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import DataError, ModelError, UsageError
from scalevqa_eval.models.base import Model
from scalevqa_eval.types import Benchmark, Capabilities, Prompt, Question, Reply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # One score an option, in the order in which the prompt shows them.
    Score = Callable[[Prompt], NDArray[np.float64]]

Questions = tuple[Question, ...]
NAMES = ("random", "first", "longest", "text-prior", "pixels")
_VERSION = 1  # of what the baselines answer: part of their identity
_TIE = 1e-9


def load(name: str, *, seed: int = 0, train: Benchmark | Path | str | None = None) -> Model:
    """A baseline by name. `train`: what the learned ones fit on at once (a benchmark's train
    split or a question file); without it they wait for `fit`.

    Raises UsageError for an unknown name, DataError if `train` cannot be learned from.
    """
    if name == "random":
        return _Rule(name, lambda prompt: _by_chance(prompt, seed), seed=seed)
    if name == "first":
        return _Rule(name, lambda prompt: next(iter(prompt.options)))
    if name == "longest":
        return _Rule(name, lambda prompt: max(prompt.options, key=lambda x: len(prompt.options[x])))
    learned = {"text-prior": _text_prior, "pixels": _pixels}
    if name not in learned:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean baseline/{near[0]}? " if near else ""
        names = ", ".join(f"baseline/{known}" for known in NAMES)
        raise UsageError(f"no model baseline/{name}: {hint}there are {names}")
    model = _Learned(name, learned[name], seed)
    if train is not None:
        from scalevqa_eval.data import load_benchmark

        model.fit(train if isinstance(train, Benchmark) else load_benchmark(train))
    return model


class _Rule:
    """A baseline that looks at neither image nor train split: `choose` gives the letter."""

    capabilities = Capabilities(cacheable=False, needs_options=True)

    def __init__(self, name: str, choose: Callable[[Prompt], str], **identity: Any) -> None:
        self.name = f"baseline/{name}"
        self.identity: Mapping[str, Any] = {"version": _VERSION, **identity}
        self._choose = choose

    async def reply(self, prompt: Prompt) -> Reply:
        """The letter that is chosen. Raises ModelError on an open question."""
        started = time.monotonic()
        if not prompt.options:
            raise ModelError(
                f"{self.name} answers multiple-choice questions; {prompt.question_id} has no "
                "options"
            )
        text = f"<answer>{await self._letter(prompt)}</answer>"
        return Reply(text, model=self.name, latency=time.monotonic() - started)

    async def _letter(self, prompt: Prompt) -> str:
        return self._choose(prompt)

    async def aclose(self) -> None:
        """Nothing to free."""


class _Learned(_Rule):
    """A baseline that first learns, from the train split, which options are right."""

    capabilities = replace(_Rule.capabilities, concurrency=2)

    def __init__(self, name: str, learn: Callable[[Benchmark, Questions, int], Score], seed: int):
        super().__init__(name, self._untaught, seed=seed, train=None)
        self._learn, self._seed = learn, seed

    def fit(self, train: Benchmark) -> None:
        """Learn from questions, answers and images. Raises DataError if there are none, or an
        image is unusable."""
        from threadpoolctl import threadpool_limits

        if not train.questions:
            raise DataError(
                f"{self.name} learns from the train split, and that of {train.name} is empty"
            )
        questions = tuple(question for question in train.questions if not question.is_open)
        if not questions:
            raise DataError(
                f"{self.name} learns from multiple-choice questions; {train.name} has open ones "
                "only"
            )
        # The matrices are small: more threads than one only wait for each other.
        with threadpool_limits(1):
            score = self._learn(train, questions, self._seed)
        self._choose = lambda prompt: _best(score(prompt), prompt, self._seed)
        self.identity = {**self.identity, "train": _digest(train)}

    async def _letter(self, prompt: Prompt) -> str:
        return await asyncio.to_thread(self._choose, prompt)

    def _untaught(self, prompt: Prompt) -> str:
        raise ModelError(f"{self.name} has learned nothing yet: call fit(train) first", fatal=True)


def _text_prior(train: Benchmark, questions: Questions, seed: int) -> Score:
    from scalevqa_eval.models.baselines.text import TextPrior

    return TextPrior(questions).scores


def _pixels(train: Benchmark, questions: Questions, seed: int) -> Score:
    from scalevqa_eval.images import ImageStore
    from scalevqa_eval.models.baselines.pixels import PixelModel

    store = ImageStore(train.image_root, _Learned.capabilities)
    return PixelModel(questions, store.part, seed).scores


def _number(seed: int, *about: str) -> int:
    """A number that depends on nothing but these, so that the order of asking plays no part."""
    digest = hashlib.sha256(json.dumps(["baseline", seed, *about]).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _by_chance(prompt: Prompt, seed: int) -> str:
    letters = tuple(prompt.options)
    return letters[_number(seed, prompt.question_id) % len(letters)]


def _best(scores: NDArray[np.float64], prompt: Prompt, seed: int) -> str:
    """The letter with the highest score; of equal ones, one by chance from the texts alone."""
    top = float(scores.max()) - _TIE
    tied = [x for x, score in zip(prompt.options, scores, strict=True) if score >= top]
    return min(tied, key=lambda letter: _number(seed, prompt.text, prompt.options[letter]))


def _digest(train: Benchmark) -> str:
    """What was learned from, as a hash: question ids, texts, answers and image names."""
    rows = [
        [q.id, q.text, list(q.options.items()), q.answer, q.dimension, q.image_set]
        for q in train.questions
    ]
    body = json.dumps([train.name, train.split, train.revision, rows])
    return hashlib.sha256(body.encode()).hexdigest()
