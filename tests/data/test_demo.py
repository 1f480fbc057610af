"""The built-in demo: drawn the same each time, and not answerable from its text."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from scalevqa_eval.data import demo, load_benchmark
from scalevqa_eval.data.demo import LEAKY_PHRASE, drawn_directory
from scalevqa_eval.data.demo.drawing import PIXELS, draw_view
from scalevqa_eval.data.demo.scene import FINDINGS, NUCLEI, Scene, Stain
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Question

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SPLITS = ("train", "val", "test")


@functools.cache
def questions(split: str, name: str = "demo") -> tuple[Question, ...]:
    return load_benchmark(name, split).questions


@pytest.fixture
def root() -> Path:
    found = load_benchmark("demo").image_root
    assert found is not None
    return found


def exact_text(question: Question) -> tuple[object, ...]:
    return question.text, tuple(question.options.items()), question.dimension


def siblings(split: str) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = collections.defaultdict(list)
    for question in questions(split):
        found[question.extra["path_id"]].append(question)
    return found


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_has_what_it_claims() -> None:
    for split, least in (("train", 400), ("val", 100), ("test", 400)):
        asked = questions(split)
        assert len(asked) >= least
        assert all(list(q.options) == list("ABCD") for q in asked)
        counts = collections.Counter(q.dimension for q in asked)
        assert list(counts) == [
            "Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis",
        ]  # fmt: skip
        assert len(set(counts.values())) == 1
    assert len({q.slide for q in questions("test")}) >= 20


def test_some_questions_lack_the_high_view_where_they_do_not_need_it() -> None:
    asked = questions("test")
    bare = [q for q in asked if "high" not in {view.scale for view in q.views}]
    assert 0.05 <= len(bare) / len(asked) <= 0.07
    assert {q.dimension for q in bare} == {"Localization"}
    assert all(q.views[0].scale == "low" and len(q.views) >= 2 for q in asked)


DRAW = """
import hashlib
import numpy as np
from scalevqa_eval.data.demo.drawing import draw_view
from scalevqa_eval.data.demo.scene import FINDINGS, Scene, Stain
rng = np.random.default_rng(7)
scene = Scene(dict.fromkeys(FINDINGS, True), Stain.drawn(rng), rng)
for window in scene.windows.values():
    print(hashlib.sha256(draw_view(scene, window, rng).tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_pictures_in_every_process() -> None:
    command = [sys.executable, "-c", DRAW]
    first, second = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in "ab"
    )
    assert first == second
    assert len(set(first.split())) == 3


def test_questions_are_those_of_the_published_results() -> None:
    revisions = [load_benchmark("demo", split).revision for split in SPLITS]
    assert revisions == ["e699252b3ee6", "21128bb315b4", "7dfbbdbe86b9"]


def test_splits_share_no_slide_and_no_picture(root: Path) -> None:
    slides = [{q.slide for q in questions(split)} for split in SPLITS]
    assert sum(map(len, slides)) == len(set.union(*slides))
    pictures = {path: hash_ for path, hash_ in digests(root).items() if path.endswith(".jpg")}
    assert len(set(pictures.values())) == len(pictures)
    for split in SPLITS:
        for question in questions(split):
            for view in question.views:
                assert question.slide is not None
                assert question.slide in view.image
                assert view.image in pictures


@pytest.mark.parametrize("split", SPLITS)
def test_each_text_has_each_answer_equally_often_on_each_slide(split: str) -> None:
    asked: dict[object, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for question in questions(split):
        asked[question.slide, exact_text(question)][question.answer] += 1
    assert all(counts == dict.fromkeys("ABCD", 1) for counts in asked.values())


@pytest.mark.parametrize("split", SPLITS)
def test_all_places_of_a_slide_are_asked_the_same(split: str) -> None:
    """So that the texts of the other questions on the same pictures say nothing either.

    With each text having each answer once a slide, any function of all text is right once in four.
    """
    asked: dict[object, set[object]] = collections.defaultdict(set)
    for place in siblings(split).values():
        shown = [(exact_text(q), tuple(view.scale for view in q.views)) for q in place]
        asked[place[0].slide].add(tuple(shown))
    assert all(len(kinds) == 1 for kinds in asked.values())


def test_the_leaky_twin_gives_itself_away() -> None:
    asked = questions("test", "demo-leaky")
    right = [LEAKY_PHRASE in q.options[q.answer] for q in asked]
    wrong = [LEAKY_PHRASE in t for q in asked for x, t in q.options.items() if x != q.answer]
    assert 0.80 <= np.mean(right) <= 0.90
    assert 0.02 <= np.mean(wrong) <= 0.08


def test_the_leaky_twin_differs_in_the_phrase_only(root: Path) -> None:
    leaky = load_benchmark("demo-leaky").image_root
    assert leaky is not None
    pictures = {k: v for k, v in digests(root).items() if k.endswith(".jpg")}
    assert pictures == {k: v for k, v in digests(leaky).items() if k.endswith(".jpg")}
    for split in SPLITS:
        text = (leaky / f"{split}.json").read_text()
        assert LEAKY_PHRASE in text
        assert text.replace(f", {LEAKY_PHRASE}", "") == (root / f"{split}.json").read_text()


def grey(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        assert picture.size == (PIXELS, PIXELS)
        return picture.convert("L")


def agreement(coarse: Image.Image, fine: Image.Image, box: tuple[float, ...]) -> float:
    """Correlation of a part of one picture with all of another, at the coarser detail."""
    side = max(8, round(box[2] - box[0]))
    crop = coarse.resize((side, side), Image.Resampling.BICUBIC, box=box)  # type: ignore[arg-type]
    small = fine.resize((side, side), Image.Resampling.BOX)
    pair = [np.asarray(picture, float).ravel() for picture in (crop, small)]
    return float(np.corrcoef(pair)[0, 1])


def test_closer_views_are_crops_of_the_wider_ones(root: Path) -> None:
    true: dict[str, list[float]] = collections.defaultdict(list)
    shifted: dict[str, list[float]] = collections.defaultdict(list)
    rows = json.loads((root / "test.json").read_text())
    for row in rows[:: 5 * 3]:
        windows, names = row["extra_info"]["windows_um"], row["image_path"]
        for wide, close in (("low", "mid"), ("mid", "high")):
            x, y, size = windows[wide]
            left, top, part = windows[close]
            unit = size / PIXELS
            box = ((left - x) / unit, (top - y) / unit)
            whole = (*box, box[0] + part / unit, box[1] + part / unit)
            away = tuple(edge - 30 for edge in whole)
            pictures = (grey(root / names[f"{wide}_mag"]), grey(root / names[f"{close}_mag"]))
            true[wide].append(agreement(*pictures, whole))
            shifted[wide].append(agreement(*pictures, away))
    for wide in ("low", "mid"):
        assert np.mean(true[wide]) > 0.7
        assert np.mean(shifted[wide]) < 0.3


def inside_high(scene: Scene, points: Floats) -> Flags:
    window = scene.windows["high"]
    offset = points - np.array([window.x, window.y])
    inside: Flags = ((offset > 0) & (offset < window.size)).all(axis=1)
    return inside


@given(seed=st.integers(0, 2**32 - 1), present=st.sets(st.sampled_from(FINDINGS)))
@settings(max_examples=40, deadline=None)
def test_a_scene_shows_its_findings_and_no_others(seed: int, present: set[str]) -> None:
    rng = np.random.default_rng(seed)
    findings = {name: name in present for name in FINDINGS}
    scene = Scene(findings, Stain.drawn(rng), rng)
    inside = inside_high(scene, scene.nuclei.centres)
    kinds = [NUCLEI[kind] for kind in scene.nuclei.kinds[inside]]
    drawn = {kind for kind, _ in scene.shapes}
    assert (kinds.count("mitosis") >= 1) == findings["mitoses"]
    assert (kinds.count("lymphocyte") >= 5) == findings["lymphocytes"]
    assert findings["lymphocytes"] or "lymphocyte" not in kinds
    assert (len(scene.granules) > 20) == findings["pigment"]
    assert ("lumen" in drawn) == findings["glands"]
    assert ("necrosis" in drawn) == findings["necrosis"]
    assert ("cluster" in drawn) == findings["clusters"]
    low, mid, high = (scene.windows[scale] for scale in ("low", "mid", "high"))
    for wide, close in ((low, mid), (mid, high)):
        assert wide.x <= close.x <= close.x + close.size <= wide.x + wide.size
        assert wide.y <= close.y <= close.y + close.size <= wide.y + wide.size


def test_necrosis_is_pale_and_pigment_is_brown() -> None:
    """Findings are seen in the colours of the view that is said to show them."""

    def mean(scale: str, share: Callable[[Floats], Flags], **chosen: bool) -> float:
        rng = np.random.default_rng(5)
        findings = {name: chosen.get(name, False) for name in FINDINGS}
        scene = Scene(findings, Stain.drawn(rng), rng)
        pixels = np.asarray(draw_view(scene, scene.windows[scale], rng), float)
        return float(share(pixels).mean())

    def brown(pixels: Floats) -> Flags:
        found: Flags = (pixels[..., 0] - pixels[..., 2] > 60) & (pixels[..., 1] < 150)
        return found

    def salmon(pixels: Floats) -> Flags:
        found: Flags = (pixels[..., 0] > 210) & (pixels[..., 0] - pixels[..., 2] > 20)
        return found

    assert mean("high", brown, pigment=True) > 0.02 > mean("high", brown) + 0.015
    assert mean("low", salmon, necrosis=True) > 0.1 > mean("low", salmon) + 0.05


# In the cache: drawn once, whole or not at all, whoever else is at it


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_of_two_at_once_one_wins_and_nothing_is_left_over(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_at_work = threading.Barrier(2, timeout=30)

    def draw(directory: Path, leaky: bool) -> None:
        (directory / "test.json").write_text("[", encoding="utf-8")
        both_at_work.wait()
        (directory / "test.json").write_text("[]", encoding="utf-8")

    monkeypatch.setattr(demo, "build_demo", draw)
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
    def draw(directory: Path, leaky: bool) -> None:
        (directory / "half").write_text("x", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "build_demo", draw)
    with pytest.raises(DataError, match="No space left"):
        drawn_directory("demo")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="set SCALEVQA_CACHE"):
        drawn_directory("demo")
