"""Images for engines in this process: decoded alike, kept in bounds."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.decoding import Decoder, decode_rgb
from scalevqa_eval.types import ImagePart


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


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
