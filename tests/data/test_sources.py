"""Drawn benchmarks in the cache: built once, whole or not at all, whoever else is at it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import scalevqa_eval.data.demo
from scalevqa_eval.data.demo import drawn_directory
from scalevqa_eval.data.load import EmbeddedImages
from scalevqa_eval.data.parse import RowError
from scalevqa_eval.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_of_two_at_once_one_wins_and_nothing_is_left_over(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_at_work = threading.Barrier(2, timeout=30)

    def draw(directory: Path, seed: int = 0, leaky: bool = False) -> Path:
        (directory / "test.json").write_text("[", encoding="utf-8")
        both_at_work.wait()
        (directory / "test.json").write_text("[]", encoding="utf-8")
        return directory

    monkeypatch.setattr(scalevqa_eval.data.demo, "build_demo", draw)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(drawn_directory("demo"))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert (found[0] / "test.json").read_text("utf-8") == "[]"
    assert list(cache.iterdir()) == [found[0]]
    assert drawn_directory("demo") == found[0]  # the barrier would break if it drew again


def test_a_drawing_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(directory: Path, seed: int = 0, leaky: bool = False) -> Path:
        (directory / "half").write_text("x", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scalevqa_eval.data.demo, "build_demo", draw)
    with pytest.raises(DataError, match="No space left"):
        drawn_directory("demo")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="set SCALEVQA_CACHE"):
        drawn_directory("demo")
    with pytest.raises(DataError, match="set SCALEVQA_CACHE"):
        EmbeddedImages().put(b"\xff\xd8\xff image")


def test_embedded_images_are_named_by_their_content(cache: Path) -> None:
    store = EmbeddedImages()
    assert not store.names
    name = store.put(b"\x89PNG\r\n\x1a\n one")
    assert store.put(b"\x89PNG\r\n\x1a\n one") == name
    assert store.put(b"\x89PNG\r\n\x1a\n two") != name
    assert name.endswith(".png")
    assert (store.root / name).read_bytes() == b"\x89PNG\r\n\x1a\n one"
    assert len([path for path in store.root.rglob("*") if path.is_file()]) == 2
    with pytest.raises(RowError, match="no known image format"):
        store.put(b"#!/bin/sh")
