"""A benchmark's images, each file opened, checked and encoded once, in bounded memory.

A file is sent byte for byte unless it is no plain 8-bit picture or the model's limits need less;
then `ImagePart.change` says what was done.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from scalevqa_eval.errors import DataError
from scalevqa_eval.images.convert import Encoded, edit, grey, needs_edits
from scalevqa_eval.images.reading import SUFFIXES, Header, ImageError, check_decodes, read_header
from scalevqa_eval.types import Capabilities, ImagePart, Question, View

MEMORY_LIMIT = 32 * 2**20
MAX_FILE_BYTES = 500_000_000


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

    real: str
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
        self._limits = capabilities or Capabilities()
        self._memory_limit = memory_limit
        # Absolute, so that a change of the working directory changes nothing.
        self._base = None if root is None else Path(root).absolute()
        self._roots = () if self._base is None else _allowed_roots(self._base)
        self._seen: dict[str, _Seen] = {}
        self._parts: dict[tuple[str, bool], tuple[_Seen, ImagePart]] = {}
        self._bytes: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._lock = threading.RLock()

    def check(self, questions: Iterable[Question], deep: bool = False) -> list[ImageProblem]:
        """Look at each distinct image's header and end; `deep` decodes it in full.

        Nothing is raised: what cannot be sent comes back, in the order of the questions.
        """
        shown: dict[str, list[str]] = {}
        for question in questions:
            for path in dict.fromkeys(question.image_set):
                shown.setdefault(path, []).append(question.id)
        problems = []
        for path, ids in shown.items():
            try:
                with _reading():
                    seen = self._look(path)
                    if deep:
                        with Path(seen.real).open("rb") as file:
                            check_decodes(file)
            except ImageError as error:
                problems.append(ImageProblem(path, tuple(ids), error.kind, str(error)))
        return problems

    def part(self, view: View) -> ImagePart:
        """What is sent of a view. Raises DataError if its image cannot be used."""
        with self._lock, _naming(view.image):
            seen = self._look(view.image)
            known, part = self._parts.get((view.image, view.blank), (None, None))
            if part is None or known is not seen:
                part = self._made(view, seen)
                self._parts[view.image, view.blank] = seen, part
            return part if part.scale == view.scale else replace(part, scale=view.scale)

    def file(self, path: str) -> Path:
        """The file that an image path names. Raises DataError if it leads out of the root."""
        with _naming(path):
            return Path(self._resolve(path))

    def header(self, path: str) -> Header:
        """The header of an image. Raises DataError if it is none."""
        with _naming(path):
            return self._look(path).header

    def _made(self, view: View, seen: _Seen) -> ImagePart:
        sent = self._encode(seen, view.blank)
        change, kind = sent.change, seen.header.format
        suffix = PurePosixPath(view.image).suffix
        if not change and SUFFIXES.get(suffix.lower(), kind) != kind:
            change = (
                f"sent as it is, as {sent.media_type}, which it is in spite of its name ({suffix})"
            )
        digest = hashlib.sha256(sent.data).hexdigest()
        self._keep(digest, sent.data)
        return ImagePart(
            view.image, view.scale, sent.media_type, sent.width, sent.height, digest, change,
            partial(self._load, digest, seen, view),
        )  # fmt: skip

    def _encode(self, seen: _Seen, blank: bool) -> Encoded:
        header = seen.header
        edited = needs_edits(header, seen.size, self._limits)
        if blank and not edited:
            return grey(header.width, header.height)
        data = Path(seen.real).read_bytes()
        sent = Encoded(data, header.media_type, header.width, header.height)
        if edited:
            sent = edit(data, header, self._limits)
        # Grey pictures have the size in which the image itself would be sent.
        return grey(sent.width, sent.height) if blank else sent

    def _load(self, digest: str, seen: _Seen, view: View) -> bytes:
        with self._lock, _naming(view.image):
            data = self._bytes.get(digest)
            if data is not None:
                self._bytes.move_to_end(digest)
                return data
            data = self._encode(seen, view.blank).data
            if hashlib.sha256(data).hexdigest() != digest:
                raise ImageError(
                    "changed", "the file changed while it was in use: start the command again"
                )
            self._keep(digest, data)
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
            info = os.stat(real)  # noqa: PTH116  # three times as fast; once an image a prompt
        except (FileNotFoundError, NotADirectoryError):
            raise ImageError("missing", f"there is no such file under {self.root}") from None
        signature = info.st_mtime_ns, info.st_size, info.st_ino
        if known is not None and known.signature == signature:
            return known
        if known is not None:
            real = self._resolve(path)  # it may have become a link
        if not stat.S_ISREG(info.st_mode):
            raise ImageError("not-image", "it is no regular file")
        if info.st_size > MAX_FILE_BYTES:
            raise ImageError("too-large", f"the file has {info.st_size:,} bytes")
        with Path(real).open("rb") as file:
            header = read_header(file, info.st_size)
        self._seen[path] = seen = _Seen(real, signature, info.st_size, header)
        return seen

    def _resolve(self, path: str) -> str:
        """The real file of a path under the root. Raises ImageError if it leads elsewhere."""
        if self._base is None:
            raise ImageError("missing", "no image directory is known: give --data-dir")
        if not path or "\0" in path or leads_out(path):
            raise ImageError("unsafe", "the path must be relative and stay in the image directory")
        try:
            real = os.path.realpath(self._base / path.replace("\\", "/"))
        except (OSError, ValueError) as error:
            raise ImageError("unreadable", str(error)) from None
        if not any(real.startswith(root) for root in self._roots):
            raise ImageError("unsafe", "it is a link that leads out of the image directory")
        return real


def leads_out(path: str) -> bool:
    """Whether an image path is absolute, or goes up, on any system."""
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or bool(re.match(r"[A-Za-z]:", path))


@contextmanager
def _reading() -> Iterator[None]:
    """An OSError, as an ImageError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ImageError("unreadable", f"the file cannot be read ({reason})") from None


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """An ImageError or OSError, as a DataError that names the image."""
    try:
        with _reading():
            yield
    except ImageError as error:
        raise DataError(f"image {path}: {error}") from None


def _allowed_roots(root: Path) -> tuple[str, ...]:
    """Prefixes that a resolved image path may have: the root, and a hub cache's blobs.

    A hub snapshot (…/snapshots/<commit>/…) consists of links into the `blobs` beside it.
    """
    real = Path(os.path.realpath(root))
    snapshots = [path for path in real.parents if path.name == "snapshots"]
    blobs = [path.with_name("blobs") for path in snapshots[:1]]
    return tuple(os.path.join(directory, "") for directory in (real, *blobs))  # noqa: PTH118
