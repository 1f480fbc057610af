"""Opens, checks and encodes a benchmark's images, each file once, in bounded memory.

A file is sent byte for byte unless it is no plain 8-bit picture or the model's limits need less;
then `changes` says what was done.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from scalevqa_eval.errors import DataError
from scalevqa_eval.images.convert import edit, grey_png, needed_edits
from scalevqa_eval.images.headers import SUFFIXES, Header, HeaderError, check_decodes, read_header
from scalevqa_eval.types import Capabilities, ImagePart, Question, View

MEMORY_LIMIT = 32 * 2**20
MAX_FILE_BYTES = 500_000_000
_BLANK_NOTE = "replaced by uniform grey"


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """An image that cannot be sent, and the questions that show it.

    `kind` is missing, empty, truncated, not-image, too-large, unsafe or unreadable.
    """

    path: str
    question_ids: tuple[str, ...]
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when its header was read."""

    real: Path
    signature: tuple[int, int, int]
    size: int
    header: Header


class ImageStore:
    """The images under a root, as one model will see them.

    `capabilities` gives the model's limits (None: those of common APIs). Encoded images are kept
    up to `memory_limit` bytes, least recently used first out. Safe to use from several threads.
    """

    def __init__(
        self,
        root: Path | str | None,
        capabilities: Capabilities | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.root = None if root is None else Path(root)
        self.changes: dict[str, str] = {}
        self._capabilities = capabilities
        self._memory_limit = memory_limit
        # Absolute, so that a change of the working directory changes nothing.
        self._base = None if root is None else Path(root).absolute()
        self._roots = () if self._base is None else _allowed_roots(self._base)
        self._seen: dict[str, _Seen] = {}
        self._parts: dict[str, tuple[_Seen, ImagePart]] = {}
        self._grey: dict[tuple[int, int], str] = {}
        self._bytes: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._lock = threading.RLock()

    def check(self, questions: Iterable[Question], deep: bool = False) -> list[ImageProblem]:
        """Look at each distinct image's header and end; `deep` decodes it in full.

        Nothing is raised: what cannot be sent comes back, in the order of the questions.
        """
        shown: dict[str, list[str]] = {}
        for question in questions:
            for view in question.views:
                ids = shown.setdefault(view.image, [])
                if not ids or ids[-1] != question.id:
                    ids.append(question.id)
        problems = []
        for path, ids in shown.items():
            try:
                seen = self._look(path)
                if deep:
                    with seen.real.open("rb") as file:
                        check_decodes(file)
            except HeaderError as error:
                problems.append(ImageProblem(path, tuple(ids), error.kind, str(error)))
            except OSError as error:
                problems.append(ImageProblem(path, tuple(ids), "unreadable", _reason(error)))
        return problems

    def part(self, view: View) -> ImagePart:
        """What is sent of a view. Raises DataError if its image cannot be used."""
        with self._lock:
            try:
                seen = self._look(view.image)
                part = self._blank(view, seen) if view.blank else self._plain(view, seen)
            except HeaderError as error:
                raise DataError(f"image {view.image}: {error}") from None
            except OSError as error:
                raise DataError(f"image {view.image}: {_reason(error)}") from None
            except DataError as error:
                raise DataError(f"image {view.image}: {error}") from None
            return part if part.scale == view.scale else replace(part, scale=view.scale)

    @property
    def held_bytes(self) -> int:
        """Bytes of encoded images in memory now."""
        return self._held

    def file(self, path: str) -> Path:
        """The file that an image path names. Raises DataError if it leads out of the root."""
        try:
            return self._resolve(path)
        except HeaderError as error:
            raise DataError(f"image {path}: {error}") from None

    def header(self, path: str) -> Header:
        """The header of an image. Raises DataError if it is none."""
        try:
            return self._look(path).header
        except HeaderError as error:
            raise DataError(f"image {path}: {error}") from None
        except OSError as error:
            raise DataError(f"image {path}: {_reason(error)}") from None

    def _plain(self, view: View, seen: _Seen) -> ImagePart:
        known = self._parts.get(view.image)
        if known is not None and known[0].signature == seen.signature:
            return known[1]
        data, media_type, width, height, change = self._encode(seen)
        suffix = PurePosixPath(view.image).suffix
        if not change and SUFFIXES.get(suffix.lower(), seen.header.format) != seen.header.format:
            change = f"sent as it is, as {media_type}, which it is in spite of its name ({suffix})"
        digest = hashlib.sha256(data).hexdigest()
        load = partial(self._load, digest, view.image, seen)
        part = ImagePart(
            view.image, view.scale, media_type, width, height, digest, change, load
        )  # fmt: skip
        if change:
            self.changes[view.image] = change
        self._parts[view.image] = (seen, part)
        self._keep(digest, data)
        return part

    def _blank(self, view: View, seen: _Seen) -> ImagePart:
        """A grey picture of the size in which the image itself would be sent."""
        if needed_edits(seen.header, seen.size, self._capabilities):
            part = self._plain(view, seen)
            size = part.width, part.height
        else:
            size = seen.header.width, seen.header.height
        if size not in self._grey:
            data = grey_png(*size)
            self._grey[size] = hashlib.sha256(data).hexdigest()
            self._keep(self._grey[size], data)
        digest = self._grey[size]
        return ImagePart(
            view.image, view.scale, "image/png", *size, digest, _BLANK_NOTE,
            partial(self._load_grey, digest, size),
        )  # fmt: skip

    def _encode(self, seen: _Seen) -> tuple[bytes, str, int, int, str]:
        data = seen.real.read_bytes()
        header = seen.header
        if needed_edits(header, len(data), self._capabilities):
            return edit(data, header, self._capabilities)
        return data, header.media_type, header.width, header.height, ""

    def _load(self, digest: str, path: str, seen: _Seen) -> bytes:
        with self._lock:
            data = self._held_bytes(digest)
            if data is None:
                try:
                    data = self._encode(seen)[0]
                except OSError as error:
                    raise DataError(f"image {path}: {_reason(error)}") from None
                if hashlib.sha256(data).hexdigest() != digest:
                    raise DataError(
                        f"image {path} changed while it was in use: start the command again"
                    )
                self._keep(digest, data)
            return data

    def _load_grey(self, digest: str, size: tuple[int, int]) -> bytes:
        with self._lock:
            data = self._held_bytes(digest)
            if data is None:
                data = grey_png(*size)
                self._keep(digest, data)
            return data

    def _held_bytes(self, digest: str) -> bytes | None:
        data = self._bytes.get(digest)
        if data is not None:
            self._bytes.move_to_end(digest)
        return data

    def _keep(self, digest: str, data: bytes) -> None:
        if digest in self._bytes or len(data) > self._memory_limit:
            return
        self._bytes[digest] = data
        self._held += len(data)
        while self._held > self._memory_limit:
            _, dropped = self._bytes.popitem(last=False)
            self._held -= len(dropped)

    def _look(self, path: str) -> _Seen:
        """The file behind a path and its header, read again only if the file has changed."""
        known = self._seen.get(path)
        real = self._resolve(path) if known is None else known.real
        try:
            info = real.stat()
        except FileNotFoundError:
            raise HeaderError("missing", f"there is no such file under {self.root}") from None
        except NotADirectoryError:
            raise HeaderError("missing", f"there is no such file under {self.root}") from None
        signature = info.st_mtime_ns, info.st_size, info.st_ino
        if known is not None and known.signature == signature:
            return known
        if known is not None:
            real = self._resolve(path)  # it may have become a link
        if not stat.S_ISREG(info.st_mode):
            raise HeaderError("not-image", "it is no regular file")
        if info.st_size > MAX_FILE_BYTES:
            raise HeaderError("too-large", f"the file has {info.st_size:,} bytes")
        with real.open("rb") as file:
            header = read_header(file, info.st_size)
        seen = _Seen(real, signature, info.st_size, header)
        self._seen[path] = seen
        return seen

    def _resolve(self, path: str) -> Path:
        """The real file of a path under the root. Raises HeaderError if it leads elsewhere."""
        if self._base is None:
            raise HeaderError("missing", "no image directory is known: give --data-dir")
        parts = PurePosixPath(path.replace("\\", "/"))
        if (
            not path
            or "\0" in path
            or parts.is_absolute()
            or ".." in parts.parts
            or re.match(r"[A-Za-z]:", path)
        ):
            raise HeaderError("unsafe", "the path must be relative and stay in the image directory")
        try:
            real = os.path.realpath(self._base / path)
        except (OSError, ValueError) as error:
            raise HeaderError("unreadable", str(error)) from None
        if not any(real.startswith(root) for root in self._roots):
            raise HeaderError("unsafe", "it is a link that leads out of the image directory")
        return Path(real)


def _allowed_roots(root: Path) -> tuple[str, ...]:
    """Prefixes that a resolved image path may have: the root, and a hub cache's blobs.

    A hub snapshot (…/snapshots/<commit>/…) consists of links into the `blobs` beside it.
    """
    real = Path(os.path.realpath(root))
    allowed = [real]
    for parent in (real, *real.parents):
        if parent.parent.name == "snapshots" and (parent.parent.parent / "blobs").is_dir():
            allowed.append(parent.parent.parent / "blobs")
            break
    return tuple(os.path.join(directory, "") for directory in allowed)  # noqa: PTH118


def _reason(error: OSError) -> str:
    return f"the file cannot be read ({error.strerror or type(error).__name__})"
