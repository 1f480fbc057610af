"""Images that are the same, or nearly the same turned or mirrored, under several names."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from imagehash import phash
from PIL import Image

from scalevqa_eval.audit.dataset.splits import Source
from scalevqa_eval.audit.findings import LISTED, Finding, counted
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import ImageStore

MOST_IMAGES = 12_000
"""Images looked at; of more, those of the audited questions come first."""
_SIDE = 32
_NEAR = 4  # of the 64 bits of a perceptual hash
_ALIKE = 0.98  # correlation of the small grey pictures, after turning
_FLAT = 4.0  # grey levels; flatter pictures look like any other flat one
_MOST_PIXELS = 100_000_000
_TURNS = (None, *Image.Transpose)


@dataclass(frozen=True)
class Picture:
    """One file: a digest of its bytes, and eight hashes and grey thumbnails, one per turn.

    The last two are None for files that are too large to decode, or flat.
    """

    digest: str
    hashes: npt.NDArray[np.uint64] | None = None
    small: npt.NDArray[np.float32] | None = None


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
        keys = self.keys[source].items()
        return {path: self.seen[key].digest for path, key in keys if key in self.seen}


def look(
    sources: Sequence[Source], workers: int = 2, tick: Callable[[str], None] = lambda _: None
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
    chosen = dict(list(wanted.items())[:MOST_IMAGES])
    sample = list(chosen.values())[:: max(1, len(chosen) // 40)]
    pictures: list[Picture | None] = []
    if any(_there(store, path) for store, path in sample):
        tick(f"images: {len(chosen):,}")
        with ThreadPoolExecutor(workers) as pool:
            pictures = list(pool.map(lambda item: _picture(*item), chosen.values()))
    seen = {key: picture for key, picture in zip(chosen, pictures, strict=False) if picture}
    missing = len(chosen) - len(seen)
    return Pictures(seen, tuple(keys), len(wanted), missing, len(wanted) - len(chosen))


def _there(store: ImageStore, path: str) -> bool:
    try:
        return store.file(path).is_file()
    except DataError:
        return False


def _picture(store: ImageStore, path: str) -> Picture | None:
    try:
        header = store.header(path)
        digest = hashlib.sha256(store.file(path).read_bytes()).hexdigest()
        if header.width * header.height > _MOST_PIXELS:
            return Picture(digest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with store.file(path).open("rb") as file, Image.open(file) as image:
                image.draft("L", (4 * _SIDE, 4 * _SIDE))  # JPEG: decoded small, many times faster
                small = image.convert("L").resize((4 * _SIDE, 4 * _SIDE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, DataError):
        return None
    turned = [small if turn is None else small.transpose(turn) for turn in _TURNS]
    grey = np.array(
        [np.asarray(t.resize((_SIDE, _SIDE), Image.Resampling.BOX)).ravel() for t in turned],
        dtype=np.float32,
    )
    if float(grey[0].std()) < _FLAT:
        return Picture(digest)
    bits = np.array([np.packbits(phash(image).hash) for image in turned])
    return Picture(digest, bits.view(np.uint64)[:, 0], grey - grey.mean(1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files with different bytes that show the same; `similarity` is a correlation."""

    one: str
    two: str
    similarity: float


def near_duplicates(pictures: Mapping[str, Picture]) -> list[Pair]:
    """Pairs of distinct files that agree after a turn by 90°, 180°, 270° or a flip."""
    kept = sorted((key, p) for key, p in pictures.items() if p.hashes is not None)
    hashes = np.array([p.hashes for _, p in kept]).reshape(len(kept), len(_TURNS))
    pairs = []
    for i, (key, picture) in enumerate(kept):
        distance = np.bitwise_count(hashes[i + 1 :, :1] ^ hashes[i])
        for j in np.flatnonzero((distance <= _NEAR).any(1)):
            name, other = kept[i + 1 + int(j)]
            similarity = _similarity(picture, other)
            if other.digest != picture.digest and similarity >= _ALIKE:
                pairs.append(Pair(key, name, similarity))
    return pairs


