"""Pictures that cannot be sent as they are: turned, converted, made smaller. All of it is said."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from scalevqa_eval.images.reading import Header, ImageError, opened
from scalevqa_eval.types import Capabilities

if TYPE_CHECKING:
    from PIL.Image import Image

GREY = 128
_QUALITIES = (95, 90, 85, 75)
_SHRINK = 0.8
_SMALLEST = 16


class Encoded(NamedTuple):
    """An image as it is sent, and what was done to the file ("" if nothing)."""

    data: bytes
    media_type: str
    width: int
    height: int
    change: str = ""


def needs_edits(header: Header, size: int, limits: Capabilities) -> bool:
    """Whether a file of `size` bytes must be changed before it is sent."""
    side, most = limits.max_image_side, limits.max_image_bytes
    return (
        not header.plain
        or header.media_type not in limits.media_types
        or (side is not None and max(header.width, header.height) > side)
        or (most is not None and size > most)
    )


def edit(data: bytes, header: Header, limits: Capabilities) -> Encoded:
    """The image as it will be sent.

    Photographs (JPEG) stay JPEG at quality 95 without chroma subsampling, others become PNG,
    unless the limits in bytes or the media types need otherwise. Raises ImageError if the data
    cannot be decoded or made small enough.
    """
    side, most = limits.max_image_side, limits.max_image_bytes
    image, done = _decoded(data, header, side)
    lossy = header.format == "JPEG" and "image/jpeg" in limits.media_types
    lossy = lossy or "image/png" not in limits.media_types
    if header.media_type != ("image/jpeg" if lossy else "image/png"):
        done.append(f"{header.format} to {'JPEG' if lossy else 'PNG'}")
    if side is not None and max(image.size) > side:
        image = _resized(image, side / max(image.size))
    if image.size not in ((header.width, header.height), (header.height, header.width)):
        done.append(f"{header.width}×{header.height} made {image.width}×{image.height} pixels")
    encoded = _encoded(image, lossy)
    if most is not None and len(encoded) > most:
        encoded, image, lossy, note = _squeezed(image, most, limits)
        done.append(note)
    media_type = "image/jpeg" if lossy else "image/png"
    return Encoded(encoded, media_type, *image.size, "; ".join(done) or "encoded anew")


def _decoded(data: bytes, header: Header, side: int | None) -> tuple[Image, list[str]]:
    """Upright 8-bit RGB or grey pixels, and what had to be done for that."""
    from PIL import ImageOps

    done = ["first of several frames"] if header.animated else []
    with opened(io.BytesIO(data)) as image:
        factor = 2 * side / max(image.size) if side is not None else 1
        if factor < 1:
            # Lets a JPEG's decoder drop detail that the resize would drop; keeps twice the side.
            image.draft(None, (round(image.width * factor) or 1, round(image.height * factor) or 1))
        image.load()
        picture: Image = image
        if header.orientation != 1:
            picture = ImageOps.exif_transpose(image)
            done.append(f"turned upright (EXIF orientation {header.orientation})")
        profile = picture.info.get("icc_profile")
        picture, note = _eight_bit(picture, header)
        picture = picture.copy() if picture is image else picture
    if note:
        done.append(note)
    elif profile:
        picture.info["icc_profile"] = profile
    return picture, done


def _eight_bit(image: Image, header: Header) -> tuple[Image, str]:
    """RGB or grey of 8 bits, without transparency; and what that took."""
    from PIL import Image as module

    note = f"{header.bits} to 8 bits" if header.bits != 8 else f"{header.mode} to RGB"
    if header.transparent:
        layer = image.convert("RGBA")
        white = module.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white, f"{note}, on white"
    if image.mode in ("RGB", "L"):  # Pillow keeps the upper byte of 16 bits while decoding
        return image, note if header.bits != 8 else ""
    if image.mode == "1":
        return image.convert("L"), note
    if header.bits == 16:
        table = [round(value / 257) for value in range(2**16)]
        return image.convert("I").point(table, "L"), note
    if header.bits == 32:
        low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
        factor = 255 / ((high - low) or 1)
        if not math.isfinite(factor):
            raise ImageError("not-image", "the image has pixels that are no numbers")
        scaled = image.convert("F").point(lambda value: (value - low) * factor + 0.5)
        return scaled.convert("L"), f"{note}, from its range"
    return image.convert("RGB"), note


def _resized(image: Image, factor: float) -> Image:
    from PIL import Image as module

    width, height = (max(1, round(side * factor)) for side in image.size)
    smaller = image.resize((width, height), module.Resampling.LANCZOS, reducing_gap=3.0)
    if profile := image.info.get("icc_profile"):
        smaller.info["icc_profile"] = profile
    return smaller


def _encoded(image: Image, lossy: bool, quality: int = _QUALITIES[0]) -> bytes:
    out = io.BytesIO()
    profile = image.info.get("icc_profile")
    if lossy:
        image.save(out, "JPEG", quality=quality, subsampling=0, exif=b"", icc_profile=profile)
    else:
        image.save(out, "PNG", exif=b"", icc_profile=profile)
    return out.getvalue()


def _squeezed(image: Image, most: int, limits: Capabilities) -> tuple[bytes, Image, bool, str]:
    """Made to fit into `most` bytes: by JPEG quality first, then by size."""
    original = image.size
    lossy = "image/jpeg" in limits.media_types
    while True:
        for quality in _QUALITIES if lossy else (0,):
            encoded = _encoded(image, lossy, quality)
            if len(encoded) <= most:
                note = f"JPEG quality {quality}" if lossy else "PNG"
                if image.size != original:
                    old, new = "×".join(map(str, original)), "×".join(map(str, image.size))
                    note += f", {old} made {new} pixels"
                return encoded, image, lossy, f"{note}, to fit {most:,} bytes"
        if max(image.size) <= _SMALLEST:
            raise ImageError("too-large", f"the image cannot be made to fit {most:,} bytes")
        image = _resized(image, _SHRINK)


@lru_cache(maxsize=16)
def grey(width: int, height: int) -> Encoded:
    """A uniform mid-grey picture of the given size, as PNG."""
    from PIL import Image as module

    data = _encoded(module.new("RGB", (width, height), (GREY, GREY, GREY)), lossy=False)
    return Encoded(data, "image/png", width, height, "replaced by uniform grey")
