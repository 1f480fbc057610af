"""Image bytes → RGB pictures for engines that run in this process. Decoded once, bounded."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING

from scalevqa_eval.errors import ModelError
from scalevqa_eval.types import ImagePart

if TYPE_CHECKING:
    from PIL.Image import Image


def decode_rgb(data: bytes, source: str) -> Image:
    """An RGB picture; transparent pixels become white, as vLLM's server does it.

    Raises ModelError naming `source` if the bytes are no image.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if not image.has_transparency_data:
                return image.convert("RGB")
            layer = image.convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(f"image {source} cannot be decoded: {error}") from error


class Decoder:
    """Decoded pictures by the hash of their bytes: the questions of one image set share them.

    Keeps the most recently used up to `limit` bytes of pixels. For one thread.
    """

    def __init__(self, limit: int = 256 * 1024 * 1024) -> None:
        self._limit = limit
        self._images: OrderedDict[str, Image] = OrderedDict()

    def __call__(self, part: ImagePart) -> Image:
        if part.sha256 not in self._images:
            self._images[part.sha256] = decode_rgb(part.load(), part.source)
        self._images.move_to_end(part.sha256)
        image = self._images[part.sha256]
        while len(self._images) > 1 and self._held() > self._limit:
            self._images.popitem(last=False)
        return image

    def _held(self) -> int:
        return sum(image.width * image.height * 3 for image in self._images.values())
