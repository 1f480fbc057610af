"""What the first and last bytes of an image file say, without decoding it.

JPEG (ITU T.81) and PNG (ISO 15948) are read here, in microseconds a file and without allocating
for the pixels; other formats go through Pillow.
"""

from __future__ import annotations

import struct
import threading
import warnings
from dataclasses import dataclass
from typing import BinaryIO

# Pillow refuses larger ones itself (twice its MAX_IMAGE_PIXELS): 13,377 pixels squared.
MAX_PIXELS = 178_956_970
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000")
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "JPEG2000": "image/jp2",
}
SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".jp2": "JPEG2000",
}
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_NO_LENGTH = {0x01, *range(0xD0, 0xD8)}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_COMMON_FRAMES = {0xC0, 0xC1, 0xC2}
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_TAIL = 4096
_JPEG_COLOURS = ("grey", "RGB", "CMYK")
_PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}

pillow_lock = threading.RLock()


class HeaderError(Exception):
    """The file is no usable image. `kind` is empty, truncated, not-image or too-large."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """`colours` names what the pixels are; `orientation` is EXIF's, 1 for upright.

    `plain` says that the file is an upright, single, 8-bit RGB or grey picture without
    transparency, so that it means the same to every reader.
    """

    format: str
    width: int
    height: int
    colours: str
    bits: int = 8
    orientation: int = 1
    frames: int = 1

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def plain(self) -> bool:
        upright = self.orientation == 1 and self.frames == 1
        return upright and self.bits == 8 and self.colours in ("RGB", "grey")


def read_header(file: BinaryIO, size: int) -> Header:
    """The header of an image file of `size` bytes, whose end is looked at as well.

    Raises HeaderError if it is empty, cut short, no image, or has more than MAX_PIXELS.
    """
    if size == 0:
        raise HeaderError("empty", "the file is empty (0 bytes)")
    start = file.read(8)
    file.seek(0)
    try:
        if start.startswith(_JPEG_START):
            header = _jpeg(file)
        elif start == _PNG_START:
            header = _png(file)
        else:
            header = _other(file)
    except (struct.error, EOFError):
        raise HeaderError("truncated", "the file is cut short within its header") from None
    if header.width < 1 or header.height < 1:
        raise HeaderError("not-image", f"the image is {header.width}×{header.height} pixels")
    check_pixels(header.width, header.height)
    _check_end(file, size, header)
    if header.format == "JPEG" and (header.bits != 8 or header.colours not in _JPEG_COLOURS):
        check_decodes(file)  # not every decoder takes these
    return header


def check_pixels(width: int, height: int) -> None:
    """Raise HeaderError for a decompression bomb."""
    if width * height > MAX_PIXELS:
        raise HeaderError(
            "too-large",
            f"the image has {width:,}×{height:,} pixels; at most {MAX_PIXELS // 10**6} megapixels "
            "are opened",
        )


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _jpeg(file: BinaryIO) -> Header:
    file.seek(2)
    orientation = 1
    while True:
        byte = _take(file, 1)
        if byte != b"\xff":
            raise HeaderError("not-image", "the file begins like a JPEG and goes on otherwise")
        marker = 0xFF
        while marker == 0xFF:  # fill bytes
            marker = _take(file, 1)[0]
        if marker in _NO_LENGTH:
            continue
        (length,) = struct.unpack(">H", _take(file, 2))
        if length < 2 or marker in (0xD9, 0xDA):
            raise HeaderError("not-image", "the JPEG holds no picture")
        if marker in _FRAMES:
            bits, height, width, components = struct.unpack(">BHHB", _take(file, 6))
            colours = {1: "grey", 3: "RGB", 4: "CMYK"}.get(components, f"{components} channels")
            if marker not in _COMMON_FRAMES:
                colours = f"{colours} in an unusual coding"
            return Header("JPEG", width, height, colours, bits, orientation)
        if marker == 0xE1 and orientation == 1:
            body = _take(file, length - 2)
            if body.startswith(b"Exif\0\0"):
                orientation = _orientation(body[6:])
        else:
            file.seek(length - 2, 1)


def _orientation(tiff: bytes) -> int:
    """EXIF's orientation tag in the first directory of a TIFF block; 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(count):
        place = start + 2 + 12 * index
        if place + 12 > len(tiff):
            break
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        if tag == _ORIENTATION:
            form = "H" if kind == 3 else "I"
            (value,) = struct.unpack_from(f"{order}{form}", tiff, place + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def _png(file: BinaryIO) -> Header:
    file.seek(8)
    length, name = struct.unpack(">I4s", _take(file, 8))
    if name != b"IHDR" or length != 13:
        raise HeaderError("not-image", "the file begins like a PNG and goes on otherwise")
    width, height, bits, colour = struct.unpack(">IIBB", _take(file, 10))
    file.seek(3 + 4, 1)
    colours, orientation, frames = _PNG_COLOURS.get(colour, f"colour type {colour}"), 1, 1
    while True:
        length, name = struct.unpack(">I4s", _take(file, 8))
        if name == b"IDAT":
            break
        if name == b"IEND":
            raise HeaderError("not-image", "the PNG holds no picture")
        if name == b"acTL":
            (frames,) = struct.unpack(">I", _take(file, 4))
            length -= 4
        elif name == b"eXIf" and length < 1 << 16:
            orientation = _orientation(_take(file, length))
            length = 0
        elif name == b"tRNS" and colours in ("RGB", "grey"):
            colours += " with alpha"
        file.seek(length + 4, 1)
    return Header("PNG", width, height, colours, bits, orientation, max(frames, 1))


def _other(file: BinaryIO) -> Header:
    from PIL import Image, TiffImagePlugin, UnidentifiedImageError

    # Pillow warns about large images; catching that is global state, hence the lock.
    with pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=FORMATS) as image:
                orientation = image.getexif().get(_ORIENTATION, 1) if image.format != "GIF" else 1
                image.load()  # these formats have no end to look for
                frames = getattr(image, "n_frames", 1)
                name = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
                colours, bits = _MODES.get(image.mode, (image.mode, 8))
                if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode == "RGB":
                    bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
                upright = orientation if orientation in range(1, 9) else 1
                return Header(name, *image.size, colours, bits, upright, frames)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise HeaderError("too-large", str(error).split(",")[0]) from None
        except UnidentifiedImageError:
            raise HeaderError("not-image", "the file is in no known image format") from None
        except MemoryError:
            raise HeaderError("too-large", "the image does not fit into memory") from None
        except Exception as error:  # Pillow's readers raise all kinds on broken files
            message = f"the image cannot be decoded ({' '.join(str(error).split())[:100]})"
            raise HeaderError("truncated", message) from None


