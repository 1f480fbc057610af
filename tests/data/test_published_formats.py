"""PathMMU and PathReasoner files, with stand-ins of the same shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.data import Location, load_benchmark, read_benchmark
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import LETTERS


def item(number: int, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "No": number,
        "img": f"{number}.jpg",
        "question": "Which stain (see arrow): H&E?",
        "options": ["A) yes (H&E): pink", "B) no: a) silver b) PAS", "C) neither)"],
        "answer": "B) no: a) silver b) PAS",
        "explanation": "It is black.",
    }
    return base | changes


def save_pathmmu(directory: Path, data: Any) -> Path:
    (directory / "images").mkdir(exist_ok=True)
    (directory / "data.json").write_text(json.dumps(data), encoding="utf-8")
    return directory


def split(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"val": items, "test_tiny": [], "test": []}


def test_pathmmu(tmp_path: Path) -> None:
    tiny = [item(0, source_img="BACH/images/b1.tif"), item(1, tw_id=88, options=["A) x", "B) y"],
                                                            answer="A) x")]  # fmt: skip
    data = {
        "PathCLS": {"val": [item(0)], "test_tiny": tiny, "test": [item(0), item(1)]},
        "PubMed": {"val": [], "test_tiny": [], "test": [item(0)]},
    }
    save_pathmmu(tmp_path, data)
    benchmark = load_benchmark("pathmmu", data_dir=tmp_path)
    assert benchmark.split == "test_all"
    assert [q.id for q in benchmark.questions] == [
        "PathCLS-test-0", "PathCLS-test-1", "PubMed-test-0",
        "PathCLS-test_tiny-0", "PathCLS-test_tiny-1",
    ]  # fmt: skip
    assert benchmark.dimensions == ("PubMed", "PathCLS")
    assert benchmark.image_root == tmp_path / "images"
    first = benchmark.questions[0]
    assert first.options == {"A": "yes (H&E): pink", "B": "no: a) silver b) PAS", "C": "neither)"}
    assert (first.answer, first.slide, first.rationale) == ("B", "0.jpg", "It is black.")
    assert [(view.scale, view.image) for view in first.views] == [("single", "0.jpg")]
    assert [q.slide for q in benchmark.questions[3:]] == ["BACH/images/b1.tif", "88"]
    assert benchmark.questions[3].split == "test_tiny"
    assert len(load_benchmark("pathmmu", "val", tmp_path)) == 1


OPTION = st.text(min_size=1, max_size=40).map(str.strip).filter(bool)


@given(
    texts=st.lists(OPTION | st.sampled_from(["A) x", "a) b: c)", "(B) y", ":)"]),
                   min_size=2, max_size=5, unique_by=str.casefold),
    data=st.data(),
)  # fmt: skip
def test_pathmmu_options_and_answers_survive_the_format(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    right = data.draw(st.integers(0, len(texts) - 1))
    shown = [f"{letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False)]
    written = item(0, options=shown, answer=shown[right])
    directory = save_pathmmu(tmp_path_factory.mktemp("mmu"), {"Atlas": split([written])})
    (question,) = load_benchmark("pathmmu", "val", directory).questions
    assert list(question.options.values()) == texts
    assert question.answer == LETTERS[right]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"options": None}, "missing"),
        ({"options": {"A": "x"}}, "options"),
        ({"options": ["A) x"]}, "options"),
        ({"options": ["A) x", True]}, "type"),
        ({"answer": "D) other"}, "answer"),
        ({"answer": "C) no: a) silver b) PAS"}, "answer"),
        ({"answer": "unlike any"}, "answer"),
        ({"img": None}, "missing"),
        ({"img": "../../x.jpg"}, "path"),
        ({"question": 3}, "type"),
        ({"source_img": 1.5}, "type"),
        ({"No": 0}, "duplicate-id"),
    ],
)
def test_pathmmu_defects(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    save_pathmmu(tmp_path, {"Atlas": split([item(0), item(1) | changes])})
    loaded = read_benchmark(Location("pathmmu", "val", tmp_path))
    assert [(d.row, d.kind) for d in loaded.defects] == [("Atlas/val/2", kind)]
    assert len(loaded.benchmark) == 1


def test_pathmmu_answer_text_that_differs_goes_by_its_letter(tmp_path: Path) -> None:
    save_pathmmu(tmp_path, {"Atlas": split([item(0, answer="C) neither, probably")])})
    assert load_benchmark("pathmmu", "val", tmp_path).questions[0].answer == "C"


@pytest.mark.parametrize("data", [[], {"PubMed": []}, {"PubMed": {"val": "x"}}, 3])
def test_files_of_another_shape(tmp_path: Path, data: Any) -> None:
    with pytest.raises(DataError, match=r"data\.json"):
        load_benchmark("pathmmu", "val", save_pathmmu(tmp_path, data))


REPLY = (
    "<{info}>\nHistopathological Findings:\nClear cells.\n</{info}>\n\n<think>\nClinical "
    "Reasoning:\nNests, so {{a}}.\n</think>\n\n<answer>\nFinal Diagnosis:\nSeminoma: pure.\n"
    "</answer>"
)


def conversation(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": "test::0",
        "image": "/data/TCGA-GV-A40G-01Z-00-DX1.AD1A709F.h5",
        "conversations": [
            {"from": "human", "value": "Analyze the slide.\n<image>"},
            {"from": "gpt", "value": REPLY.format(info="info")},
        ],
    }
    return base | changes


def save_conversations(directory: Path, rows: Any) -> Path:
    (directory / "test.json").write_text(json.dumps(rows), encoding="utf-8")
    return directory


def test_pathreasoner_is_open_questions(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "TCGA-GV-A40G-01Z-00-DX1.AD1A709F.png").write_bytes(b"x")
    second = conversation(id="test::1", image="TCGA-GV-A40G-01Z-00-DX2.B.h5")
    second["conversations"][1]["value"] = REPLY.format(info="observe")
    benchmark = load_benchmark(
        "pathreasoner",
        data_dir=save_conversations(
            tmp_path, [conversation(), second, conversation(id=3, image=[])]
        ),
    )
    one, two, bare = benchmark.questions
    assert (bare.id, bare.views, bare.slide) == ("3", (), None)
    assert benchmark.prompt == "open"
    assert one.is_open
    assert (one.id, one.text, one.answer) == ("test::0", "Analyze the slide.", "Seminoma: pure.")
    assert one.rationale == "Nests, so {a}."
    assert one.extra == two.extra == {"findings": "Clear cells."}
    assert one.views[0].image == "TCGA-GV-A40G-01Z-00-DX1.AD1A709F.png"
    assert two.views[0].image == "TCGA-GV-A40G-01Z-00-DX2.B.h5"
    assert one.slide == two.slide == "TCGA-GV-A40G"
    assert one.dimension == "Diagnosis"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"conversations": None}, "missing"),
        ({"conversations": []}, "missing"),
        ({"conversations": ["x"]}, "missing"),
        ({"conversations": [{"from": "human", "value": 3}]}, "missing"),
        ({"conversations": conversation()["conversations"][:1]}, "missing"),
        ({"conversations": [{"from": "human", "value": "?"},
                            {"from": "gpt", "value": "<answer>x"}]}, "answer"),
        ({"image": 3}, "type"),
        ({"id": "test::0"}, "duplicate-id"),
    ],
)  # fmt: skip
def test_pathreasoner_defects(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    rows = [conversation(), conversation(id="test::1") | changes]
    loaded = read_benchmark(Location("pathreasoner", data_dir=save_conversations(tmp_path, rows)))
    assert [(d.row, d.kind) for d in loaded.defects] == [(2, kind)]
    assert len(loaded.benchmark) == 1
