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

from scalevqa_eval.audit.findings import LISTED, Finding, Severity, counted
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.types import Benchmark

MOST_IMAGES = 12_000
"""Images looked at; of more, those of the audited questions come first."""
_WORKERS = 2
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
    """What could be seen, by key: a path under the audited benchmark's image root; a file under
    another root has that benchmark's name in front. `keys` has the key of each path of each
    benchmark; `looked_at` are those that were tried.
    """

    seen: Mapping[str, Picture]
    keys: tuple[Mapping[str, str], ...]
    looked_at: frozenset[str]

    @property
    def contents(self) -> list[dict[str, str]]:
        """Path → digest of the file, for each benchmark's images that could be seen."""
        return [
            {path: self.seen[key].digest for path, key in keys.items() if key in self.seen}
            for keys in self.keys
        ]


def look(benchmarks: Sequence[Benchmark], tick: Callable[[str], None]) -> Pictures:
    """Look at each image once. The first benchmark's images come first, if there are too many.

    Files that are missing or no images are left out, not raised: `scalevqa benchmarks check`
    names them.
    """
    wanted: dict[str, tuple[ImageStore, str]] = {}
    keys: list[dict[str, str]] = []
    for one in benchmarks:
        store = ImageStore(one.image_root)
        prefix = "" if one.image_root == benchmarks[0].image_root else f"{one.name}: "
        names = {path: f"{prefix}{path}" for q in one.questions for path in q.image_set}
        keys.append(names)
        for path, key in names.items():
            wanted.setdefault(key, (store, path))
    chosen = dict(list(wanted.items())[:MOST_IMAGES])
    sample = list(chosen.values())[:: max(1, len(chosen) // 40)]
    pictures: list[Picture | None] = []
    if any(_there(store, path) for store, path in sample):
        tick(f"images: {len(chosen):,}")
        with ThreadPoolExecutor(_WORKERS) as pool:
            pictures = list(pool.map(lambda item: _picture(*item), chosen.values()))
    seen = {key: picture for key, picture in zip(chosen, pictures, strict=False) if picture}
    return Pictures(seen, tuple(keys), frozenset(chosen))


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


def image_findings(
    audited: Benchmark, others: Sequence[Benchmark], pictures: Pictures
) -> list[Finding]:
    """What the files show: the same bytes twice, near duplicates here and in other splits.

    The benchmarks are those that were looked at, in that order.
    """
    own, *theirs = pictures.keys
    users = _users(audited, own)
    found = _coverage(users.keys(), pictures)
    found.append(_same_bytes(users, pictures))
    pairs = near_duplicates(pictures.seen)
    slides = {q.id: q.slide for q in audited.questions}
    inside = [pair for pair in pairs if pair[0] in users and pair[1] in users]
    on = [{slides[id_] for path in pair[:2] for id_ in users[path]} for pair in inside]
    apart = sum(len(of) > 1 or None in of for of in on)
    found.append(
        _about(inside, users, "near-image", "warning" if apart else "note",
               f"of images show nearly the same (turned or mirrored copies count), {apart:,} of "
               "them on different slides: {n}.", {})
    )  # fmt: skip
    for other, keys in zip(others, theirs, strict=True):
        there = set(_users(other, keys)) - set(users)
        across = [
            pair for pair in pairs
            if (pair[0] in users and pair[1] in there) or (pair[1] in users and pair[0] in there)
        ]  # fmt: skip
        found.append(
            _about(across, users, "split-image", "error",
                   f"of images show nearly the same here and in {other.name} (turned or mirrored "
                   "copies count): {n} here.", {"split": other.name})
        )  # fmt: skip
    return found


Pair = tuple[str, str, float]
"""Two files with different bytes that show the same, and the correlation of what they show."""


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
                pairs.append((key, name, similarity))
    return pairs


def _similarity(one: Picture, two: Picture) -> float:
    if one.small is None or two.small is None:
        return 0.0
    upright = two.small[0]
    norms = np.linalg.norm(one.small, axis=1) * np.linalg.norm(upright)
    return float((one.small @ upright / np.maximum(norms, 1e-9)).max())


def _coverage(own: Collection[str], pictures: Pictures) -> list[Finding]:
    """Images of the audited questions (`own`) that were not there, and what was too much."""
    looked_at = [key for key in own if key in pictures.looked_at]
    missing = sum(key not in pictures.seen for key in looked_at)
    named = {key for keys in pictures.keys for key in keys.values()}
    left_out = len(named) - len(pictures.looked_at)
    found = []
    if missing and missing == len(looked_at):
        found.append(
            Finding("images-not-seen", "note",
                    f"None of the {missing:,} images were there: images are compared by their "
                    "paths alone. Give --data-dir to compare what they show.",
                    {"images": missing})
        )  # fmt: skip
    elif missing:
        found.append(
            Finding("images-missing", "warning",
                    f"{missing:,} of {len(own):,} images are missing or cannot be read (scalevqa "
                    "benchmarks check names them).", {"images": missing})
        )  # fmt: skip
    if left_out:
        found.append(
            Finding("images-left-out", "note",
                    f"{left_out:,} of {len(named):,} images, other splits' among them, were not "
                    f"looked at: {MOST_IMAGES:,} is the most.", {"images": left_out})
        )  # fmt: skip
    return found


def _same_bytes(users: Mapping[str, list[str]], pictures: Pictures) -> Finding:
    by_digest: dict[str, list[str]] = defaultdict(list)
    for path in sorted(users.keys() & pictures.seen.keys()):
        by_digest[pictures.seen[path].digest].append(path)
    twins = [paths for paths in by_digest.values() if len(paths) > 1]
    return Finding.about(
        (id_ for paths in twins for path in paths for id_ in users[path]), "same-image", "warning",
        f"{counted(len(twins), 'image')} {'is' if len(twins) == 1 else 'are'} there under "
        "several names, byte for byte: {n}.", {"files": twins[:LISTED]},
    )  # fmt: skip


def _users(benchmark: Benchmark, keys: Mapping[str, str]) -> dict[str, list[str]]:
    """Key of an image → ids of the questions that show it."""
    users: dict[str, list[str]] = defaultdict(list)
    for question in benchmark.questions:
        for path in question.image_set:
            users[keys[path]].append(question.id)
    return dict(users)


def _about(
    pairs: Sequence[Pair], users: Mapping[str, list[str]], kind: str, severity: Severity,
    message: str, evidence: Mapping[str, object],
) -> Finding:  # fmt: skip
    """A finding about the questions that show these pairs of images, with the strongest pairs."""
    strongest = sorted(pairs, key=lambda pair: (-pair[2], pair))[:LISTED]
    return Finding.about(
        (id_ for pair in pairs for path in pair[:2] for id_ in users.get(path, ())), kind, severity,
        f"{counted(len(pairs), 'pair')} {message}",
        {**evidence, "pairs": [[one, two, round(alike, 3)] for one, two, alike in strongest]},
    )  # fmt: skip
