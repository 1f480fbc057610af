"""Images that are the same, or nearly the same turned or mirrored, under several names."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from imagehash import phash
from PIL import Image

from scalevqa_eval.audit.dataset.noting import SHOWN, counted, note
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.errors import DataError
from scalevqa_eval.images.store import ImageStore
from scalevqa_eval.types import Question

MOST_IMAGES = 12_000
"""Images looked at; of more, those of the audited questions come first."""
_SIDE = 32
_NEAR = 4  # of the 64 bits of a perceptual hash
_ALIKE = 0.98  # correlation of the small grey pictures, after turning
_FLAT = 4.0  # grey levels; flatter pictures look like any other flat one
_MOST_PIXELS = 100_000_000

_TURNS: tuple[Image.Transpose | None, ...] = (
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)


@dataclass(frozen=True)
class Picture:
    """One file: a digest of its bytes, and eight hashes and grey thumbnails, one per turn."""

    key: str
    digest: str
    hashes: npt.NDArray[np.uint64] | None
    small: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Pictures:
    """What could be seen: pictures by key, and how many were named, missing or left out.

    A key is a path under the audited benchmark's image root; a file under another root has that
    source's name in front. `keys` has, for each source, the key of each path.
    """

    seen: Mapping[str, Picture]
    keys: tuple[Mapping[str, str], ...]
    named: int
    missing: int
    left_out: int

    def contents(self, source: int) -> dict[str, str]:
        """Path → digest of the file, for the images of a source that could be seen."""
        keys = self.keys[source].items() if self.keys else ()
        return {path: self.seen[key].digest for path, key in keys if key in self.seen}


@dataclass(frozen=True)
class Source:
    """Questions whose images lie under one root; `name` is for people."""

    name: str
    root: Path | None
    questions: Sequence[Question]


def look(
    sources: Sequence[Source],
    workers: int = 2,
    tick: Callable[[str], None] | None = None,
) -> Pictures:
    """Look at each image once. The first source's images come first, if there are too many.

    Files that are missing or no images are counted, not raised: `scalevqa benchmarks check`
    names them.
    """
    wanted: dict[str, tuple[ImageStore, str]] = {}
    keys: list[dict[str, str]] = []
    for source in sources:
        store = ImageStore(source.root)
        prefix = "" if source.root == sources[0].root else f"{source.name}: "
        names = {path: f"{prefix}{path}" for q in source.questions for path in q.image_set}
        keys.append(names)
        for path, key in names.items():
            wanted.setdefault(key, (store, path))
    chosen = list(wanted.items())[:MOST_IMAGES]
    if not any(_there(store, path) for _, (store, path) in chosen[:: max(1, len(chosen) // 40)]):
        return Pictures({}, tuple(keys), len(wanted), len(wanted), 0)
    if tick is not None:
        tick(f"images: {len(chosen):,}")
    with ThreadPoolExecutor(workers) as pool:
        looked = pool.map(lambda item: _picture(item[0], *item[1]), chosen)
        pictures = [picture for picture in looked if picture is not None]
    return Pictures(
        {picture.key: picture for picture in pictures},
        tuple(keys),
        len(wanted),
        len(chosen) - len(pictures),
        len(wanted) - len(chosen),
    )


def _there(store: ImageStore, path: str) -> bool:
    try:
        return store.file(path).is_file()
    except DataError:
        return False


def _picture(key: str, store: ImageStore, path: str) -> Picture | None:
    try:
        header = store.header(path)
        data = store.file(path).read_bytes()
    except (DataError, OSError):
        return None
    digest = hashlib.sha256(data).hexdigest()
    if header.width * header.height > _MOST_PIXELS:
        return Picture(key, digest, None, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with store.file(path).open("rb") as file, Image.open(file) as image:
                image.draft("L", (4 * _SIDE, 4 * _SIDE))  # JPEG: decoded small, many times faster
                small = image.convert("L").resize((4 * _SIDE, 4 * _SIDE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, DataError):
        return None
    turned = [small if turn is None else small.transpose(turn) for turn in _TURNS]
    hashes = np.array([_bits(image) for image in turned], dtype=np.uint64)
    grey = np.array(
        [np.asarray(t.resize((_SIDE, _SIDE), Image.Resampling.BOX)).ravel() for t in turned],
        dtype=np.float32,
    )
    if float(grey[0].std()) < _FLAT:
        return Picture(key, digest, None, None)
    return Picture(key, digest, hashes, grey - grey.mean(1, keepdims=True))


def _bits(image: Image.Image) -> int:
    return int.from_bytes(np.packbits(phash(image).hash).tobytes(), "big")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files with different bytes that show the same; `similarity` is a correlation."""

    one: str
    two: str
    similarity: float


