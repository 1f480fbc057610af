"""What a model is to the rest of the package."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, get_args, runtime_checkable

from scalevqa_eval.errors import ModelError
from scalevqa_eval.types import Benchmark, Capabilities, FinishReason, Prompt, Reply, Usage

_MOST_TOKENS = 10**9


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


def checked(reply: object, model: str) -> Reply:
    """The one gate for what a model returned: a Reply that can be scored, stored and added up.

    Counts that are none (negative, no whole number, beyond a billion) become None; what no
    encoder takes (half of a surrogate pair) becomes `?`. Raises ModelError for anything else
    that is wrong; it is fatal if there is no Reply at all, as the model's code is at fault then.
    """
    if not isinstance(reply, Reply):
        raise ModelError(f"{model} returned {type(reply).__name__}, not a Reply", fatal=True)
    texts = {name: getattr(reply, name) for name in ("text", "model", "reasoning")}
    for name, value in texts.items():
        if not isinstance(value, str):
            kind = type(value).__name__
            raise ModelError(f"{model} returned a Reply whose {name} is {kind}, not str")
    if reply.finish not in get_args(FinishReason):
        raise ModelError(f"{model} returned the finish reason {reply.finish!r}")
    if not _is_finite(reply.latency) or reply.latency < 0:
        raise ModelError(f"{model} returned the latency {reply.latency!r}")
    logprobs = reply.logprobs
    if logprobs is not None and not (
        isinstance(logprobs, Mapping) and all(map(_is_finite, logprobs.values()))
    ):
        raise ModelError(f"{model} returned log-probabilities that are none: {logprobs!r:.200}")
    usage = reply.usage if isinstance(reply.usage, Usage) else Usage()
    return replace(
        reply,
        **{name: value.encode("utf-8", "replace").decode() for name, value in texts.items()},
        latency=float(reply.latency),
        usage=Usage(*(count(getattr(usage, name)) for name in Usage.__dataclass_fields__)),
        logprobs=None if logprobs is None else {str(k): float(v) for k, v in logprobs.items()},
    )


def count(value: Any) -> int | None:
    """A number of tokens, or None for what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = operator.index(value)
    except TypeError:  # no whole number
        return None
    return number if 0 <= number <= _MOST_TOKENS else None


def _is_finite(value: object) -> bool:
    try:
        return not isinstance(value, str | bool) and math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False
