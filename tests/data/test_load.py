"""Question files → benchmarks: the real file, every shape that is taken, and what is refused."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scalevqa_eval.data import Loaded, Location, load_benchmark, read_benchmark
from scalevqa_eval.data.parse import embedded_directory, keep_embedded
from scalevqa_eval.data.readers import RowError
from scalevqa_eval.data.values import read_options, resolve_answer, strip_letters
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.types import LETTERS

ROOT = Path(__file__).resolve().parents[2]


def row(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "No": 1,
        "question": "What is seen?",
        "options": {"A": "gland", "B": "stroma", "C": "necrosis", "D": "fat"},
        "answer": "B",
        "rationale": "because",
        "image_path": {"low_mag": "s/l.jpg", "mid_mag": "s/m.jpg", "high_mag": None},
        "extra_info": {"wsi_name": "s", "path_id": "p", "question_type": "type_C"},
    }
    return base | changes


def save(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def defect(tmp_path: Path, bad: Any) -> tuple[str, str]:
    """Kind and message of a row that stands between two good ones."""
    path = save(tmp_path / "val.json", [row(No=10), bad, row(No=12)])
    loaded = read_benchmark(Location(path))
    assert [question.id for question in loaded.benchmark.questions] == ["val-10", "val-12"]
    (found,) = loaded.defects
    assert found.row == 2
    with pytest.raises(DataError, match="row 2") as caught:
        load_benchmark(path)
    assert "benchmarks check" in str(caught.value)
    assert len(str(caught.value)) < 700
    return found.kind, found.message


# The real validation split


def test_the_real_validation_split(shared_data: Path) -> None:
    benchmark = load_benchmark("scale-vqa", split="val", data_dir=shared_data / "scale_vqa")
    assert len(benchmark) == 450
    assert len({question.id for question in benchmark.questions}) == 450
    assert set(Counter(q.dimension for q in benchmark.questions).values()) == {90}
    assert benchmark.dimensions == (
        "Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis",
    )  # fmt: skip
    assert len({question.slide for question in benchmark.questions}) == 17
    scales = Counter(tuple(v.scale for v in q.views) for q in benchmark.questions)
    assert scales == {("low", "mid", "high"): 435, ("low", "mid"): 15}
    assert {v.magnification for q in benchmark.questions for v in q.views} == {"10x", "40x", "200x"}
    repeated = [q for q in benchmark.questions if len(set(q.options.values())) < len(q.options)]
    assert len(repeated) == 1
    assert benchmark.prompt == "scalereasoner"
    assert benchmark.image_root == shared_data / "scale_vqa"
    assert all(q.extra["path_id"] and q.rationale and q.split == "val" for q in benchmark.questions)


def test_the_real_file_needs_no_card(shared_data: Path) -> None:
    named = load_benchmark("scale-vqa", split="val", data_dir=shared_data / "scale_vqa")
    bare = load_benchmark(shared_data / "scale_vqa" / "val.json")
    assert bare.questions == named.questions
    assert bare.revision == named.revision
    assert bare.card == ""
    assert bare.split == "val"


# Where the files are


def test_without_a_place_one_line_says_what_to_give() -> None:
    with pytest.raises(UsageError, match="--data-dir") as caught:
        load_benchmark("scale-vqa", split="val")
    message = str(caught.value)
    assert "--hub-id" in message
    assert "iMVR-PL/ScaleReasoner-R1, folder data/" in message
    assert "\n" not in message


def test_a_missing_split_file_names_those_that_are_there(tmp_path: Path) -> None:
    save(tmp_path / "val.json", [row()])
    with pytest.raises(DataError, match="there are files for --split val"):
        load_benchmark("scale-vqa", data_dir=tmp_path)
    with pytest.raises(UsageError, match="no such directory"):
        load_benchmark("scale-vqa", data_dir=tmp_path / "x")
    with pytest.raises(UsageError, match="not both"):
        load_benchmark("scale-vqa", data_dir=tmp_path, hub_id="a/b")


def test_other_splits_come_from_the_same_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data" / "train.json", [row(No=7)])
    save(tmp_path / "data" / "test.json", [row(No=8)])
    benchmark = load_benchmark("scale-vqa", data_dir=tmp_path)
    assert benchmark.split == "test"
    assert benchmark.load_split is not None
    assert [q.id for q in benchmark.load_split("train").questions] == ["train-7"]
    bare = load_benchmark(tmp_path / "data" / "test.json")
    assert bare.load_split is not None
    assert [q.id for q in bare.load_split("train").questions] == ["train-7"]
    with pytest.raises(UsageError, match=r"no val\.json"):
        bare.load_split("val")


def test_data_dir_of_a_bare_file_is_its_image_root(tmp_path: Path) -> None:
    path = save(tmp_path / "q.json", [row()])
    (tmp_path / "pictures").mkdir()
    assert load_benchmark(path).image_root == tmp_path
    assert load_benchmark(path, data_dir=tmp_path / "pictures").image_root == tmp_path / "pictures"
    assert load_benchmark(path, split="held-out").questions[0].id == "held-out-1"
    with pytest.raises(UsageError, match="go with a card"):
        load_benchmark(path, hub_id="a/b")


def test_limit_keeps_the_first(tmp_path: Path) -> None:
    path = save(tmp_path / "q.json", [row(No=n) for n in range(5)])
    assert [q.id for q in load_benchmark(path, limit=2).questions] == ["q-0", "q-1"]
    with pytest.raises(UsageError, match="1 or more"):
        load_benchmark(path, limit=0)


def test_revision_follows_the_content(tmp_path: Path) -> None:
    first = load_benchmark(save(tmp_path / "q.json", [row()])).revision
    second = load_benchmark(save(tmp_path / "q.json", [row(answer="A")])).revision
    assert first != second
    assert len(first) == 12
    assert repr(load_benchmark(tmp_path / "q.json")) == f"<Benchmark q q: 1 questions, {second}>"


def test_the_example_card_loads() -> None:
    benchmark = load_benchmark(ROOT / "examples" / "my_card.yaml")
    assert [(q.id, q.answer, q.dimension, q.slide) for q in benchmark.questions] == [
        ("c1", "B", "Pattern", "p7"), ("c2", "A", "Pattern", "p8"), ("c3", "B", "Grade", "p7"),
    ]  # fmt: skip
    assert [len(q.views) for q in benchmark.questions] == [2, 1, 2]
    assert benchmark.prompt == "direct"


# Files


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + json.dumps([row()]).encode(),
        json.dumps([row()], indent=1).replace("\n", "\r\n").encode(),
        json.dumps([row()]).encode() + b"\n \n",
    ],
    ids=["bom", "crlf", "blank tail"],
)
def test_harmless_forms_of_json(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(raw)
    assert load_benchmark(path).questions[0].answer == "B"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "no valid JSON"),
        (b"[{]", "line 1, column 3"),
        (json.dumps([row()]).encode() + b" garbage", "Extra data"),
        (b'{"a": 1}', "an object with the fields a, not a list"),
        (b"{}", "an object that is empty, not a list"),
        (b'"text"', "a text, not a list"),
        (b"null", "holds null, not a list"),
        (b"[]", "holds no questions"),
        (b"\xff\xfe[\x00]\x00", "not UTF-8"),
        (b'["\xe9"]', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "no valid JSON"),
    ],
)
def test_files_that_hold_no_questions(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=message):
        load_benchmark(path)


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps(row(No=n)) for n in range(3)]
    for name, text in {
        "a.jsonl": "\n".join(lines),
        "b.jsonl": "\r\n".join(lines) + "\r\n\r\n",
    }.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        assert [q.id[2:] for q in load_benchmark(path).questions] == ["0", "1", "2"]
    (tmp_path / "d.jsonl").write_text(f"{lines[0]}\n{{broken\n{lines[2]}\n", encoding="utf-8")
    loaded = read_benchmark(Location(tmp_path / "d.jsonl"))
    assert len(loaded.benchmark) == 2
    assert [(d.row, d.kind) for d in loaded.defects] == [(2, "json")]


def test_rows_inside_an_object(tmp_path: Path) -> None:
    save(tmp_path / "q.json", {"data": {"items": [{"q": "?", "o": ["x", "y"], "a": "y"}]}})
    card = tmp_path / "card.yaml"
    card.write_text(
        "name: mine\nrows: data.items\nsource: {directory: .}\nsplits: {test: {files: q.json}}\n"
        "fields: {text: q, options: o, answer: a}\n",
        encoding="utf-8",
    )
    (question,) = load_benchmark(card).questions
    assert (question.id, question.answer, question.dimension) == ("test-row1", "B", "all")


# Rows


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"options": None}, "missing", "no options"),
        ({"options": {}}, "options", "not 0"),
        ({"options": {"A": "only"}}, "options", "not 1"),
        ({"options": {"A": "x", "B": None, "C": "y"}}, "type", "option B"),
        ({"options": {"A": "x", "B": True}}, "type", "option B is true or false"),
        ({"options": {"A": "x", "B": float("nan")}}, "type", "option B is nan"),
        ({"options": {"A": "x", "B": "y" * 1_000_000}}, "too-long", "1,000,000 characters"),
        ({"options": {"A": "x", "a": "y", "B": "z"}}, "options", "same letter"),
        ({"options": {"1": "x", "2": "y"}, "answer": "1"}, "options", "A to Z"),
        ({"options": "A) x B) y"}, "options", "no object or list"),
        ({"options": ["x"] * 27}, "options", "not 27"),
        ({"answer": None}, "missing", "no answer"),
        ({"answer": "E"}, "answer", "none of A/B/C/D"),
        ({"answer": " "}, "answer", "empty"),
        ({"answer": "AB"}, "answer", "none of"),
        ({"answer": "A) stroma"}, "answer", "none of"),
        ({"answer": 1}, "type", "answer is a number"),
        ({"answer": True}, "type", "answer is true or false"),
        ({"answer": ["A"]}, "type", "answer is a list"),
        ({"answer": float("inf")}, "type", "answer is inf"),
        ({"question": None}, "missing", "no question text"),
        ({"question": 5}, "type", "question is a number"),
        ({"question": "x\ud800"}, "text", "surrogate"),
        ({"image_path": {"low_mag": 5}}, "type", "image"),
        ({"image_path": {"low_mag": "../x.jpg"}}, "path", "leads out"),
        ({"image_path": {"low_mag": "/etc/passwd"}}, "path", "leads out"),
        ({"image_path": {"low_mag": "C:\\x.jpg"}}, "path", "leads out"),
        ({"image_path": {"low_mag": "a\\..\\..\\x.jpg"}}, "path", "leads out"),
        ({"image_path": {"low_mag": "a\0.jpg"}}, "text", "control characters"),
        ({"extra_info": {"question_type": "\x1b[31m"}}, "text", "control characters"),
        ({"extra_info": {"wsi_name": "s\n1"}}, "text", "control characters"),
        ({"extra_info": {"question_type": ["type_A"]}}, "type", "dimension"),
        ({"extra_info": {"wsi_name": float("nan")}}, "type", "slide is nan"),
        ({"extra_info": {"path_id": float("nan")}}, "type", "cannot be kept"),
        ({"rationale": {"a": 1}}, "type", "rationale"),
        ({"No": 10}, "duplicate-id", "used before, in row 1"),
    ],
)  # fmt: skip
def test_rows_that_are_no_question(
    tmp_path: Path, changes: Mapping[str, Any], kind: str, words: str
) -> None:
    found, message = defect(tmp_path, row(No=11) | changes)
    assert found == kind
    assert words in message
    assert len(message) < 300


@pytest.mark.parametrize("bad", [None, 3, "text", [], [["A", "x"]], {}])
def test_rows_of_another_kind(tmp_path: Path, bad: Any) -> None:
    defect(tmp_path, bad)


@pytest.mark.parametrize(
    ("once", "field"), [('"D": "fat"', "D"), ('"No": 1', "No"), ('"low_mag": "s/l.jpg"', "low_mag")]
)
def test_a_field_that_stands_twice(tmp_path: Path, once: str, field: str) -> None:
    text = json.dumps([row()]).replace(once, f'{once}, "{field}": "other"')
    (tmp_path / "q.json").write_text(text, encoding="utf-8")
    (found,) = read_benchmark(Location(tmp_path / "q.json")).defects
    assert (found.kind, found.message) == ("type", f"the field '{field}' stands twice")


def test_ids_without_a_number_are_row_numbers(tmp_path: Path) -> None:
    rows = [row(No=None), row(No=True), row(No=1.5), row(No="x\ny"), row(No="2"), row(No=2)]
    loaded = read_benchmark(Location(save(tmp_path / "q.json", rows)))
    ids = [question.id for question in loaded.benchmark.questions]
    assert ids == ["q-row1", "q-row2", "q-row3", "q-row4", "q-2"]
    assert [found.kind for found in loaded.defects] == ["duplicate-id"]


def test_shapes_that_are_taken(tmp_path: Path) -> None:
    rows = [
        row(No=1, options=["A) gland", "B) fat (a) b"], answer="B) fat (a) b"),
        row(No=2, options=["x", "y", "z"], answer="c"),
        row(No=3, options={"a": "x", "b": "y"}, answer="(B)"),
        row(No=4, image_path="one.png", extra_info=None),
        row(No=5, image_path=None, image="two.png"),
        row(No=6, image_path={"low_mag": "", "mid_mag": "m.png"}),
        row(No=7, options={letter: letter * 2 for letter in LETTERS}, answer="Z"),
        row(No=8, options={"A": "x", "B": "y", "C": None, "D": None}, answer="B"),
    ]
    by_id = {q.id: q for q in load_benchmark(save(tmp_path / "q.json", rows)).questions}
    assert by_id["q-1"].options == {"A": "gland", "B": "fat (a) b"}
    assert [by_id[f"q-{n}"].answer for n in (1, 2, 3, 7, 8)] == ["B", "C", "B", "Z", "B"]
    assert [(v.scale, v.image) for v in by_id["q-4"].views] == [("single", "one.png")]
    assert by_id["q-4"].dimension == "all"
    assert by_id["q-4"].slide is None
    assert [(v.scale, v.image) for v in by_id["q-5"].views] == [("single", "two.png")]
    assert [v.scale for v in by_id["q-6"].views] == ["mid"]
    assert list(by_id["q-8"].options) == ["A", "B"]


@pytest.mark.parametrize(
    ("options", "answer", "letter", "texts"),
    [
        ([1, 2.5, 30], 30, "C", ["1", "2.5", "30"]),
        ({"A": 4, "B": 2}, "A", "A", ["4", "2"]),
        ({"A": "none", "B": 2}, "2", "B", ["none", "2"]),
        (["A) B) y", "B) y"], "B) y", "B", ["B) y", "y"]),
        (["gland", "gland."], "gland.", "B", ["gland", "gland."]),
    ],
)
def test_an_answer_is_an_option_as_the_file_writes_it(
    tmp_path: Path, options: Any, answer: Any, letter: str, texts: list[str]
) -> None:
    path = save(tmp_path / "q.json", [row(options=options, answer=answer)])
    (question,) = load_benchmark(path).questions
    assert (question.answer, list(question.options.values())) == (letter, texts)


def test_paths_of_windows_are_found(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(picture("red"))
    path = save(tmp_path / "q.json", [row(image_path="images\\a.png")])
    benchmark = load_benchmark(path)
    assert ImageStore(benchmark.image_root).check(benchmark.questions) == []


def test_open_questions(tmp_path: Path) -> None:
    save(tmp_path / "q.json", [{"q": "Diagnosis?", "a": "seminoma"}])
    card = tmp_path / "card.yaml"
    card.write_text(
        "name: mine\nsource: {directory: .}\nsplits: {test: {files: q.json}}\n"
        "fields: {text: q, answer: a}\nprompt: open\n",
        encoding="utf-8",
    )
    (question,) = load_benchmark(card).questions
    assert question.is_open
    assert question.answer == "seminoma"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["A", "B", "low_mag", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(row())), JSON, max_size=4))
def test_any_row_is_a_question_or_a_defect(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    path = save(tmp_path_factory.mktemp("rows") / "q.json", [row() | changes])
    loaded: Loaded = read_benchmark(Location(path))
    assert len(loaded.benchmark) + len(loaded.defects) == 1
    for question in loaded.benchmark.questions:
        assert question.answer in question.options
        json.dumps(dict(question.extra), allow_nan=False).encode()


# Options and answers


TEXTS = st.text(max_size=30).map(str.strip)


@given(st.lists(TEXTS, min_size=1, max_size=26), st.booleans())
def test_prefixes_come_off_as_they_went_on(texts: list[str], bracket: bool) -> None:
    pairs = zip(LETTERS, texts, strict=False)
    shown = [f"({k}) {text}" if bracket else f"{k}) {text}" for k, text in pairs]
    assert strip_letters(shown) == texts


@given(st.lists(TEXTS, min_size=2, max_size=8))
def test_texts_without_all_prefixes_stay(texts: list[str]) -> None:
    texts = [*texts[:-1], "no prefix: (really) none)"]
    assert strip_letters(texts) == texts


@given(st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=26), st.data())
def test_every_form_of_an_answer_names_the_option_or_is_refused(
    texts: list[str], data: st.DataObject
) -> None:
    options = dict(zip(LETTERS, texts, strict=False))
    letter = data.draw(st.sampled_from(list(options)))
    assert resolve_answer(letter, options, []) == letter
    for form in (letter.lower(), f"{letter})", f"({letter})", f"{letter}) {options[letter]}"):
        try:
            found = resolve_answer(form, options, [])
        except RowError:
            continue
        # Only an option that reads exactly so may take precedence over the letter.
        assert found == letter or options[found].strip().casefold() in form.casefold()


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        ("a", {"A": "x", "B": "y"}, "A"),
        (" B ", {"A": "x", "B": "y"}, "B"),
        ("B.", {"A": "x", "B": "y"}, "B"),
        ("B: y", {"A": "x", "B": "y"}, "B"),
        ("Y.", {"A": "x", "B": "y"}, "B"),
        ("grade  ii", {"A": "Grade I", "B": "Grade II"}, "B"),
        ("A", {"A": "B", "B": "A"}, "A"),
        ("a", {"A": "b", "B": "a"}, "B"),
        ("A: x", {"A": "y", "B": "A: x"}, "B"),
    ],
)
def test_answers(answer: str, options: dict[str, str], expected: str) -> None:
    assert resolve_answer(answer, options, []) == expected


def test_an_answer_that_is_two_options_is_refused() -> None:
    with pytest.raises(RowError, match="A and C"):
        resolve_answer("same", {"A": "same", "B": "other", "C": "Same."}, [])


def test_positions() -> None:
    options = read_options(["x", "y", "z"])
    assert resolve_answer(0, options, [], 0) == "A"
    assert resolve_answer(3, options, [], 1) == "C"
    for wrong, start in ((3, 0), (-1, 0), (0, 1)):
        with pytest.raises(RowError, match="not the position"):
            resolve_answer(wrong, options, [], start)


# Parquet


def picture(colour: str, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, kind)
    return out.getvalue()


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    tables = pytest.importorskip("pyarrow.parquet")
    tables.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_parquet_with_paths(tmp_path: Path) -> None:
    rows = [row(No=1), row(No=2, options={"A": "x", "B": "y"})]
    by_json = load_benchmark(save(tmp_path / "q.json", rows))
    by_parquet = load_benchmark(parquet(tmp_path / "q.parquet", rows))
    assert by_parquet.questions == by_json.questions


def test_parquet_with_embedded_images(tmp_path: Path) -> None:
    low, mid = picture("red"), picture("blue", "JPEG")
    paths = {
        "low_mag": {"bytes": low, "path": None},
        "mid_mag": {"bytes": mid, "path": "../x"},
        "high_mag": None,
    }
    file = parquet(tmp_path / "q.parquet", [row(No=n, image_path=paths) for n in range(3)])
    benchmark = load_benchmark(file)
    store = ImageStore(benchmark.image_root)
    assert store.check(benchmark.questions) == []
    first, second = benchmark.questions[0].views
    assert store.part(first).load() == low
    assert store.part(second).load() == mid
    assert (store.part(first).media_type, store.part(second).media_type) == (
        "image/png", "image/jpeg",
    )  # fmt: skip
    assert benchmark.questions[2].views == benchmark.questions[0].views


def test_parquet_faults(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load_benchmark(broken)
    no_image = {"low_mag": {"bytes": b"not an image", "path": None}}
    file = parquet(tmp_path / "a.parquet", [row(image_path=no_image)])
    assert [found.kind for found in read_benchmark(Location(file)).defects] == ["type"]
    mixed = [
        row(No=1, image_path={"low_mag": {"bytes": picture("red"), "path": None}}),
        row(No=2, image_path={"low_mag": {"bytes": None, "path": "x.png"}}),
    ]
    with pytest.raises(DataError, match="both embedded images and paths"):
        load_benchmark(parquet(tmp_path / "b.parquet", mixed))


def test_embedded_images_are_named_by_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "cache"))
    root = embedded_directory()
    name = keep_embedded(b"\x89PNG\r\n\x1a\n one")
    assert keep_embedded(b"\x89PNG\r\n\x1a\n one") == name
    assert keep_embedded(b"\x89PNG\r\n\x1a\n two") != name
    assert name.endswith(".png")
    assert (root / name).read_bytes() == b"\x89PNG\r\n\x1a\n one"
    assert len([path for path in root.rglob("*") if path.is_file()]) == 2
    with pytest.raises(RowError, match="no known image format"):
        keep_embedded(b"#!/bin/sh")
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("SCALEVQA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="set SCALEVQA_CACHE"):
        keep_embedded(b"\xff\xd8\xff image")