def near_duplicates(pictures: Pictures) -> list[Pair]:
    """Pairs of distinct files that agree after a turn by 90°, 180°, 270° or a flip."""
    kept = sorted((p for p in pictures.seen.values() if p.hashes is not None), key=lambda p: p.key)
    if len(kept) < 2:
        return []
    upright = np.array([p.hashes[0] for p in kept if p.hashes is not None])
    pairs = []
    for i, picture in enumerate(kept[:-1]):
        assert picture.hashes is not None
        distance = np.bitwise_count(upright[i + 1 :, None] ^ picture.hashes[None, :])
        for j in np.flatnonzero((distance <= _NEAR).any(1)):
            other = kept[i + 1 + int(j)]
            similarity = _similarity(picture, other)
            if other.digest != picture.digest and similarity >= _ALIKE:
                pairs.append(Pair(picture.key, other.key, similarity))
    return pairs


def _similarity(one: Picture, two: Picture) -> float:
    assert one.small is not None
    assert two.small is not None
    upright = two.small[0]
    norms = np.linalg.norm(one.small, axis=1) * np.linalg.norm(upright)
    return float((one.small @ upright / np.maximum(norms, 1e-9)).max())


def image_findings(audited: Source, others: Sequence[Source], pictures: Pictures) -> list[Finding]:
    """What the files show: the same bytes twice, near duplicates here and in other splits.

    The sources are those that were looked at, in that order.
    """
    if not pictures.named:
        return []
    if not pictures.seen:
        return [
            note("images-not-seen", "note", [],
                 f"None of the {pictures.named:,} images were there: images are compared by their "
                 "paths alone. Give --data-dir to compare what they show.",
                 {"images": pictures.named})
        ]  # fmt: skip
    found = _coverage(pictures)
    users = _users(audited, pictures.keys[0])
    found += _same_bytes(users, pictures)
    pairs = near_duplicates(pictures)
    slides = {q.id: q.slide for q in audited.questions}
    inside = [p for p in pairs if p.one in users and p.two in users]
    if inside:
        apart = [p for p in inside if not _one_slide(users[p.one] + users[p.two], slides)]
        found.append(
            note("near-image", "warning" if apart else "note", _ids(inside, users),
                 f"{counted(len(inside), 'pair')} of images show nearly the same (turned or "
                 f"mirrored copies count), {len(apart):,} of them on different slides: {{n}}.",
                 _evidence(inside))
        )  # fmt: skip
    for other, keys in zip(others, pictures.keys[1:], strict=True):
        there = _users(other, keys)
        across = [
            p for p in pairs
            if (p.one in users and p.two in there and p.two not in users)
            or (p.two in users and p.one in there and p.one not in users)
        ]  # fmt: skip
        if across:
            found.append(
                note("split-image", "error", _ids(across, users),
                     f"{counted(len(across), 'pair')} of images show nearly the same here and in "
                     f"{other.name} (turned or mirrored copies count): {{n}} here.",
                     {"split": other.name, **_evidence(across)})
            )  # fmt: skip
    return found


def _coverage(pictures: Pictures) -> list[Finding]:
    found = []
    if pictures.missing:
        found.append(
            note("images-missing", "warning", [],
                 f"{pictures.missing:,} of {pictures.named:,} images are missing or cannot be "
                 "read (scalevqa benchmarks check names them).", {"images": pictures.missing})
        )  # fmt: skip
    if pictures.left_out:
        found.append(
            note("images-left-out", "note", [],
                 f"{pictures.left_out:,} of {pictures.named:,} images were not looked at: "
                 f"{MOST_IMAGES:,} is the most.", {"images": pictures.left_out})
        )  # fmt: skip
    return found


def _same_bytes(users: Mapping[str, list[str]], pictures: Pictures) -> list[Finding]:
    by_digest: dict[str, list[str]] = {}
    for path in sorted(users):
        if path in pictures.seen:
            by_digest.setdefault(pictures.seen[path].digest, []).append(path)
    twins = [paths for paths in by_digest.values() if len(paths) > 1]
    if not twins:
        return []
    ids = [id_ for paths in twins for path in paths for id_ in users[path]]
    return [
        note("same-image", "warning", ids,
             f"{counted(len(twins), 'image')} {'is' if len(twins) == 1 else 'are'} there under "
             "several names, byte for byte: {n}.", {"files": twins[:SHOWN]})
    ]  # fmt: skip


def _users(source: Source, keys: Mapping[str, str]) -> dict[str, list[str]]:
    """Key of an image → ids of the questions that show it."""
    users: dict[str, list[str]] = {}
    for question in source.questions:
        for path in question.image_set:
            users.setdefault(keys[path], []).append(question.id)
    return users


def _one_slide(ids: Sequence[str], slides: Mapping[str, str | None]) -> bool:
    found = {slides[id_] for id_ in ids}
    return len(found) == 1 and None not in found


def _ids(pairs: Sequence[Pair], users: Mapping[str, list[str]]) -> set[str]:
    return {id_ for pair in pairs for path in (pair.one, pair.two) for id_ in users.get(path, ())}


def _evidence(pairs: Sequence[Pair]) -> dict[str, object]:
    strongest = sorted(pairs, key=lambda p: (-p.similarity, p.one, p.two))[:SHOWN]
    return {"pairs": [[p.one, p.two, round(p.similarity, 3)] for p in strongest]}
