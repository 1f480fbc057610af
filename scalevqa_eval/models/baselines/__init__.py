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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.base import Model, TrainableModel
from scalevqa_eval.types import Benchmark, Capabilities, Prompt, Reply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scalevqa_eval.models.baselines.pixels import PixelModel
    from scalevqa_eval.models.baselines.text import TextPrior

NAMES = ("random", "first", "longest", "text-prior", "pixels")
_VERSION = 1  # of what the baselines answer: part of their identity
_TIE = 1e-9


def load(name: str, *, seed: int = 0, train: Benchmark | Path | str | None = None) -> Model:
    """A baseline by name. `train`: what the learned ones fit on at once (a benchmark's train
    split or a question file); without it they wait for `fit`.

    Raises UsageError for an unknown name, DataError if `train` cannot be learned from.
    """
    rules: dict[str, Callable[[Prompt], str]] = {
        "random": lambda prompt: _by_chance(prompt, seed),
        "first": lambda prompt: next(iter(prompt.options)),
        "longest": _longest,
    }
    if name in rules:
        return Rule(name, rules[name], seed)
    learned: dict[str, Callable[[int], TrainableModel]] = {
        "text-prior": TextPriorModel,
        "pixels": PixelsModel,
    }
    if name not in learned:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean baseline/{near[0]}? " if near else ""
        names = ", ".join(f"baseline/{known}" for known in NAMES)
        raise UsageError(f"no model baseline/{name}: {hint}there are {names}")
    model = learned[name](seed)
    if train is not None:
        model.fit(_as_benchmark(train))
    return model


def _as_benchmark(train: Benchmark | Path | str) -> Benchmark:
    if isinstance(train, Benchmark):
        return train
    from scalevqa_eval.data import load_benchmark

    return load_benchmark(train)


def _number(seed: int, *about: str) -> int:
    """A number that depends on nothing but these, so that the order of asking plays no part."""
    digest = hashlib.sha256(json.dumps(["baseline", seed, *about]).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _by_chance(prompt: Prompt, seed: int) -> str:
    letters = tuple(prompt.options)
    return letters[_number(seed, prompt.question_id) % len(letters)]


def _longest(prompt: Prompt) -> str:
    return max(prompt.options, key=lambda letter: len(prompt.options[letter]))


def _best(scores: NDArray[np.float64], prompt: Prompt, seed: int) -> str:
    """The letter with the highest score; of equal ones, one by chance from the texts alone."""
    top = float(scores.max()) - _TIE
    tied = [x for x, score in zip(prompt.options, scores, strict=True) if score >= top]
    return min(tied, key=lambda letter: _number(seed, prompt.text, prompt.options[letter]))


def _reply(letter: str, model: str, started: float) -> Reply:
    return Reply(f"<answer>{letter}</answer>", model=model, latency=time.monotonic() - started)


def _check_options(prompt: Prompt, name: str) -> None:
    if not prompt.options:
        raise ModelError(
            f"{name} answers multiple-choice questions; {prompt.question_id} has no options"
        )


class Rule:
    """A baseline that looks at neither image nor train split."""

    capabilities = Capabilities(cacheable=False, needs_options=True)

    def __init__(self, name: str, choose: Callable[[Prompt], str], seed: int) -> None:
        self.name = f"baseline/{name}"
        self._choose = choose
        self.identity: Mapping[str, Any] = {"version": _VERSION}
        if name == "random":
            self.identity = {"version": _VERSION, "seed": seed}

    async def reply(self, prompt: Prompt) -> Reply:
        """The letter that the rule gives. Raises ModelError on an open question."""
        started = time.monotonic()
        _check_options(prompt, self.name)
        return _reply(self._choose(prompt), self.name, started)

    async def aclose(self) -> None:
        """Nothing to free."""


class TextPriorModel:
    """What can be learned from the texts of the train split."""

    name = "baseline/text-prior"
    capabilities = Capabilities(cacheable=False, needs_options=True, concurrency=2)

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._fitted: TextPrior | None = None
        self.identity: Mapping[str, Any] = {"version": _VERSION, "seed": seed, "train": None}

    def fit(self, train: Benchmark) -> None:
        """Learn which option texts are right. Raises DataError if `train` has no questions."""
        from threadpoolctl import threadpool_limits

        from scalevqa_eval.models.baselines.text import TextPrior, train_questions

        with threadpool_limits(1):
            self._fitted = TextPrior(train_questions(train, self.name))
        self.identity = {**self.identity, "train": _digest(train)}

    async def reply(self, prompt: Prompt) -> Reply:
        """The option with the best text. Raises ModelError before `fit`."""
        started = time.monotonic()
        _check_options(prompt, self.name)
        if self._fitted is None:
            raise _not_fitted(self.name)
        scores = self._fitted.scores(prompt.text, prompt.options, prompt.dimension)
        return _reply(_best(scores, prompt, self._seed), self.name, started)

    async def aclose(self) -> None:
        """Nothing to free."""


class PixelsModel:
    """A small classical vision model. Reads the bytes of the images that the prompt shows."""

    name = "baseline/pixels"
    capabilities = Capabilities(cacheable=False, needs_options=True, concurrency=2)

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._fitted: PixelModel | None = None
        self.identity: Mapping[str, Any] = {"version": _VERSION, "seed": seed, "train": None}

    def fit(self, train: Benchmark) -> None:
        """Learn from images and texts. Raises DataError if there are none or one is unusable."""
        from threadpoolctl import threadpool_limits

        from scalevqa_eval.images import ImageStore
        from scalevqa_eval.models.baselines.pixels import PixelModel
        from scalevqa_eval.models.baselines.text import train_questions

        questions = train_questions(train, self.name)
        store = ImageStore(train.image_root, self.capabilities)
        # The matrices are small: more threads than one only wait for each other.
        with threadpool_limits(1):
            self._fitted = PixelModel(questions, store.part, self._seed)
        self.identity = {**self.identity, "train": _digest(train)}

    async def reply(self, prompt: Prompt) -> Reply:
        """The option that suits the images best. Raises ModelError before `fit`."""
        started = time.monotonic()
        _check_options(prompt, self.name)
        if self._fitted is None:
            raise _not_fitted(self.name)
        scores = await asyncio.to_thread(
            self._fitted.scores, prompt.images, prompt.text, prompt.options, prompt.dimension
        )
        return _reply(_best(scores, prompt, self._seed), self.name, started)

    async def aclose(self) -> None:
        """Nothing to free."""


def _not_fitted(name: str) -> ModelError:
    return ModelError(f"{name} has learned nothing yet: call fit(train) first", fatal=True)


def _digest(train: Benchmark) -> str:
    """What was learned from, as a hash: question ids, texts, answers and image names."""
    rows = [
        [q.id, q.text, list(q.options.items()), q.answer, q.dimension, q.image_set]
        for q in train.questions
    ]
    body = json.dumps([train.name, train.split, train.revision, rows])
    return hashlib.sha256(body.encode()).hexdigest()
