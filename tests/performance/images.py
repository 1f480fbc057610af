"""How fast images are checked and read: `python tests/performance/images.py [N] [KB]`.

Prints milliseconds a file for the check, for the first use of a file (read and sha256) and for a
bare read and sha256 of the same bytes, and how much memory grew meanwhile.
"""

from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from scalevqa_eval.images import ImageStore
from scalevqa_eval.types import Question, View


def make(root: Path, count: int, size: int) -> list[str]:
    """`count` files of `size` bytes: one real JPEG, each with a comment of its own."""
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "base.jpg", quality=90)
    base = (root / "base.jpg").read_bytes()
    names = []
    for number in range(count):
        fill = max(0, size - len(base)) + 8
        comments = b""
        while fill > 0:
            part = min(fill, 60_000)
            body = number.to_bytes(8, "big") + bytes(part)
            comments += b"\xff\xfe" + (len(body) + 2).to_bytes(2, "big") + body
            fill -= part
        names.append(f"{number:05}.jpg")
        (root / names[-1]).write_bytes(base[:2] + comments + base[2:])
    return names


def main(count: int, kilobytes: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        names = make(root, count, kilobytes * 1000)
        options = {"A": "x", "B": "y"}
        questions = [Question(n, "?", options, "A", (View("low", n),)) for n in names]
        start = time.perf_counter()
        for name in names:
            hashlib.sha256((root / name).read_bytes()).hexdigest()
        bare = time.perf_counter() - start
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        store = ImageStore(root)
        start = time.perf_counter()
        assert store.check(questions) == []
        checked = time.perf_counter() - start
        start = time.perf_counter()
        for question in questions:
            store.part(question.views[0]).load()
        used = time.perf_counter() - start
        start = time.perf_counter()
        for question in questions:
            store.part(question.views[0])
        again = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{count} JPEGs of {kilobytes} kB, milliseconds a file:")
    for name, seconds in (
        ("bare read and sha256", bare), ("check", checked), ("part and load", used),
        ("part again", again),
    ):  # fmt: skip
        print(f"  {name:22} {1000 * seconds / count:.3f}")
    print(f"memory grew by {grown / 1024:.0f} MiB")


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["3000", "400"][len(sys.argv) - 1 :])))