def _similarity(one: Picture, two: Picture) -> float:
    if one.small is None or two.small is None:
        return 0.0
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
            Finding("images-not-seen", "note",
                    f"None of the {pictures.named:,} images were there: images are compared by "
                    "their paths alone. Give --data-dir to compare what they show.",
                    {"images": pictures.named})
        ]  # fmt: skip
    found = _coverage(pictures)
    users = _users(audited, pictures.keys[0])
    found += _same_bytes(users, pictures)
    pairs = near_duplicates(pictures.seen)
    slides = {q.id: q.slide for q in audited.questions}
    inside = [p for p in pairs if p.one in users and p.two in users]
    if inside:
        on = [{slides[id_] for id_ in users[p.one] + users[p.two]} for p in inside]
        apart = sum(len(of) > 1 or None in of for of in on)
        found.append(
            Finding.about(
                _ids(inside, users), "near-image", "warning" if apart else "note",
                f"{counted(len(inside), 'pair')} of images show nearly the same (turned or "
                f"mirrored copies count), {apart:,} of them on different slides: {{n}}.",
                _evidence(inside),
            )
        )  # fmt: skip
    for other, keys in zip(others, pictures.keys[1:], strict=True):
        there = set(_users(other, keys)) - set(users)
        across = [p for p in pairs if _between(p, users, there)]
        if across:
            found.append(
                Finding.about(
                    _ids(across, users), "split-image", "error",
                    f"{counted(len(across), 'pair')} of images show nearly the same here and in "
                    f"{other.name} (turned or mirrored copies count): {{n}} here.",
                    {"split": other.name, **_evidence(across)},
                )
            )  # fmt: skip
    return found


def _between(pair: Pair, here: Collection[str], there: Collection[str]) -> bool:
    one, two = pair.one, pair.two
    return (one in here and two in there) or (two in here and one in there)


def _coverage(pictures: Pictures) -> list[Finding]:
    found = []
    if pictures.missing:
        found.append(
            Finding("images-missing", "warning",
                    f"{pictures.missing:,} of {pictures.named:,} images are missing or cannot be "
                    "read (scalevqa benchmarks check names them).", {"images": pictures.missing})
        )  # fmt: skip
    if pictures.left_out:
        found.append(
            Finding("images-left-out", "note",
                    f"{pictures.left_out:,} of {pictures.named:,} images were not looked at: "
                    f"{MOST_IMAGES:,} is the most.", {"images": pictures.left_out})
        )  # fmt: skip
    return found


def _same_bytes(users: Mapping[str, list[str]], pictures: Pictures) -> list[Finding]:
    by_digest: dict[str, list[str]] = defaultdict(list)
    for path in sorted(users.keys() & pictures.seen.keys()):
        by_digest[pictures.seen[path].digest].append(path)
    twins = [paths for paths in by_digest.values() if len(paths) > 1]
    if not twins:
        return []
    ids = [id_ for paths in twins for path in paths for id_ in users[path]]
    return [
        Finding.about(
            ids, "same-image", "warning",
            f"{counted(len(twins), 'image')} {'is' if len(twins) == 1 else 'are'} there under "
            "several names, byte for byte: {n}.", {"files": twins[:LISTED]},
        )
    ]  # fmt: skip


def _users(source: Source, keys: Mapping[str, str]) -> dict[str, list[str]]:
    """Key of an image → ids of the questions that show it."""
    users: dict[str, list[str]] = defaultdict(list)
    for question in source.questions:
        for path in question.image_set:
            users[keys[path]].append(question.id)
    return dict(users)


def _ids(pairs: Sequence[Pair], users: Mapping[str, list[str]]) -> set[str]:
    return {id_ for pair in pairs for path in (pair.one, pair.two) for id_ in users.get(path, ())}


def _evidence(pairs: Sequence[Pair]) -> dict[str, object]:
    strongest = sorted(pairs, key=lambda p: (-p.similarity, p.one, p.two))[:LISTED]
    return {"pairs": [[p.one, p.two, round(p.similarity, 3)] for p in strongest]}
