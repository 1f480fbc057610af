"""Findings about the data: planted faults are named, with the questions that have them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scalevqa_eval import load_benchmark
from scalevqa_eval.audit import Finding
from scalevqa_eval.audit.dataset import examine, other_splits
from scalevqa_eval.audit.dataset.duplicates import jaccard, shingles
from scalevqa_eval.audit.tokens import Hasher
from scalevqa_eval.types import Benchmark, Question, View

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ala", "ero", "ino", "usa", "oti")]


def words(seed: int, count: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def question(number: int, **changes: object) -> Question:
    parts: dict[str, object] = {
        "id": f"q{number}",
        "text": words(10 * number, 14),
        "options": {c: words(10 * number + i + 1, 8) for i, c in enumerate("ABCD")},
        "answer": "ABCD"[number % 4],
        "views": (View("low", f"s{number}/low.png"), View("mid", f"s{number}/mid.png")),
        "slide": f"slide{number}",
        "split": "test",
    }
    return Question(**(parts | changes))  # type: ignore[arg-type]


def benchmark(*questions: Question, root: Path | None = None, name: str = "b") -> Benchmark:
    return Benchmark(name, name, "test", questions, root)


def kinds(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings}


def test_unrelated_questions_give_no_warning() -> None:
    one = benchmark(*(question(i) for i in range(20)))
    two = benchmark(*(question(i) for i in range(20, 40)), name="train")
    assert [f for f in examine(one, [two]) if f.severity != "note"] == []


def test_slide_patient_and_image_in_two_splits() -> None:
    barcode = (View("low", "TCGA-AB-1234-01Z-00-DX1/a.png"),)
    here = benchmark(question(1, slide="same"), question(2, views=barcode), question(3))
    there = benchmark(
        question(11, slide="same"),
        question(12, views=(View("low", "TCGA-AB-1234-01Z-00-DX2/b.png"),)),
        question(13, views=(View("low", "s3/low.png"),)),
        name="train",
    )
    found = kinds(examine(here, [there]))
    assert found["shared-slide"].question_ids == ("q1",)
    assert found["shared-slide"].evidence["slides"] == ["same"]
    assert found["shared-patient"].question_ids == ("q2",)
    assert found["shared-patient"].evidence["patients"] == ["TCGA-AB-1234"]
    assert found["shared-image"].question_ids == ("q3",)
    assert {found[k].severity for k in ("shared-slide", "shared-patient", "shared-image")} == {
        "error"
    }


def test_near_duplicate_texts_are_told_apart_by_what_they_give_away() -> None:
    first = question(1)
    options = {"A": first.options["C"], "B": first.options["B"], "C": first.options["A"]}
    options["D"] = first.options["D"] + " extra"
    moved = {"views": (View("low", "elsewhere.png"),), "slide": "other"}
    right = first.options[first.answer]
    letter = next(c for c, text in options.items() if text == right)
    same = question(2, text=first.text, options=options, answer=letter, **moved)
    other = replace(same, answer="D" if letter != "D" else "A")
    again = question(3, text=first.text, options=options, answer="D", views=first.views)

    repeated = kinds(examine(benchmark(first, same)))["repeated-text"]
    assert repeated.question_ids == ("q1", "q2")
    # Whether it can be learned is for the probes to say: the verdict beside it may be clean.
    assert "who learned one knows the other" in repeated.message
    assert "learned from the text" not in repeated.message
    found = kinds(examine(benchmark(first, other)))
    assert found["counterfactual-text"].severity == "note"
    assert "repeated-text" not in found
    assert kinds(examine(benchmark(first, again)))["repeated-question"].question_ids == ("q1", "q3")
    across = kinds(examine(benchmark(first), [benchmark(same, name="train")]))
    assert across["split-text"].question_ids == ("q1",)
    assert across["split-text"].evidence["pairs"][0][:2] == ["q1", "q2"]
    assert "split-text-differs" in kinds(examine(benchmark(first), [benchmark(other, name="t")]))


@given(st.lists(st.sampled_from(WORDS), min_size=3, max_size=40), st.randoms())
def test_similarity_ignores_the_order_of_options(text: list[str], chance: random.Random) -> None:
    options = [words(chance.randrange(99), 6) for _ in range(4)]
    one = question(1, text=" ".join(text), options=dict(zip("ABCD", options, strict=True)))
    chance.shuffle(options)
    two = question(2, text=" ".join(text), options=dict(zip("ABCD", options, strict=True)))
    hasher = Hasher()
    assert jaccard(shingles(one, hasher), shingles(two, hasher)) == 1.0


def test_many_equal_texts_take_no_square_of_time() -> None:
    many = [question(1, id=f"q{i}", views=(View("low", f"{i}.png"),)) for i in range(3_000)]
    found = kinds(examine(benchmark(*many)))
    assert found["repeated-text"].evidence["questions"] == 3_000
    assert len(found["repeated-text"].question_ids) == 100


def test_right_option_in_the_question_and_in_a_sibling() -> None:
    plain = question(1)
    quoting = question(2, text=f"It is {question(2).options['C']}, is it not?", answer="C")
    sibling = question(
        3, views=plain.views, slide=plain.slide,
        text=f"Given {plain.options[plain.answer]}, what follows?",
    )  # fmt: skip
    found = kinds(examine(benchmark(plain, quoting, sibling)))
    assert found["answer-in-question"].question_ids == ("q2",)
    assert found["answered-by-sibling"].question_ids == ("q1",)
    assert found["answered-by-sibling"].evidence["pairs"] == [["q1", "q3"]]


def test_a_question_that_quotes_all_options_is_no_leak() -> None:
    base = question(1)
    listing = question(1, text=" or ".join(base.options.values()))
    assert "answer-in-question" not in kinds(examine(benchmark(listing)))


def test_views() -> None:
    triple = [question(i) for i in range(10)]
    lacking = question(20, views=(View("low", "a.png"),), dimension="Place")
    double = question(21, views=(View("low", "b.png"), View("mid", "b.png")))
    none = question(22, views=())
    found = kinds(examine(benchmark(*triple, lacking, double, none)))
    assert found["missing-view"].question_ids == ("q20",)
    assert found["missing-view"].evidence["by_dimension"] == {"Place": 1}
    assert found["view-repeated"].question_ids == ("q21",)
    assert found["without-images"].question_ids == ("q22",)


def test_a_view_outside_the_wider_one_by_its_name() -> None:
    def views(number: int, x: int, y: int) -> tuple[View, ...]:
        low = View("low", f"s{number}/10_{number}.{1000 * number}y_{2000 * number}x.jpg")
        mid = f"s{number}/40_{number}.{1000 * number + y}y_{2000 * number + x}x.jpg"
        return low, View("mid", mid)

    good = [question(i, views=views(i, 100 * (i % 4), 100 * (i % 3))) for i in range(1, 40)]
    bad = question(99, views=views(99, 5_000, 0))
    found = kinds(examine(benchmark(*good, bad)))
    assert found["misplaced-view"].question_ids == ("q99",)
    assert found["misplaced-view"].evidence["offsets"] == {"q99": [5000, 0]}
    assert "misplaced-view" not in kinds(examine(benchmark(*good)))


def textured(seed: int, size: int = 96) -> Image.Image:
    small = Image.frombytes("RGB", (9, 9), random.Random(seed).randbytes(9 * 9 * 3))
    return small.resize((size, size), Image.Resampling.BICUBIC)


def test_images_that_show_the_same(tmp_path: Path) -> None:
    def save(name: str, image: Image.Image) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / name)

    for number in range(1, 9):
        for scale in ("low", "mid"):
            save(f"s{number}/{scale}.png", textured(10 * number + len(scale) + ord(scale[0])))
    save("turned.png", textured(500).transpose(Image.Transpose.ROTATE_90).resize((80, 80)))
    save("s1/low.png", textured(500))
    save("mirrored.png", textured(600).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    save("s2/low.png", textured(600))
    save("copy.png", textured(700))
    save("s3/low.png", textured(700))
    save("white.png", Image.new("RGB", (96, 96), "white"))
    save("s4/low.png", Image.new("RGB", (96, 96), (250, 250, 250)))
    extra = question(50, views=(View("low", "turned.png"), View("mid", "white.png")))
    twin = question(51, views=(View("low", "copy.png"),))
    here = benchmark(*(question(i) for i in range(1, 9)), extra, twin, root=tmp_path)
    there = benchmark(question(60, views=(View("low", "mirrored.png"),)), root=tmp_path, name="t")
    found = kinds(examine(here, [there]))
    assert found["near-image"].evidence["pairs"] == [["s1/low.png", "turned.png", pytest.approx(1, abs=0.02)]]  # noqa: E501  # fmt: skip
    assert found["near-image"].question_ids == ("q1", "q50")
    assert found["near-image"].severity == "warning"
    assert found["same-image"].question_ids == ("q3", "q51")
    assert found["split-image"].question_ids == ("q2",)
    assert "images-not-seen" not in found


def test_equal_names_under_other_roots_are_not_the_same_image(tmp_path: Path) -> None:
    for root, seed in (("a", 1), ("b", 2)):
        for scale in ("low", "mid"):
            path = tmp_path / root / f"s1/{scale}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            textured(10 * seed + len(scale) + ord(scale[0])).save(path)
    here = benchmark(question(1), root=tmp_path / "a")
    there = benchmark(replace(question(1), id="t1", slide="x"), root=tmp_path / "b", name="t")
    assert "shared-image" not in kinds(examine(here, [there]))


def test_images_of_other_splits_are_not_counted_as_missing(tmp_path: Path) -> None:
    there = benchmark(*(question(i) for i in range(10, 20)), root=tmp_path, name="train")
    nothing = kinds(examine(benchmark(question(1), root=tmp_path), [there]))
    assert nothing["images-not-seen"].evidence["images"] == 2
    for scale in ("low", "mid"):
        (tmp_path / "s1").mkdir(exist_ok=True)
        textured(ord(scale[0])).save(tmp_path / f"s1/{scale}.png")
    found = kinds(examine(benchmark(question(1), root=tmp_path), [there]))
    assert not {"images-not-seen", "images-missing"} & set(found)


def test_missing_images_are_said_and_damaged_ones_do_no_harm(tmp_path: Path) -> None:
    assert "images-not-seen" in kinds(examine(benchmark(question(1), root=tmp_path)))
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1/low.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    textured(3).save(tmp_path / "s1/mid.png")
    outside = question(2, views=(View("low", "../../etc/passwd"),))
    found = kinds(examine(benchmark(question(1), outside, root=tmp_path)))
    assert found["images-missing"].evidence["images"] == 2


def test_order_of_rows_does_not_matter() -> None:
    questions = [question(i % 7, id=f"q{i}") for i in range(30)]
    mixed = random.Random(1).sample(questions, len(questions))
    assert examine(benchmark(*questions)) == examine(benchmark(*mixed))


def test_sibling_splits_of_a_bare_file_are_found(tmp_path: Path) -> None:
    rows = [
        {"No": i, "question": words(i, 12), "answer": "A",
         "options": {c: words(100 * i + k, 6) for k, c in enumerate("ABCD")},
         "image_path": {"low_mag": f"{i}.png"},
         "extra_info": {"wsi_name": f"w{i // 2}", "question_type": "type_A"}}
        for i in range(8)
    ]  # fmt: skip
    (tmp_path / "val.json").write_text(json.dumps(rows[:4]))
    (tmp_path / "train.json").write_text(json.dumps(rows[3:]))
    loaded = load_benchmark(tmp_path / "val.json")
    others, notes = other_splits(loaded)
    assert ([other.split for other in others], notes) == (["train"], ())
    assert kinds(examine(loaded, others))["shared-slide"].evidence["slides"] == ["w1"]
    (tmp_path / "train.json").write_text("{")
    assert other_splits(loaded)[1][0].kind == "split-not-read"


def test_the_demo_has_no_fault() -> None:
    demo = load_benchmark("demo")
    others, _ = other_splits(demo)
    assert len(others) == 2
    assert {f.severity for f in examine(demo, others)} == {"note"}


def test_texts_that_are_none_and_huge_ones_do_no_harm() -> None:
    bad = question(1, text=float("nan"))
    huge = question(2, options={c: f"{c} " + "word " * 200_000 for c in "ABCD"})
    foreign = question(
        3, text="どの組織像が正しいですか", options={"A": "腺管構造", "B": "充実性増殖"}, answer="A"
    )
    empty = question(4, text="", options={"A": "x", "B": "y"}, answer="A")
    assert [f.severity for f in examine(benchmark(bad, huge, foreign, empty))] == ["note"] * 1
