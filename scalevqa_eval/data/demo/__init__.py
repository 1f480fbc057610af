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

from scalevqa_eval.data.demo.drawing import draw_view
from scalevqa_eval.data.demo.scene import FINDINGS, Scene, Stain
from scalevqa_eval.data.readers import read_yaml
from scalevqa_eval.errors import DataError
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.types import LETTERS

LEAKY_PHRASE = "as far as can be judged"
LEAKY_RIGHT, LEAKY_WRONG = 0.85, 0.05
MAGNIFICATIONS = {"low": "10x", "mid": "40x", "high": "200x"}
# Slides a split; each has four places and asks one topic of each dimension about all four.
SLIDES = {"train": 24, "val": 6, "test": 24}
PLACES = 4
# Of the blocks of one dimension, so many lack the high view if they do not need it.
WITHOUT_HIGH = 0.3


@dataclass(frozen=True, slots=True)
class _Block:
    """One text asked about the four places of a slide.

    `options` are those for no/no, no/yes, yes/no and yes/yes of its two findings, and `order` is
    the one in which they are shown.
    """

    dimension: str
    findings: tuple[str, str]
    question: str
    options: tuple[str, ...]
    order: tuple[int, ...]
    without_high: bool


def drawn_directory(generator: str) -> Path:
    """The drawn benchmark `demo` or `demo-leaky` in the cache, made on first use.

    It is built aside and renamed, so that of two processes one wins and neither sees half of it.
    Raises DataError if it cannot be written.
    """
    sources = sorted(path for path in Path(__file__).parent.iterdir() if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:10]
    target = cache_directory() / f"{generator}-{version}"
    if target.is_dir():
        return target
    building = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{generator}-", dir=target.parent))
        build_demo(building, leaky=generator == "demo-leaky")
        building.chmod(0o755)
        building.rename(target)
    except OSError as error:
        if not target.is_dir():  # else another process was first
            raise DataError(
                f"cannot draw {generator} into {target.parent} ({error.strerror}): "
                "set SCALEVQA_CACHE"
            ) from error
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
    return target


def build_demo(directory: Path, seed: int = 0, leaky: bool = False) -> None:
    """Writes the demo (or its leaky twin) into a directory. The same seed gives the same bytes.

    `train.json`, `val.json` and `test.json` are in the Scale-VQA file format; the pictures, three
    a place, lie under `images/`.
    """
    for index, (split, slides) in enumerate(SLIDES.items()):
        plans = _plan(slides, np.random.default_rng([seed, index]))
        rows: list[dict[str, Any]] = []
        for number, blocks in enumerate(plans, start=1):
            name, key = f"demo-{split}-{number:02d}", [seed, index, number]
            for row in _slide(directory, name, blocks, key, leaky):
                rows.append({**row, "No": len(rows) + 1})
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        (directory / f"{split}.json").write_text(text, encoding="utf-8")


def _plan(slides: int, rng: np.random.Generator) -> list[list[_Block]]:
    """For each slide, one block a dimension; every text is asked about equally often."""
    file = Path(__file__).parent / "texts.yaml"
    plans: list[list[_Block]] = [[] for _ in range(slides)]
    for dimension, topics in read_yaml(file.read_bytes(), str(file)).items():
        texts = [(topic, wording) for topic in topics for wording in topic["wordings"]]
        order = rng.permutation(np.arange(slides) % len(texts))
        bare = set(rng.permutation(slides)[: round(slides * WITHOUT_HIGH)].tolist())
        for slide, k in enumerate(order):
            topic, wording = texts[k]
            options = wording.get("options")
            if options is None:
                first, second = wording["of"]
                options = [wording["option"].format(a, b) for a in first for b in second]
            without_high = slide in bare and not topic.get("needs_high", True)
            block = _Block(
                dimension, tuple(topic["findings"]), wording["question"], tuple(options),
                tuple(wording["order"]), without_high,
            )  # fmt: skip
            plans[slide].append(block)
    return plans


def _slide(
    directory: Path, name: str, blocks: list[_Block], key: list[int], leaky: bool
) -> Iterator[dict[str, Any]]:
    """The rows of a slide, place by place; its pictures are drawn and written."""
    rng, chance = np.random.default_rng(key), np.random.default_rng([*key, 1])
    places = _findings(blocks, rng)
    stain = Stain.drawn(rng)
    (directory / "images" / name).mkdir(parents=True, exist_ok=True)
    for place, findings in enumerate(places, start=1):
        images, windows = {}, {}
        scene = Scene(findings, stain, rng)
        for scale, window in scene.windows.items():
            image = f"images/{name}/place-{place}-{MAGNIFICATIONS[scale]}.jpg"
            draw_view(scene, window, rng).save(directory / image, quality=85, subsampling=0)
            images[f"{scale}_mag"] = image
            windows[scale] = [round(window.x, 1), round(window.y, 1), window.size]
        for number, block in enumerate(blocks):
            facts = [(finding, findings[finding]) for finding in block.findings]
            right = 2 * facts[0][1] + facts[1][1]
            said = [f"{fact.replace('_', ' ')}: {'yes' if yes else 'no'}" for fact, yes in facts]
            yield {
                "question": block.question,
                "options": _options(block, right, chance, leaky),
                "answer": LETTERS[block.order.index(right)],
                "rationale": f"Drawn with {said[0]}; {said[1]}.",
                "image_path": images | ({"high_mag": None} if block.without_high else {}),
                "extra_info": {
                    "wsi_name": name,
                    "path_id": f"{name}-{place}",
                    "question_type": f"type_{LETTERS[number]}",
                    "block": f"{name}-{block.dimension.lower()}",
                    "windows_um": windows,
                },
            }


def _findings(blocks: list[_Block], rng: np.random.Generator) -> list[dict[str, bool]]:
    """Findings of the four places such that each block sees each combination of its two once.

    A finding follows one of the three balanced columns of a 2 × 2 design, with a sign by coin;
    the two findings of a topic must follow different columns.
    """
    while True:
        column = dict(zip(FINDINGS, rng.integers(3, size=len(FINDINGS)).tolist(), strict=True))
        if all(column[first] != column[second] for first, second in (b.findings for b in blocks)):
            break
    design = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])[rng.permutation(PLACES)]
    signs = dict(zip(FINDINGS, rng.integers(2, size=len(FINDINGS)).tolist(), strict=True))
    return [{name: bool(row[column[name]] ^ signs[name]) for name in FINDINGS} for row in design]


def _options(block: _Block, right: int, chance: np.random.Generator, leaky: bool) -> dict[str, str]:
    options = {}
    draws = chance.random(len(block.order))
    for letter, which, draw in zip(LETTERS, block.order, draws, strict=False):
        marked = leaky and draw < (LEAKY_RIGHT if which == right else LEAKY_WRONG)
        options[letter] = block.options[which] + (f", {LEAKY_PHRASE}" if marked else "")
    return options
