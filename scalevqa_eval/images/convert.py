"""Pictures that cannot be sent as they are: turned, converted, made smaller. All of it is said."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from scalevqa_eval.images.reading import Header, ImageError, opened
from scalevqa_eval.types import Capabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

GREY = 128
_QUALITIES = (95, 90, 85, 75)
_SHRINK = 0.8
_SMALLEST = 16
_STRIP = 512  # rows that are computed with at once


class Encoded(NamedTuple):
    """An image as it is sent, and what was done to the file ("" if nothing)."""

    data: bytes
    media_type: str
    width: int
    height: int
    change: str = ""


def needed_edits(header: Header, size: int, limits: Capabilities | None) -> bool:
    """Whether a file of `size` bytes must be changed before it is sent."""
    if not header.plain:
        return True
    if limits is None:
        return header.media_type not in Capabilities().media_types
    side, most = limits.max_image_side, limits.max_image_bytes
    return (
        header.media_type not in limits.media_types
        or (side is not None and max(header.width, header.height) > side)
        or (most is not None and size > most)
    )


def edit(data: bytes, header: Header, limits: Capabilities | None) -> Encoded:
    """The image as it will be sent.

    Photographs (JPEG) stay JPEG at quality 95 without chroma subsampling, others become PNG,
    unless the limits in bytes or the media types need otherwise. Raises ImageError if the data
    cannot be decoded or made small enough.
    """
    limits = limits or Capabilities()
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
    mode = image.mode
    if header.bits == 16 and mode in ("RGB", "RGBA"):
        note = "16 to 8 bits a channel"  # Pillow keeps the upper byte while decoding
        return (_on_white(image), f"{note}, on white") if mode == "RGBA" else (image, note)
    if mode in ("RGB", "L") and "transparency" not in image.info:
        return image, ""
    if mode.startswith("I") or mode == "F":
        return _scaled(image, header)
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_white(image), f"{header.colours} to RGB, on white"
    if mode == "1":
        return image.convert("L"), "1 to 8 bits"
    return image.convert("RGB"), f"{header.colours} to RGB"


def _scaled(image: Image, header: Header) -> tuple[Image, str]:
    """Grey of 16 or 32 bits, as 8 bits; strip by strip, so that it takes no more memory."""
    import numpy as np
    from PIL import Image as module

    width, height = image.size
    tops = range(0, height, _STRIP)

    def strip(top: int) -> NDArray[np.float64]:
        box = (0, top, width, min(top + _STRIP, height))
        return np.asarray(image.crop(box)).astype(np.float64)

    found = np.empty((height, width), np.uint8)
    if sixteen := image.mode.startswith("I;16") or header.bits == 16:
        low, spread = 0.0, 65535.0
    else:
        low = float(min(np.nanmin(strip(top)) for top in tops))
        spread = float(max(np.nanmax(strip(top)) for top in tops)) - low or 1.0
    for top in tops:
        found[top : top + _STRIP] = np.nan_to_num((strip(top) - low) / spread * 255).round()
    return module.fromarray(found), "16 to 8 bits" if sixteen else "32 to 8 bits, from its range"


def _on_white(image: Image) -> Image:
    from PIL import Image as module

    white = module.new("RGB", image.size, (255, 255, 255))
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height))).convert("RGBA")
        back = module.new("RGBA", strip.size, (255, 255, 255, 255))
        white.paste(module.alpha_composite(back, strip).convert("RGB"), (0, top))
    return white


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


def grey_png(width: int, height: int) -> bytes:
    """A uniform mid-grey picture of the given size, as PNG."""
    from PIL import Image as module

    return _encoded(module.new("RGB", (width, height), (GREY, GREY, GREY)), lossy=False)
