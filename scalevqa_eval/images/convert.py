"""Pictures that cannot be sent as they are: turned, converted, made smaller. All of it is said."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import DataError
from scalevqa_eval.images.headers import FORMATS, Header, pillow_lock
from scalevqa_eval.types import Capabilities

if TYPE_CHECKING:
    from PIL.Image import Image

GREY = 128
_QUALITIES = (95, 90, 85, 75)
_SHRINK = 0.8
_SMALLEST = 16


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


def edit(
    data: bytes, header: Header, limits: Capabilities | None
) -> tuple[bytes, str, int, int, str]:
    """The image as it will be sent: (bytes, media type, width, height, what was done).

    Photographs (JPEG) stay JPEG at quality 95 without chroma subsampling, others become PNG,
    unless the limits in bytes or the media types need otherwise. Raises DataError if the data
    cannot be decoded or made small enough.
    """
    limits = limits or Capabilities()
    image, done = _decoded(data, header, limits.max_image_side)
    lossy = header.format == "JPEG" and "image/jpeg" in limits.media_types
    lossy = lossy or "image/png" not in limits.media_types
    if header.media_type != ("image/jpeg" if lossy else "image/png"):
        done.append(f"{header.format} to {'JPEG' if lossy else 'PNG'}")
    if limits.max_image_side is not None and max(image.size) > limits.max_image_side:
        image = _resized(image, limits.max_image_side / max(image.size))
        done.append(_sizes(header, image))
    elif image.size not in ((header.width, header.height), (header.height, header.width)):
        done.append(_sizes(header, image))
    encoded = _encoded(image, lossy)
    most = limits.max_image_bytes
    if most is not None and len(encoded) > most:
        encoded, image, lossy, note = _squeezed(image, most, limits)
        done.append(note)
    media_type = "image/jpeg" if lossy else "image/png"
    return encoded, media_type, image.width, image.height, "; ".join(done) or "encoded anew"


def _sizes(header: Header, image: Image) -> str:
    return f"{header.width}×{header.height} made {image.width}×{image.height} pixels"


def _decoded(data: bytes, header: Header, side: int | None) -> tuple[Image, list[str]]:
    """Upright 8-bit RGB or grey pixels, and what had to be done for that."""
    from PIL import Image, ImageOps

    done = []
    try:
        with pillow_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if header.frames > 1:
            image.seek(0)
            done.append(f"first of {header.frames} frames")
        if side is not None and image.format == "JPEG":
            # Lets the decoder drop detail that the resize would drop; keeps twice the side.
            factor = 2 * side / max(image.size)
            if factor < 1:
                image.draft(
                    None, (round(image.width * factor) or 1, round(image.height * factor) or 1)
                )
        image.load()
        if header.orientation != 1:
            image = ImageOps.exif_transpose(image)
            done.append(f"turned upright (EXIF orientation {header.orientation})")
        profile = image.info.get("icc_profile")
        converted, note = _eight_bit(image, header)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise all kinds on broken files
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"the image cannot be decoded ({reason})") from error
    if note:
        done.append(note)
    elif profile:
        converted.info["icc_profile"] = profile
    return converted, done


def _eight_bit(image: Image, header: Header) -> tuple[Image, str]:
    from PIL import Image as module

    mode = image.mode
    if header.bits == 16 and mode in ("RGB", "RGBA"):
        note = "16 to 8 bits a channel"  # Pillow keeps the upper byte while decoding
        return (_on_white(image), f"{note}, on white") if mode == "RGBA" else (image, note)
    if mode in ("RGB", "L") and "transparency" not in image.info:
        return image, ""
    if mode.startswith("I") or mode == "F":
        import numpy as np

        values = np.asarray(image).astype(np.float64)
        if mode.startswith("I;16") or header.bits == 16:
            return module.fromarray((values / 257).round().astype(np.uint8)), "16 to 8 bits"
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scaled = np.nan_to_num((values - low) / (high - low or 1.0) * 255)
        return module.fromarray(scaled.round().astype(np.uint8)), "32 to 8 bits, from its range"
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_white(image), f"{header.colours} to RGB, on white"
    if mode == "1":
        return image.convert("L"), "1 to 8 bits"
    return image.convert("RGB"), f"{header.colours} to RGB"


def _on_white(image: Image) -> Image:
    from PIL import Image as module

    layer = image.convert("RGBA")
    white = module.new("RGBA", layer.size, (255, 255, 255, 255))
    return module.alpha_composite(white, layer).convert("RGB")


def _resized(image: Image, factor: float) -> Image:
    from PIL import Image as module

    size = tuple(max(1, round(side * factor)) for side in image.size)
    profile = image.info.get("icc_profile")
    smaller = image.resize((size[0], size[1]), module.Resampling.LANCZOS, reducing_gap=3.0)
    if profile:
        smaller.info["icc_profile"] = profile
    return smaller


def _encoded(image: Image, lossy: bool, quality: int = _QUALITIES[0]) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {}
    if image.info.get("icc_profile"):
        options["icc_profile"] = image.info["icc_profile"]
    if lossy:
        image.save(out, "JPEG", quality=quality, subsampling=0, exif=b"", **options)
    else:
        image.save(out, "PNG", exif=b"", **options)
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
            raise DataError(f"the image cannot be made to fit {most:,} bytes")
        image = _resized(image, _SHRINK)


def grey_png(width: int, height: int) -> bytes:
    """A uniform mid-grey picture of the given size, as PNG."""
    from PIL import Image as module

    return _encoded(module.new("RGB", (width, height), (GREY, GREY, GREY)), lossy=False)
