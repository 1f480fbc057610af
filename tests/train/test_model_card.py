"""The card of a merged model, and the pictures in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scalevqa_eval.errors import DataError
from scalevqa_train.curve import draw_run
from scalevqa_train.model_card import write_card

ABOUT: dict[str, Any] = {
    "kind": "grpo",
    "version": "1.2",
    "model": "/home/someone/models/base-7b",
    "preset": "scalereasoner",
    "reward": "grounded",
    "steps": 40,
    "prompt": {"name": "scalereasoner-v1", "sha256": "ab" * 32},
    "data": {
        "benchmark": "demo",
        "revision": "cd" * 20,
        "splits": {"train": {"split": "train", "questions": 96, "slides": 24}},
        "files": {"train.parquet": {"sha256": "ef" * 32, "rows": 96, "bytes": 1}},
    },
    "settings": [
        {"key": "data.train_batch_size", "value": 32, "source": "published"},
        {"key": "data.train_files", "value": "/home/someone/data", "source": "this run"},
    ],
}


def test_the_card_says_what_was_trained_and_keeps_paths_to_itself(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    write_card(card, "mine", ABOUT, "global_step_20", [tmp_path / "reward.png"], [])
    text = card.read_text()
    assert 'base_model: "base-7b"' in text
    assert "# mine" in text
    assert "global step 20 of 40" in text
    assert "`efefefefefefefef`" in text
    assert "| `data.train_batch_size` | 32 | published |" in text
    assert "(reward.png)" in text
    assert "/home/someone" not in text


def test_a_checkpoint_without_its_run_gets_a_card_too(tmp_path: Path) -> None:
    write_card(tmp_path / "README.md", "mine", {}, "global_step_1", [], [])
    assert "# mine" in (tmp_path / "README.md").read_text()


def test_pictures_and_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `train` is not installed")
    with pytest.raises(DataError, match="no numbers"):
        draw_run(tmp_path, tmp_path)
    (tmp_path / "metrics").mkdir()
    lines = [
        {"step": n, "data": {"critic/score/mean": n / 9, "val-core/d/<b>/acc/mean@1": 0.5}}
        for n in range(9)
    ]
    (tmp_path / "metrics" / "001.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (tmp_path / "run.json").write_text(json.dumps({**ABOUT, "reward": "<script>"}))
    made = draw_run(tmp_path, tmp_path / "out")
    assert [path.name for path in made] == ["reward.png", "validation.png", "curve.html"]
    for path in made[:2]:
        with Image.open(path) as image:
            assert image.size == (840, 480)
    page = made[2].read_text()
    assert "<script>" not in page
    assert page.count("data:image/png;base64,") == 2
