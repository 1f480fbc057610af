"""What runs in a Ray actor, and what passes between it and the pool (ray_pool.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.models.base import StartableModel, TrainableModel
from scalevqa_eval.models.registry import load_model
from scalevqa_eval.types import Capabilities, Prompt, Reply


@dataclass(frozen=True, slots=True)
class Described:
    """What a model says of itself."""

    name: str
    identity: Mapping[str, Any]
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Failure:
    """A ModelError as plain data, for the way between processes."""

    message: str
    flags: Mapping[str, Any]


class EngineWorker:
    """One model, asked by many calls at once."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name, self._options = name, options
        self._model: Any = None

    def _open(self) -> Any:
        if self._model is None:
            self._model = load_model(self._name, **self._options)
        return self._model

    async def describe(self) -> Described | str:
        """The model, or why it cannot be loaded."""
        try:
            model = self._open()
        except ScaleVQAError as error:
            return str(error)
        if isinstance(model, TrainableModel):
            return f"{model.name} learns in this process: leave out --engine ray"
        return Described(model.name, dict(model.identity), model.capabilities)

    async def start(self) -> Failure | None:
        """Load the weights, if the model has any; why it failed, if it did."""
        try:
            model = self._open()
            if isinstance(model, StartableModel):
                await model.start()
        except ScaleVQAError as error:
            return as_failure(error)
        return None

    async def reply(self, prompt: Prompt) -> Reply | Failure:
        """The model's reply, or why there is none."""
        try:
            reply: Reply = await self._open().reply(prompt)
        except ScaleVQAError as error:
            return as_failure(error)
        return reply

    async def close(self) -> None:
        """Close the model."""
        if self._model is not None:
            await self._model.aclose()


def as_failure(error: ScaleVQAError) -> Failure:
    """An error of this package, to be raised again in the pool's process."""
    flags = ("retryable", "rate_limited", "retry_after", "fatal")
    if isinstance(error, ModelError):
        return Failure(str(error), {flag: getattr(error, flag) for flag in flags})
    return Failure(str(error), {"fatal": True})
