"""A lesson that a very small model can learn: where does the vessel lie?

The demo benchmark's Localization questions about the vessel, of several demos (seeds), so that
there are enough slides: 24 training slides of each seed, and the test slides of the first for
validation; with the low and the mid view, the high view is of no use here. Text alone is right once
in four; the leaky twin's right options mostly end in a phrase.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scalevqa_eval.data.demo import build_demo

PROMPT = "Look at the images. Think, then answer.\n"


def write_lesson(directory: Path, seeds: int = 4, leaky: bool = False) -> Path:
    """train.json, val.json, the images and prompt.txt under `directory`."""
    for seed in range(seeds):
        build_demo(directory / str(seed), seed=seed, leaky=leaky)
    train = [item for seed in range(seeds) for item in _questions(directory, seed, "train")]
    for name, items in (("train", train), ("val", _questions(directory, 0, "test"))):
        for number, item in enumerate(items, start=1):
            item["No"] = number
        (directory / f"{name}.json").write_text(json.dumps(items))
    (directory / "prompt.txt").write_text(PROMPT)
    return directory


def _questions(directory: Path, seed: int, split: str) -> list[dict[str, Any]]:
    items = json.loads((directory / str(seed) / f"{split}.json").read_text())
    chosen = [item for item in items if "vessel" in item["rationale"]]
    for item in chosen:
        item["rationale"] = "seen"
        views = {name: item["image_path"][name] for name in ("low_mag", "mid_mag")}
        item["image_path"] = {name: f"{seed}/{path}" for name, path in views.items()}
        item["image_path"]["high_mag"] = None
        info = item["extra_info"]
        for key in ("wsi_name", "path_id", "block"):
            info[key] = f"{seed}-{info[key]}"
    return chosen


def texts(directory: Path) -> list[str]:
    """All texts of the lesson, for a tokenizer."""
    items = json.loads((directory / "train.json").read_text())
    return [PROMPT, *(t for item in items for t in (item["question"], *item["options"].values()))]
