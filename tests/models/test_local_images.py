"""Images for engines in this process: decoded alike, kept in bounds, first of a set first."""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.decoding import Decoder, decode_rgb
from scalevqa_eval.models.local.image_sets import FirstOfSet
from scalevqa_eval.types import ImagePart, Prompt, Sampling, TextPart


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def part(data: bytes, source: str = "a.png") -> ImagePart:
    digest = hashlib.sha256(data).hexdigest()
    return ImagePart(source, "low", "image/png", 8, 8, digest, load=lambda: data)


def prompt(*images: bytes) -> Prompt:
    shown = tuple(part(data) for data in images)
    return Prompt("q", "", (*shown, TextPart("?")), Sampling(), "?", {"A": "x", "B": "y"}, "all")


def test_transparent_pixels_become_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decode_rgb(encoded(clear), "a").getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert decode_rgb(encoded(palette), "a").getpixel((0, 0)) == (255, 255, 255)
    grey = decode_rgb(encoded(Image.new("L", (4, 4), 7)), "a")
    assert (grey.mode, grey.getpixel((1, 1))) == ("RGB", (7, 7, 7))


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded(Image.new("RGB", (40, 40)))[:60]])
def test_damaged_images_are_named(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"slide/7\.png cannot be decoded"):
        decode_rgb(data, "slide/7.png")


def test_an_image_is_decoded_once_and_memory_is_bounded() -> None:
    loads: list[int] = []

    def counted(shade: int) -> ImagePart:
        data = encoded(Image.new("RGB", (100, 100), (shade, 0, 0)))

        def load() -> bytes:
            loads.append(shade)
            return data

        return ImagePart("a", "low", "image/png", 100, 100, str(shade), load=load)

    decode = Decoder(limit=3 * 30_000)
    for _ in range(3):
        assert decode(counted(1)) is decode(counted(1))
    assert loads == [1]
    for shade in (2, 3, 4):
        decode(counted(shade))
    decode(counted(1))
    assert loads == [1, 2, 3, 4, 1]


async def order_of(prompts: list[Prompt], fail: bool = False) -> list[str]:
    sets, order = FirstOfSet(), []
    reading = asyncio.Event()

    async def ask(number: int, asked: Prompt) -> None:
        async with sets.turn(asked) as read:
            order.append(f"{number}{'!' if read else ''}")
            if read is not None:
                await reading.wait()
                if fail:
                    raise ModelError("no")
                read()
                await asyncio.sleep(0)
            order.append(f"{number} done")

    tasks = [asyncio.create_task(ask(*pair)) for pair in enumerate(prompts)]
    for _ in range(5):
        await asyncio.sleep(0)
    order.append("read")
    reading.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    return order


def test_the_first_of_a_set_goes_ahead_until_it_was_read() -> None:
    order = asyncio.run(order_of([prompt(b"x"), prompt(b"x"), prompt(b"x"), prompt(b"y")]))
    assert order[:3] == ["0!", "3!", "read"]
    assert set(order[3:]) == {"0 done", "1", "1 done", "2", "2 done", "3 done"}


def test_prompts_without_images_wait_for_nobody() -> None:
    order = asyncio.run(order_of([prompt(), prompt()]))
    assert order == ["0", "0 done", "1", "1 done", "read"]


def test_a_failed_first_one_holds_nobody_up() -> None:
    order: list[Any] = asyncio.run(order_of([prompt(b"x"), prompt(b"x")], fail=True))
    assert order[:2] == ["0!", "read"]
    assert "1" in order