_MODES = {
    "RGB": ("RGB", 8),
    "L": ("grey", 8),
    "1": ("grey", 1),
    "P": ("palette", 8),
    "PA": ("palette with alpha", 8),
    "LA": ("grey with alpha", 8),
    "RGBA": ("RGB with alpha", 8),
    "RGBa": ("RGB with alpha", 8),
    "CMYK": ("CMYK", 8),
    "I;16": ("grey", 16),
    "I;16B": ("grey", 16),
    "I": ("grey", 32),
    "F": ("grey", 32),
}


def _check_end(file: BinaryIO, size: int, header: Header) -> None:
    """Raise HeaderError if a JPEG or PNG does not end. Bytes after its end are tolerated."""
    end = {"JPEG": _JPEG_END, "PNG": _PNG_END}.get(header.format)
    if end is None:
        return
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    if tail.rstrip(b"\0\r\n ").endswith(end) or (header.format == "PNG" and end in tail):
        return
    # A JPEG may carry more behind its end (or a thumbnail's end inside): only decoding tells.
    if header.format == "JPEG" and end in tail:
        check_decodes(file)
        return
    raise HeaderError("truncated", f"the {header.format} is cut short ({size:,} bytes)")


def check_decodes(file: BinaryIO) -> None:
    """Decode a whole image; raise HeaderError if that fails."""
    from PIL import Image

    file.seek(0)
    try:
        with pillow_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=FORMATS)
        with image:
            image.load()
    except MemoryError:
        raise HeaderError("too-large", "the image does not fit into memory") from None
    except Exception as error:  # Pillow's readers raise all kinds on broken files
        message = f"the image cannot be decoded ({' '.join(str(error).split())[:100]})"
        raise HeaderError("truncated", message) from None
