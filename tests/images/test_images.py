"""Images: every fault is found before anything is sent, and what is sent is said."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scalevqa_eval.errors import DataError
from scalevqa_eval.images import ImageProblem, ImageStore, reading
from scalevqa_eval.images.reading import ImageError, read_header
from scalevqa_eval.types import Capabilities, Question, View

ORIENTATION = 0x0112


def noise(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    data = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(data)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def question(*paths: str, id_: str = "q") -> Question:
    scales = ("low", "mid", "high")
    views = tuple(View(scale, path) for scale, path in zip(scales, paths, strict=False))
    return Question(id_, "?", {"A": "x", "B": "y"}, "A", views)


def problem(root: Path, path: str, deep: bool = False) -> ImageProblem | None:
    """The one problem of an image; `part` must agree that it cannot be sent."""
    store = ImageStore(root)
    problems = store.check([question(path)], deep=deep)
    if not problems:
        return None
    (found,) = problems
    assert found.path == path
    assert found.question_ids == ("q",)
    if not deep:
        with pytest.raises(DataError, match="image "):
            store.part(View("low", path))
    return found


def sent(root: Path, path: str, limits: Capabilities | None = None) -> tuple[Image.Image, str, str]:
    """What a model gets: the decoded picture, its media type, and what was done."""
    store = ImageStore(root, limits)
    assert store.check([question(path)], deep=True) == []
    part = store.part(View("low", path))
    data = part.load()
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert part.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.size == (part.width, part.height)
    assert Image.MIME[picture.format or ""] == part.media_type
    return picture, part.media_type, part.change


# Sent as they are


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_plain_pictures_are_sent_byte_for_byte(tmp_path: Path, kind: str, mode: str) -> None:
    data = encoded(noise().convert(mode), kind)
    (tmp_path / "a").write_bytes(data)
    part = ImageStore(tmp_path).part(View("mid", "a"))
    assert part.load() == data
    assert (part.width, part.height, part.scale, part.change) == (64, 48, "mid", "")
    assert part.media_type == f"image/{kind.lower()}"


def test_progressive_trailing_bytes_and_profiles_change_nothing(tmp_path: Path) -> None:
    forms = {
        "progressive.jpg": encoded(noise(), "JPEG", progressive=True),
        "trailing.jpg": encoded(noise(), "JPEG") + b"more" * 30,
        "zeros.jpg": encoded(noise(), "JPEG") + b"\0" * 9,
        "trailing.png": encoded(noise(), "PNG") + b"more",
        "upright.jpg": encoded(noise(), "JPEG", exif=oriented(1)),
        "profile.jpg": encoded(noise(), "JPEG", icc_profile=b"profile" * 20000),
        "plain.webp": encoded(noise(), "WEBP"),
    }
    store = ImageStore(tmp_path)
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        assert store.part(View("low", name)).load() == data, name
    assert store.check([question(name) for name in forms]) == []
    assert not any(store.part(View("low", name)).change for name in forms)


def test_the_real_type_decides_the_media_type(tmp_path: Path) -> None:
    data = encoded(noise(), "PNG")
    (tmp_path / "a.jpg").write_bytes(data)
    picture, media_type, change = sent(tmp_path, "a.jpg")
    assert picture.format == "PNG"
    assert media_type == "image/png"
    assert "in spite of its name (.jpg)" in change
    assert ImageStore(tmp_path).part(View("low", "a.jpg")).load() == data


# Changed, and said


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(2, 9))
def test_exif_rotation_is_undone(tmp_path: Path, kind: str, value: int) -> None:
    corner = Image.new("RGB", (64, 32), "black")
    corner.paste("white", (0, 0, 16, 16))
    (tmp_path / "a").write_bytes(encoded(corner, kind, exif=oriented(value)))
    picture, media_type, change = sent(tmp_path, "a")
    assert change.startswith(f"turned upright (EXIF orientation {value})")
    assert media_type == ("image/jpeg" if kind == "JPEG" else "image/png")
    assert picture.size == ((64, 32) if value < 5 else (32, 64))
    right = value in (2, 3, 6, 7)
    low = value in (3, 4, 7, 8)
    x, y = picture.width - 4 if right else 4, picture.height - 4 if low else 4
    assert min(picture.convert("RGB").getpixel((x, y))) > 200  # type: ignore[arg-type]
    assert ORIENTATION not in picture.getexif()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64)
    for suffix in ("png", "tif"):
        Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / f"g.{suffix}")
        picture, media_type, change = sent(tmp_path, f"g.{suffix}")
        assert "16 to 8 bits" in change
        assert (picture.mode, media_type) == ("L", "image/png")
        assert np.abs(np.asarray(picture).astype(float) - ramp / 257).max() <= 1


def test_sixteen_bit_colour_becomes_eight(tmp_path: Path) -> None:
    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 4
    (tmp_path / "a.png").write_bytes(png(4, 2, 16, row * 2))
    picture, _, change = sent(tmp_path, "a.png")
    assert "16 to 8 bits" in change
    assert picture.getpixel((1, 1)) == (255, 128, 0)


def test_a_relative_root_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encoded(noise(), "PNG"))
    monkeypatch.chdir(tmp_path)
    store = ImageStore("in")
    monkeypatch.chdir("/")
    assert store.part(View("low", "a.png")).width == 64


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("cmyk.jpg", lambda: encoded(noise().convert("CMYK"), "JPEG"), "CMYK to RGB"),
        ("palette.png", lambda: encoded(noise().convert("P"), "PNG"), "P to RGB"),
        ("one.png", lambda: encoded(noise().convert("1"), "PNG"), "1 to 8 bits"),
        ("a.gif", lambda: encoded(noise().convert("P"), "GIF"), "GIF to PNG"),
        ("a.tif", lambda: encoded(noise(), "TIFF"), "TIFF to PNG"),
        ("cmyk.tif", lambda: encoded(noise().convert("CMYK"), "TIFF"), "CMYK to RGB"),
        ("a.bmp", lambda: encoded(noise(), "BMP"), "BMP to PNG"),
        ("alpha.png", lambda: encoded(noise().convert("RGBA"), "PNG"), "on white"),
        ("alpha.webp", lambda: encoded(noise().convert("RGBA"), "WEBP", lossless=True), ""),
        ("float.tif", lambda: encoded(noise().convert("L").convert("F"), "TIFF"), "32 to 8 bits"),
        (
            "moving.gif",
            lambda: encoded(
                noise().convert("P"), "GIF", save_all=True, append_images=[noise(seed=1)]
            ),
            "first of several frames",
        ),
    ],
)  # fmt: skip
def test_unusual_pictures_become_plain(
    tmp_path: Path, name: str, make: Callable[[], bytes], words: str
) -> None:
    (tmp_path / name).write_bytes(make())
    picture, _, change = sent(tmp_path, name)
    assert picture.mode in ("RGB", "L")
    assert picture.size == (64, 48)
    assert words in change
    if name.startswith("cmyk"):
        difference = np.asarray(picture).astype(float) - np.asarray(noise())
        assert np.abs(difference).mean() < 30


def test_transparency_shows_white(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    layer.save(tmp_path / "a.png")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert sent(tmp_path, "a.png")[0].getpixel((3, 3)) == (255, 255, 255)
    assert sent(tmp_path, "key.png")[0].getpixel((3, 3)) == (255, 255, 255)


@settings(max_examples=40)
@given(
    st.integers(1, 400), st.integers(1, 400), st.integers(20, 300), st.sampled_from(["JPEG", "PNG"])
)
def test_the_side_limit_holds_and_keeps_the_shape(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, side: int, kind: str
) -> None:
    root = tmp_path_factory.mktemp("side")
    (root / "a").write_bytes(encoded(Image.new("RGB", (width, height), "pink"), kind))
    picture, media_type, change = sent(root, "a", Capabilities(max_image_side=side))
    assert max(picture.size) == min(side, max(width, height))
    factor = min(1, side / max(width, height))
    assert abs(picture.width - width * factor) <= 1
    assert abs(picture.height - height * factor) <= 1
    assert bool(change) == (max(width, height) > side)
    assert media_type == f"image/{kind.lower()}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("most", [1500, 5000])
def test_the_byte_limit_holds(tmp_path: Path, kind: str, most: int) -> None:
    (tmp_path / "a").write_bytes(encoded(noise(120, 90), kind))
    limits = Capabilities(max_image_bytes=most)
    part = ImageStore(tmp_path, limits).part(View("low", "a"))
    assert len(part.load()) <= most
    assert f"to fit {most:,} bytes" in part.change
    sent(tmp_path, "a", limits)


def test_byte_limit_without_jpeg(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(encoded(noise(120, 90), "JPEG"))
    limits = Capabilities(max_image_bytes=9000, media_types=("image/png",))
    assert sent(tmp_path, "a", limits)[1] == "image/png"
    with pytest.raises(DataError, match="cannot be made to fit 30 bytes"):
        ImageStore(tmp_path, Capabilities(max_image_bytes=30)).part(View("low", "a"))


# Refused


FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jpg": (lambda: b"", "empty"),
    "half.jpg": (lambda: encoded(noise(), "JPEG")[:-900], "truncated"),
    "tail.jpg": (lambda: encoded(noise(), "JPEG")[:-2], "truncated"),
    "header.jpg": (lambda: encoded(noise(), "JPEG")[:60], "truncated"),
    "half.png": (lambda: encoded(noise(), "PNG")[:-900], "truncated"),
    "tail.png": (lambda: encoded(noise(), "PNG")[:-12], "truncated"),
    "header.png": (lambda: encoded(noise(), "PNG")[:20], "truncated"),
    "half.webp": (lambda: encoded(noise(), "WEBP")[:-900], "truncated"),
    "half.gif": (lambda: encoded(noise().convert("P"), "GIF")[:-900], "truncated"),
    "half.tif": (lambda: encoded(noise(), "TIFF")[:-5000], "truncated"),
    "text.jpg": (lambda: b"<html>not found</html>", "not-image"),
    "eps.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not-image"),
    "start.jpg": (lambda: b"\xff\xd8\xffhello there" * 9, "truncated"),
    "start.png": (lambda: b"\x89PNG\r\n\x1a\n" + b"hello there" * 9, "truncated"),
    "svg.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not-image"),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_damaged_files_are_found(tmp_path: Path, name: str) -> None:
    make, kind = FAULTS[name]
    (tmp_path / name).write_bytes(make())
    found = problem(tmp_path, name)
    assert found is not None
    assert found.kind == kind
    assert found.message


def test_a_thumbnail_does_not_hide_a_cut(tmp_path: Path) -> None:
    """The end of the thumbnail lies within the last bytes of the cut file."""
    thumbnail = encoded(noise(8, 8), "JPEG")
    body = encoded(noise(), "JPEG")
    segment = b"Exif\0\0" + thumbnail
    whole = body[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + body[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-700])
    assert problem(tmp_path, "whole.jpg") is None
    found = problem(tmp_path, "cut.jpg")
    assert found is not None
    assert found.kind == "truncated"


def test_a_hole_in_the_middle_is_found_by_a_deep_check(tmp_path: Path) -> None:
    data = bytearray(encoded(noise(200, 200), "PNG"))
    data[1000:1400] = bytes(400)
    (tmp_path / "a.png").write_bytes(data)
    assert problem(tmp_path, "a.png") is None
    found = problem(tmp_path, "a.png", deep=True)
    assert found is not None
    assert found.kind == "truncated"


def png(width: int, height: int, bits: int = 8, pixels: bytes = bytes(1000)) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0),
        b"IDAT": zlib.compress(pixels),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts.items())


def test_decompression_bombs_are_refused_from_the_header(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "a.png").write_bytes(png(60_000, 60_000))
    jpeg = bytearray(encoded(noise(), "JPEG"))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 60_000, 60_000)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    gif = bytearray(encoded(noise().convert("P"), "GIF"))
    gif[6:10] = struct.pack("<HH", 60_000, 60_000)
    (tmp_path / "a.gif").write_bytes(gif)
    tracemalloc.start()
    for name in ("a.png", "a.jpg", "a.gif"):
        found = problem(tmp_path, name)
        assert found is not None, name
        assert found.kind == "too-large"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000"])
def test_one_limit_in_pixels_for_all_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 10_000)
    (tmp_path / "most").write_bytes(encoded(noise(100, 100), kind))
    (tmp_path / "more").write_bytes(encoded(noise(101, 100), kind))
    assert problem(tmp_path, "most") is None
    found = problem(tmp_path, "more")
    assert found is not None
    assert found.kind == "too-large"
    assert "101×100 pixels" in found.message


def test_directories_of_a_tiff_are_not_counted(tmp_path: Path) -> None:
    """Each is a link to the next, and says nothing but that."""
    whole = bytearray(encoded(Image.new("L", (4, 4)), "TIFF"))
    count = struct.unpack_from("<H", whole, 8)[0]
    struct.pack_into("<I", whole, 10 + 12 * count, len(whole))
    for _ in range(200_000):
        whole += struct.pack("<HHHIII", 1, 256, 3, 1, 4, len(whole) + 18)
    (tmp_path / "a.tif").write_bytes(whole)
    started = time.process_time()
    _, _, change = sent(tmp_path, "a.tif")
    assert "first of several frames" in change
    assert time.process_time() - started < 5


def test_zero_sides_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0, 5))
    found = problem(tmp_path, "a.png")
    assert found is not None
    assert found.kind == "truncated"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"])
@given(more=st.binary(max_size=200))
def test_any_bytes_are_an_image_or_a_header_error(data: bytes, more: bytes) -> None:
    try:
        header = read_header(io.BytesIO(data + more), len(data + more))
    except ImageError:
        return
    assert header.width > 0
    assert header.height > 0


@given(cut=st.integers(0, 3000), kind=st.sampled_from(["JPEG", "PNG"]))
def test_any_cut_is_found(cut: int, kind: str) -> None:
    whole = encoded(noise(), kind)
    data = whole[: min(cut, len(whole) - 1)]
    with pytest.raises(ImageError):
        read_header(io.BytesIO(data), len(data))


# Paths


@pytest.mark.parametrize(
    "path",
    ["../out.png", "in/../../out.png", "/etc/passwd", "in\\..\\..\\out.png", "C:\\x.png", "C:x.png",
     "", "a\0.png", "in/..", "\\\\server\\x.png"],
)  # fmt: skip
def test_paths_out_of_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "out.png").write_bytes(encoded(noise(), "PNG"))
    found = problem(root, path)
    assert found is not None
    assert found.kind == "unsafe"


def test_links_out_of_the_root_are_refused_and_links_within_are_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    picture = encoded(noise(), "PNG")
    (tmp_path / "out.png").write_bytes(picture)
    (tmp_path / "rooted.png").write_bytes(picture)
    (root / "in" / "a.png").write_bytes(picture)
    (root / "file.png").symlink_to(tmp_path / "out.png")
    (root / "directory").symlink_to(tmp_path)
    (root / "relative.png").symlink_to(Path("..") / "out.png")
    (root / "sibling.png").symlink_to(tmp_path / "rooted.png")
    (root / "within.png").symlink_to(Path("in") / "a.png")
    (root / "loop.png").symlink_to("loop.png")
    (tmp_path / "linked").symlink_to(root)
    for path in ("file.png", "directory/out.png", "relative.png", "sibling.png"):
        found = problem(root, path)
        assert found is not None, path
        assert found.kind == "unsafe"
    loop = problem(root, "loop.png")
    assert loop is not None
    assert problem(root, "within.png") is None
    assert problem(tmp_path / "linked", "in/a.png") is None  # the root itself may be a link


def test_a_file_that_becomes_a_link_out_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    picture = encoded(noise(), "PNG")
    (tmp_path / "out.png").write_bytes(picture + b"secret")
    (root / "a.png").write_bytes(picture)
    store = ImageStore(root)
    store.part(View("low", "a.png"))
    (root / "a.png").unlink()
    (root / "a.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(DataError, match="link that leads out"):
        store.part(View("low", "a.png"))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for path in ("directory.png", "pipe.png"):
        found = problem(tmp_path, path)
        assert found is not None
        assert found.kind == "not-image"
    missing = problem(tmp_path, "nothing.png")
    below = problem(tmp_path, "pipe.png/x.png")
    assert missing is not None
    assert below is not None
    assert missing.kind == below.kind == "missing"
    assert str(tmp_path) in missing.message


def test_no_root(tmp_path: Path) -> None:
    (found,) = ImageStore(None).check([question("a.png")])
    assert found.kind == "missing"
    assert "--data-dir" in found.message
    assert ImageStore(None).check([question()]) == []
    assert ImageStore(tmp_path / "nowhere").check([question("a.png")])[0].kind == "missing"


def test_hub_caches_may_link_to_their_blobs_only(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--me--x"
    snapshot = repository / "snapshots" / "abc" / "images"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "1").write_bytes(encoded(noise(), "PNG"))
    (repository / "secret.png").write_bytes(encoded(noise(), "PNG"))
    (snapshot / "a.png").symlink_to(Path("../../../blobs/1"))
    (snapshot / "b.png").symlink_to(Path("../../../secret.png"))
    assert problem(snapshot, "a.png") is None
    found = problem(snapshot, "b.png")
    assert found is not None
    assert found.kind == "unsafe"


def test_a_problem_names_all_questions_that_show_the_image(tmp_path: Path) -> None:
    questions = [question("x.png", id_="1"), question("y.png", "x.png", id_="2")]
    problems = ImageStore(tmp_path).check(questions)
    assert [(p.path, p.question_ids) for p in problems] == [
        ("x.png", ("1", "2")),
        ("y.png", ("2",)),
    ]


# Blank, memory, threads


def test_blank_is_grey_of_the_size_that_would_be_sent(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(noise(90, 60), "JPEG", exif=oriented(6)))
    for limits, size in ((None, (60, 90)), (Capabilities(max_image_side=45), (30, 45))):
        store = ImageStore(tmp_path, limits)
        part = store.part(View("high", "a.jpg", blank=True))
        picture = Image.open(io.BytesIO(part.load()))
        assert picture.size == size == (part.width, part.height)
        assert picture.getcolors() == [(size[0] * size[1], (128, 128, 128))]
        assert (part.scale, part.media_type, part.source) == ("high", "image/png", "a.jpg")
        assert part.change == "replaced by uniform grey"
        assert part.sha256 == hashlib.sha256(part.load()).hexdigest()
        assert part.sha256 != store.part(View("high", "a.jpg")).sha256


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reads: list[str] = []
    real = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        reads.append(self.name)
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    return reads


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.jpg" for n in range(6)]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(encoded(noise(seed=n), "JPEG"))
    store = ImageStore(tmp_path)
    reads = count_reads(monkeypatch)
    assert store.check([question(*names[:3]), question(*names[3:])]) == []
    for n in range(2):
        for _ in range(4):
            for scale, name in zip(("low", "mid", "high"), names[3 * n : 3 * n + 3], strict=True):
                part = store.part(View(scale, name))  # type: ignore[arg-type]
                assert part.scale == scale
                part.load()
    assert reads == names


def test_memory_is_bounded_and_what_was_dropped_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.png": encoded(noise(seed=n), "PNG") for n in range(8)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    limit = 3 * max(map(len, files.values()))
    store = ImageStore(tmp_path, memory_limit=limit)
    parts = [store.part(View("low", name)) for name in files]
    assert store._held <= limit
    reads = count_reads(monkeypatch)
    assert [part.load() for part in parts] == list(files.values())
    assert "0.png" in reads
    assert store._held <= limit
    tiny = ImageStore(tmp_path, memory_limit=10)
    assert tiny.part(View("low", "0.png")).load() == files["0.png"]
    assert tiny._held == 0


def test_a_file_that_changes_during_a_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(seed=1), "PNG"))
    store = ImageStore(tmp_path, memory_limit=0)
    part = store.part(View("low", "a.png"))
    (tmp_path / "a.png").write_bytes(encoded(noise(seed=2), "PNG"))
    with pytest.raises(DataError, match="changed while it was in use"):
        part.load()
    again = store.part(View("low", "a.png"))
    assert again.sha256 != part.sha256
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        again.load()


def test_threads_see_the_same(tmp_path: Path) -> None:
    files = {f"{n}.png": encoded(noise(seed=n), "PNG") for n in range(10)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    store = ImageStore(tmp_path, Capabilities(max_image_side=32), memory_limit=8000)
    expected = {name: store.part(View("low", name)).sha256 for name in files}
    wrong: list[str] = []

    def work() -> None:
        for name in list(files) * 3:
            part = store.part(View("low", name))
            if hashlib.sha256(part.load()).hexdigest() != expected[name]:
                wrong.append(name)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
