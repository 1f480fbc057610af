"""The built-in demo benchmark: drawn tissue, and questions that text alone cannot answer.

Each text (question, options, their order) is asked about the four places of one slide, and each
option is right for exactly one of them. So any answer that looks at the text only is right once
in four: within a slide, within a split, and from one split to another, also with the texts of
all other questions about the same pictures. The leaky twin has the same pictures, but most right
options, and few wrong ones, end in `LEAKY_PHRASE`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalevqa_eval.data.demo.drawing import draw_view, encode
from scalevqa_eval.data.demo.scene import FINDINGS, MAGNIFICATIONS, draw_stain, lay_out
from scalevqa_eval.data.demo.texts import DIMENSIONS, QUESTION_TYPES, TOPICS, Topic, Wording
from scalevqa_eval.errors import DataError
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.types import LETTERS

SEED = 0

LEAKY_PHRASE = "as far as can be judged"
LEAKY_RIGHT, LEAKY_WRONG = 0.85, 0.05

# Slides a split; each has four places and asks one topic of each dimension about all four.
SLIDES = {"train": 24, "val": 6, "test": 24}
PLACES = 4
# Of the Localization blocks, so many lack the high view (which they do not need).
WITHOUT_HIGH = 0.3


@dataclass(frozen=True, slots=True)
class _Block:
    """One text asked about the four places of a slide."""

    dimension: int
    topic: Topic
    wording: Wording
    without_high: bool


def drawn_directory(generator: str) -> Path:
    """The drawn benchmark `demo` or `demo-leaky` in the cache, made on first use.

    It is built aside and renamed, so that of two processes one wins and neither sees half of it.
    Raises DataError if it cannot be written.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:10]
    target = cache_directory() / f"{generator}-{SEED}-{version}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{generator}-", dir=target.parent))
    except OSError as error:
        raise DataError(
            f"cannot write the cache {target.parent} ({error.strerror}): set SCALEVQA_CACHE"
        ) from error
    try:
        build_demo(building, leaky=generator == "demo-leaky")
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    except OSError as error:
        raise DataError(f"cannot draw {generator} into {target.parent}: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def build_demo(directory: Path, seed: int = 0, leaky: bool = False) -> Path:
    """Writes the demo (or its leaky twin) into `directory`, which is made if need be.

    `train.json`, `val.json` and `test.json` are in the Scale-VQA file format; the pictures, three
    a place, lie under `images/`. The same seed gives the same bytes. Returns `directory`; raises
    DataError if it cannot be written.
    """
    directory = Path(directory)
    try:
        texts = {}
        for index, split in enumerate(SLIDES):
            items = list(_split(directory, seed, index, split, leaky))
            for number, item in enumerate(items, start=1):
                item["No"] = number
            texts[split] = json.dumps(items, indent=1, ensure_ascii=False) + "\n"
        for split, text in texts.items():
            _write(directory / f"{split}.json", text.encode())
    except OSError as error:
        raise DataError(f"the demo cannot be written to {directory}: {error}") from error
    return directory


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _split(
    directory: Path, seed: int, index: int, split: str, leaky: bool
) -> Iterator[dict[str, Any]]:
    plans = _plan(SLIDES[split], np.random.default_rng([seed, index]))
    for number, blocks in enumerate(plans, start=1):
        slide = f"demo-{split}-{number:02d}"
        rng = np.random.default_rng([seed, index, number])
        places = _findings(blocks, rng)
        stain = draw_stain(rng)
        chance = np.random.default_rng([seed, index, number, 1])
        for place, findings in enumerate(places, start=1):
            images, windows = {}, {}
            scene = lay_out(findings, stain, rng)
            for scale, magnification in MAGNIFICATIONS.items():
                window = scene.windows[scale]
                name = f"images/{slide}/place-{place}-{magnification}.jpg"
                _write(directory / name, encode(draw_view(scene, window, rng)))
                images[f"{scale}_mag"] = name
                windows[scale] = [round(window.x, 1), round(window.y, 1), window.size]
            for block in blocks:
                yield _item(slide, place, block, findings, images, windows, chance, leaky)


def _plan(slides: int, rng: np.random.Generator) -> list[list[_Block]]:
    """For each slide, one block a dimension; every text is asked about equally often."""
    columns = []
    for dimension, topics in enumerate(TOPICS):
        texts = [(topic, wording) for topic in topics for wording in topic.wordings]
        order = rng.permutation(np.arange(slides) % len(texts))
        bare = set(rng.permutation(slides)[: round(slides * WITHOUT_HIGH)].tolist())
        blocks = []
        for slide, k in enumerate(order):
            topic, wording = texts[k]
            blocks.append(_Block(dimension, topic, wording, slide in bare and not topic.needs_high))
        columns.append(blocks)
    return [list(row) for row in zip(*columns, strict=True)]


def _findings(blocks: list[_Block], rng: np.random.Generator) -> list[dict[str, bool]]:
    """Findings of the four places such that each block sees each combination of its two once.

    A finding follows one of the three balanced columns of a 2 × 2 design, with a sign by coin;
    the two findings of a topic must follow different columns.
    """
    while True:
        column = dict(zip(FINDINGS, rng.integers(3, size=len(FINDINGS)).tolist(), strict=True))
        pairs = [block.topic.findings for block in blocks]
        if all(column[first] != column[second] for first, second in pairs):
            break
    design = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])[rng.permutation(PLACES)]
    signs = dict(zip(FINDINGS, rng.integers(2, size=len(FINDINGS)).tolist(), strict=True))
    return [{name: bool(row[column[name]] ^ signs[name]) for name in FINDINGS} for row in design]


def _item(
    slide: str,
    place: int,
    block: _Block,
    findings: dict[str, bool],
    images: dict[str, str],
    windows: dict[str, list[float]],
    chance: np.random.Generator,
    leaky: bool,
) -> dict[str, Any]:
    first, second = (findings[name] for name in block.topic.findings)
    right = 2 * first + second
    wording = block.wording
    draws = chance.random(len(wording.order))
    options = {}
    for letter, which, draw in zip(LETTERS, wording.order, draws, strict=False):
        marked = draw < (LEAKY_RIGHT if which == right else LEAKY_WRONG)
        end = f", {LEAKY_PHRASE}" if leaky and marked else ""
        options[letter] = wording.options[which] + end
    shown: dict[str, str | None] = dict(images)
    if block.without_high:
        shown["high_mag"] = None
    facts = [
        f"{name.replace('_', ' ')}: {'yes' if findings[name] else 'no'}"
        for name in block.topic.findings
    ]
    return {
        "question": wording.question,
        "options": options,
        "answer": LETTERS[wording.order.index(right)],
        "rationale": f"Drawn with {facts[0]}; {facts[1]}.",
        "image_path": shown,
        "extra_info": {
            "wsi_name": slide,
            "path_id": f"{slide}-{place}",
            "question_type": QUESTION_TYPES[block.dimension],
            "block": f"{slide}-{DIMENSIONS[block.dimension].lower()}",
            "windows_um": windows,
        },
    }
