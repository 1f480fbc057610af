"""What a model is to the rest of the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from scalevqa_eval.types import Benchmark, Capabilities, Prompt, Reply


@runtime_checkable
class Model(Protocol):
    """A prompt in, a reply out.

    `name` is `engine/model`. `identity` is everything besides the prompt that may change a reply
    (JSON values, no secrets): it goes into the manifest and into the cache key.
    """

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def identity(self) -> Mapping[str, Any]: ...

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt. Raises ModelError (see errors.py) if there is no answer."""
        ...

    async def aclose(self) -> None:
        """Free connections, processes and memory; a later `reply` may open them again."""
        ...


@runtime_checkable
class TrainableModel(Model, Protocol):
    """A model that first learns from a benchmark's train split (the learned baselines)."""

    def fit(self, train: Benchmark) -> None:
        """Learn from the questions, answers and images of `train`; deterministic."""
        ...


@runtime_checkable
class StartableModel(Model, Protocol):
    """A model whose start takes long (weights to load, a server to wait for)."""

    async def start(self) -> None:
        """Get ready to reply; awaited before the first prompt, so that its time counts for none.

        Does nothing the second time; `reply` starts a model that nobody started. Raises
        ModelError (fatal).
        """
        ...
