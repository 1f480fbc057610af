"""What the tests of remote models share: prompts with images, and models at the loopback server."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models import Model, load_model
from scalevqa_eval.testing import Server
from scalevqa_eval.types import ImagePart, Prompt, Reply, Sampling, TextPart

ENGINES = ("openai", "anthropic", "gemini")
KEY = "k3y-of-the-test-0123456789"
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
OTHERS = (
    "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL",
    "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
    "no_proxy", "NO_PROXY",
)  # fmt: skip
OPTIONS = {"A": "gland", "B": "stroma, 間質", "C": "“necrosis”", "D": "\U0001f52c mitosis"}
TEXT = "Which?\n" + "\n".join(f"({letter}) {text}" for letter, text in OPTIONS.items())

T = TypeVar("T")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> str:
    """One key for all providers, and nothing of the user's own settings."""
    for variable in OTHERS:
        monkeypatch.delenv(variable, raising=False)
    for variable in VARIABLES:
        monkeypatch.setenv(variable, KEY)
    return KEY


def picture(size: int, seed: int = 0, media_type: str = "image/jpeg") -> ImagePart:
    """An image part whose bytes nobody decodes."""
    data = random.Random(seed).randbytes(size)
    return ImagePart(
        source=f"{seed}.jpg",
        scale="low",
        media_type=media_type,
        width=10,
        height=10,
        sha256=hashlib.sha256(data).hexdigest(),
        load=lambda: data,
    )


def prompt(
    images: Sequence[ImagePart] = (), sampling: Sampling | None = None, text: str = TEXT
) -> Prompt:
    return Prompt(
        question_id="q1",
        system="You are a pathology expert.\n“Think”.",
        parts=(*images, TextPart(text)),
        sampling=sampling or Sampling(),
        text="Which?",
        options=OPTIONS,
        dimension="all",
    )


def address(engine: str, server: Server) -> str:
    return server.openai_url if engine == "openai" else server.url


def load(engine: str, at: Server, name: str = "any", **options: Any) -> Model:
    options.setdefault("base_url", address(engine, at))
    return load_model(f"{engine}/{name}", **options)


def run(main: Coroutine[Any, Any, T], model: Model) -> T:
    """Run to the end in a loop of its own, and close the model in it."""

    async def closing() -> T:
        try:
            return await main
        finally:
            await model.aclose()

    return asyncio.run(closing())


def ask(model: Model, asked: Prompt | None = None) -> Reply:
    return run(model.reply(asked or prompt()), model)


def fails(model: Model, asked: Prompt | None = None) -> ModelError:
    """The error of a prompt that must fail."""
    with pytest.raises(ModelError) as caught:
        ask(model, asked)
    return caught.value


def with_sampling(**fields: Any) -> Prompt:
    return prompt(sampling=replace(Sampling(), **fields))
