"""Prompts with drawn images, for driving an engine without a benchmark."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from PIL import Image

from scalevqa_eval.models import Model
from scalevqa_eval.run import run_sync
from scalevqa_eval.types import ImagePart, Prompt, Reply, Sampling, TextPart

OPTIONS = {"A": "tumour", "B": "stroma", "C": "necrosis", "D": "normal tissue"}
SYSTEM = "You are a pathologist. Answer with one letter."


@cache
def picture(number: int, width: int = 84, height: int = 84) -> bytes:
    """A PNG of coloured noise blocks; `number` decides which."""
    import random

    draw = random.Random(number)
    small = Image.new("RGB", (6, 6))
    small.putdata([tuple(draw.randrange(256) for _ in range(3)) for _ in range(36)])
    buffer = io.BytesIO()
    small.resize((width, height), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def image_part(data: bytes, source: str = "drawn.png") -> ImagePart:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    digest = hashlib.sha256(data).hexdigest()
    return ImagePart(source, "low", "image/png", width, height, digest, load=lambda: data)


def make_prompt(
    number: int,
    images: Sequence[bytes] = (),
    *,
    text: str | None = None,
    images_last: bool = False,
    system: str = SYSTEM,
    **sampling: Any,
) -> Prompt:
    """A question of its own text; greedy with 16 tokens unless `sampling` says otherwise."""
    text = text or f"Question {number}: which finding do these images show at all scales?"
    shown = text + "".join(f"\n({letter}) {option}" for letter, option in OPTIONS.items())
    parts: list[ImagePart | TextPart] = [
        image_part(data, f"{i}.png") for i, data in enumerate(images)
    ]
    parts.insert(0 if images_last else len(parts), TextPart(shown))
    return Prompt(
        question_id=f"q{number}",
        system=system,
        parts=tuple(parts),
        sampling=Sampling(**{"max_tokens": 1 if sampling.get("logprobs") else 16, **sampling}),
        text=text,
        options=OPTIONS,
        dimension="all",
    )


def image_set_prompts(sets: int, per_set: int = 5, **options: Any) -> list[Prompt]:
    """As in Scale-VQA: three images a set and several questions about each set."""
    prompts = []
    for number in range(sets):
        images = [picture(number * 3 + scale, 84 + 28 * (scale % 2)) for scale in range(3)]
        prompts += [make_prompt(number * per_set + i, images, **options) for i in range(per_set)]
    return prompts


def ask_all(model: Model, prompts: Iterable[Prompt]) -> list[Reply]:
    """All prompts at once, as the runner has them wait; replies in order."""

    async def gather() -> list[Reply]:
        return list(await asyncio.gather(*(model.reply(prompt) for prompt in prompts)))

    return run_sync(gather())


def ask_each(model: Model, prompts: Iterable[Prompt]) -> list[Reply | Exception]:
    """Like `ask_all`, with the exceptions in their places."""

    async def gather() -> list[Any]:
        waiting = (model.reply(prompt) for prompt in prompts)
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    return run_sync(gather())


def close(model: Model) -> None:
    run_sync(model.aclose())


def assert_agree(name: str, replies: Sequence[Reply], reference: Sequence[Reply]) -> None:
    """Greedy replies of two engines are the same; the differences are listed."""
    assert len(replies) == len(reference)
    different = [
        f"{i}: hf {expected.text!r} ({expected.finish}), {name} {found.text!r} ({found.finish})"
        for i, (found, expected) in enumerate(zip(replies, reference, strict=True))
        if (found.text, found.finish) != (expected.text, expected.finish)
    ]
    assert not different, "\n".join([f"{len(different)} replies differ:", *different])
    for found, expected in zip(replies, reference, strict=True):
        assert found.usage.prompt_tokens == expected.usage.prompt_tokens
        assert found.usage.completion_tokens == expected.usage.completion_tokens


def assert_same_logprobs(replies: Sequence[Reply], reference: Sequence[Reply]) -> None:
    """First-token log-probabilities of the letters agree to 1e-3, and so does the choice."""
    for found, expected in zip(replies, reference, strict=True):
        assert found.logprobs is not None
        assert expected.logprobs is not None
        assert found.logprobs.keys() == expected.logprobs.keys() == OPTIONS.keys()
        for letter, value in expected.logprobs.items():
            assert abs(found.logprobs[letter] - value) < 1e-3
        assert found.text == expected.text
        assert found.finish == "stop"
