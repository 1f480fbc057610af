"""Image files through Pillow, within one set of limits: refused before decoding, or whole."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image

# Of every format. Decoded, so many take 400 MB; twice that while they are converted.
MAX_PIXELS = 100_000_000
_LIMIT = f"at most {MAX_PIXELS // 10**6} megapixels are opened"
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "JPEG2000": "image/jp2",
}
FORMATS = tuple(MEDIA_TYPES)
SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".jp2": "JPEG2000",
}
# What files begin with → the suffix that tells.
STARTS = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"BM": ".bmp",
}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TAIL = 4096
_ORIENTATION = 0x0112

# Pillow warns about what is large or odd; catching that is global state.
_lock = threading.RLock()


class ImageError(Exception):
    """The file is no usable image. `kind` is that of an ImageProblem."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """`mode` is Pillow's (RGB, L, P, …); `orientation` is EXIF's, 1 for upright.

    `plain` says that the file is an upright, single, 8-bit RGB or grey picture without
    transparency, so that it means the same to every reader.
    """

    format: str
    width: int
    height: int
    mode: str
    bits: int
    transparent: bool
    orientation: int
    animated: bool

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def plain(self) -> bool:
        odd = self.transparent or self.animated or self.orientation != 1
        return not odd and self.bits == 8 and self.mode in ("RGB", "L")


@contextmanager
def opened(file: BinaryIO) -> Iterator[Image]:
    """An image file, its header read. What goes wrong, here or while it is used, is an ImageError.

    Only the first frame of several is looked for: counting them can take minutes.
    """
    from PIL import Image, UnidentifiedImageError

    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file.seek(0)
            with Image.open(file, formats=FORMATS) as image:
                width, height = image.size
                if width < 1 or height < 1:
                    raise ImageError("not-image", f"the image is {width}×{height} pixels")
                if width * height > MAX_PIXELS:
                    raise ImageError("too-large", f"{width:,}×{height:,} pixels; {_LIMIT}")
                yield image
        except (ImageError, OSError) as error:
            if isinstance(error, UnidentifiedImageError):
                file.seek(0)
                if file.read(8).startswith(tuple(STARTS)):
                    message = "the file begins like an image, and is cut short or broken"
                    raise ImageError("truncated", message) from None
                raise ImageError("not-image", "the file is in no known image format") from None
            if isinstance(error, ImageError) or error.errno is not None:
                raise
            raise _broken(error) from None
        except Image.DecompressionBombError:
            raise ImageError("too-large", f"too many pixels; {_LIMIT}") from None
        except MemoryError:
            raise ImageError("too-large", "the image does not fit into memory") from None
        except Exception as error:  # Pillow's readers raise all kinds on broken files
            raise _broken(error) from None


def read_header(file: BinaryIO, size: int) -> Header:
    """The header of an image file of `size` bytes, whose end is looked at as well.

    Raises ImageError if it is empty, cut short, no image, or has more than MAX_PIXELS.
    """
    if size == 0:
        raise ImageError("empty", "the file is empty (0 bytes)")
    with opened(file) as image:
        # A JPEG with more pictures behind it is read by everyone as the first.
        name = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
        # How many bits a channel had is told by the decoder's own mode, such as RGB;16B.
        tiles = getattr(image, "tile", ())
        stored = str(tiles[0][3]) if tiles and name != "BMP" else ""
        depth = re.search(r";(\d+)", f"{stored} {image.mode}")
        header = Header(
            name,
            *image.size,
            image.mode,
            int(depth[1]) if depth else {"1": 1, "I": 32, "F": 32}.get(image.mode, 8),
            image.has_transparency_data,
            _orientation(image),
            name != "JPEG" and getattr(image, "is_animated", False),
        )
        if name not in _ENDS:
            image.load()  # these formats have no end to look for
    if name in _ENDS:
        _check_end(file, size, name)
    return header


def check_decodes(file: BinaryIO) -> None:
    """Decode a whole image; raise ImageError if that fails."""
    with opened(file) as image:
        image.load()


def _check_end(file: BinaryIO, size: int, name: str) -> None:
    """Raise ImageError if a JPEG or PNG does not end. Bytes after its end are tolerated."""
    end = _ENDS[name]
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    if tail.rstrip(b"\0\r\n ").endswith(end):
        return
    if end not in tail:
        raise ImageError("truncated", f"the {name} is cut short ({size:,} bytes)")
    if name == "JPEG":  # the end may be that of a thumbnail: only decoding tells
        check_decodes(file)


def _orientation(image: Image) -> int:
    from PIL import Image as module

    exif = module.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = getattr(image, "tag_v2", exif).get(_ORIENTATION, 1)
    except Exception:  # nothing that Pillow can read: no viewer turns it either
        return 1
    return value if value in range(1, 9) else 1


def _broken(error: Exception) -> ImageError:
    reason = " ".join(str(error).split())[:100]
    return ImageError("truncated", f"the image cannot be decoded ({reason})")
