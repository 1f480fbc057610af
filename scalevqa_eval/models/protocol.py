"""What a model is to the rest of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from scalevqa_eval.prompts import Prompt
from scalevqa_eval.questions import Benchmark

FinishReason = Literal["stop", "length", "refusal", "other"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one reply; None where the engine does not say."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one prompt.

    `finish` is "length" if the reply was cut, "refusal" for a refusal or a content filter.
    `reasoning` is text that the engine returns apart from the reply. `logprobs` maps option
    letters to natural log-probabilities if the prompt asked for them; `text` is then the most
    probable letter. `model` is the engine's own name and version of what answered.
    """

    text: str
    finish: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    latency: float = 0.0
    model: str = ""
    reasoning: str = ""
    logprobs: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model takes; checked before the first prompt is sent.

    `max_images` per prompt (0: text only, None: no limit known); `max_image_bytes` and
    `max_image_side` (pixels) are limits above which images are made smaller, which is written
    into the run. `concurrency` is how many prompts may wait at once by default. `cacheable` is
    False for models whose replies cost nothing or must not be reused. `needs_options` models
    answer multiple-choice questions only.
    """

    max_images: int | None = None
    max_image_bytes: int | None = None
    max_image_side: int | None = None
    media_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp", "image/gif")
    logprobs: bool = False
    letters_only: bool = False
    concurrency: int = 8
    cacheable: bool = True
    needs_options: bool = False


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
