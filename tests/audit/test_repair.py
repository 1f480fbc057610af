"""Option blocks and pruning: what is written, and whether the statement about it is honest."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import plant

from scalevqa_eval import load_benchmark
from scalevqa_eval.audit.repair import block_accuracy, build_blocks, repair
from scalevqa_eval.data import Location, read_benchmark
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Benchmark, Question, View


def clusters(questions: tuple[Question, ...]) -> list[str]:
    return [str(q.slide) for q in questions]


def worded_alike(benchmark: Benchmark) -> Benchmark:
    questions = tuple(replace(q, text="Which of these fits?") for q in benchmark.questions)
    return replace(benchmark, questions=questions)


def asking(number: int, text: str, options: list[str], right: int, slide: int) -> Question:
    letters = dict(zip("ABCD", options, strict=False))
    view = (View("single", f"s{slide}/{number}.png"),)
    return Question(f"q{number}", text, letters, "ABCD"[right], view, slide=f"s{slide}")


@settings(max_examples=10, deadline=None)
@given(
    st.integers(40, 100), st.sampled_from([(4,), (3,), (2, 4)]), st.integers(4, 20),
    st.integers(0, 5),
)  # fmt: skip
def test_blocks_are_latin(n: int, options: tuple[int, ...], slides: int, seed: int) -> None:
    made = plant("medoid", n, options=options, slides=slides, seed=seed)
    questions = worded_alike(made).questions
    blocks = build_blocks(questions, clusters(questions), seed=seed)
    assert blocks or slides < 2 * max(options)
    by_id = {q.id: q for q in questions}
    used: set[str] = set()
    groups: dict[str, int] = {}
    for block in blocks:
        new = block.questions()
        assert len(new) == len(new[0].options)
        assert len({q.slide for q in new}) == len(new)
        assert len({q.dimension for q in new}) == 1
        assert len({(q.text, tuple(q.options.items())) for q in new}) == 1
        assert new[0].text in {member.text for member in block.members}
        assert sorted(q.answer for q in new) == list(new[0].options)
        for question in new:
            old = by_id[question.id]
            assert question.options[question.answer] == old.options[old.answer]
            assert groups.setdefault(str(question.slide), block.group) == block.group
            assert question.id not in used
            used.add(question.id)
    assert build_blocks(questions[::-1], clusters(questions)[::-1], seed=seed) == blocks


@pytest.mark.parametrize(
    ("texts", "answers"),
    [
        (["Where is the tumour?", "How many mitoses are there?"], ["in fat", "few"]),
        (["What is shown here?"], ["40", "necrosis"]),
        (["What is shown here?"], ["fat", "a band of dense fibrous tissue around small nests"]),
        (["What is shown here?"], ["the very same finding", "The very same finding"]),
    ],
)  # another wording, a number beside a word, a word beside a sentence, the same answer
def test_what_does_not_fit_shares_no_block(texts: list[str], answers: list[str]) -> None:
    questions = [
        asking(i, texts[i % len(texts)], [answers[i % 2], f"other {i}"], 0, i % 2)
        for i in range(20)
    ]
    assert build_blocks(questions, clusters(tuple(questions)), seed=0) == ()


def test_yes_and_no_make_balanced_pairs() -> None:
    questions = tuple(
        asking(i, "Is necrosis present?", ["yes", "no"], int(i % 3 > 0), i % 8) for i in range(24)
    )
    blocks = build_blocks(questions, clusters(questions), seed=0)
    assert len(blocks) >= 4
    assert all(sorted(block.options.values()) == ["no", "yes"] for block in blocks)


NUMBERS = list(range(12, 60))


@pytest.mark.parametrize(
    "texts",
    [
        [f"What is the capital of land{i}?" for i in NUMBERS],
        [f"Is {x} a solid, a liquid, or a gas?" for x in ("rain", "chalk", "steam") * 16],
        [f"Is cedar a {x}?" for x in ("tree", "rock", "bird") * 16],
        [f"What is {i} + {7 * i % 50}?" for i in NUMBERS],
    ],
)
def test_questions_about_other_things_share_no_block(texts: list[str]) -> None:
    """The words around it are the same: "the capital of Maine" is not answered by Boston."""
    answers = [f"answer{texts.index(text)}" for text in texts]
    made = [asking(i, text, [answers[i], "w", "x", "y"], 0, i) for i, text in enumerate(texts)]
    assert build_blocks(made, clusters(tuple(made)), seed=0) == ()


def test_questions_that_borrowed_options_do_not_answer_cannot_be_blocked(tmp_path: Path) -> None:
    """Words that recur pass for paraphrases; but which option was whose can be learned."""
    kinds = {"farm animals": ("cow", "hen", "pig", "goat"), "noble metals": ("gold", "tin", "zinc")}
    made = []
    for i in range(80):
        kind, names = list(kinds.items())[i % 2]
        options = [f"{names[i // 2 % len(names)]} {i}", *(f"other {k} {i}" for k in range(3))]
        text = f"Which one of these {kind} is seen in the picture that was shown before?"
        made.append(asking(i, text, options, 0, i))
    section = repair("blocks", Benchmark("b", "r", "test", tuple(made)), tmp_path)
    assert section["status"] == "cannot be blocked"
    assert "do not fit the questions" in section["statement"]
    assert section["checks"][0]["accuracy"] > 0.4
    assert not list(tmp_path.iterdir())


def test_without_images_nothing_can_be_blocked(tmp_path: Path) -> None:
    questions = tuple(replace(q, views=()) for q in plant("phrase", 80, slides=12).questions)
    section = repair("blocks", Benchmark("b", "r", "test", questions), tmp_path)
    assert (section["status"], section["kept"]) == ("cannot be blocked", 0)
    assert "without images" in section["statement"]
    assert not list(tmp_path.iterdir())


def test_blocks_bring_every_text_probe_to_chance(tmp_path: Path) -> None:
    leaky = worded_alike(plant("phrase", 144, strength=0.5, slides=16))
    other = replace(plant("phrase", 40, strength=0.5, seed=1), split="train")
    section = repair("blocks", leaky, tmp_path, external=other)
    assert section["kept"] >= 0.8 * 144
    checks = {check["name"]: check for check in section["checks"]}
    assert list(checks) == ["medoid", "combined", "siblings", "characters",
                            "external", "told by the question", "told by the topic"]  # fmt: skip
    for check in list(checks.values())[:6]:
        assert abs(check["accuracy"] - 0.25) < 0.03, check
    assert section["status"] in ("repaired", "not shown")  # so many are few
    assert "reviewer" in section["statement"]


def test_pruning_is_a_diagnosis_and_writes_nothing(tmp_path: Path) -> None:
    leaky = plant("medoid", 160, strength=0.5, slides=10)
    other = replace(plant("medoid", 80, strength=0.5, seed=1), split="train")
    section = repair("prune", leaky, tmp_path, external=other)
    assert section["status"] == "diagnosis"
    assert 0 < section["kept"] < 160
    assert f"leave {section['kept']} of 160 questions" in section["statement"]
    assert [check["name"] for check in section["checks"]] == ["other half", "characters",
                                                              "external"]  # fmt: skip
    assert all(check["n"] == section["kept"] for check in section["checks"])
    assert not list(tmp_path.iterdir())
    assert repair("prune", leaky, tmp_path, external=other) == section


@pytest.mark.parametrize("n", [1, 3, 10])
def test_a_few_questions_do_no_harm(n: int, tmp_path: Path) -> None:
    section = repair("prune", plant("none", n), tmp_path)
    assert section["status"] == "diagnosis"
    assert n > 3 or "too few questions" in section["statement"]
    assert repair("blocks", worded_alike(plant("none", n)), tmp_path)["status"] in (
        "cannot be blocked", "not shown",
    )  # fmt: skip


def test_pruning_may_leave_nothing(tmp_path: Path) -> None:
    section = repair("prune", plant("phrase", 80, strength=0.75, slides=10), tmp_path)
    assert (section["kept"], section["checks"]) == (0, [])
    assert "leave 0 of 80 questions" in section["statement"]


def test_pruning_ranks_each_question_against_its_own_chance(tmp_path: Path) -> None:
    fair = plant("none", 60, options=(2,), slides=10, seed=1).questions
    leaky = plant("phrase", 60, options=(4,), strength=0.3, slides=10, seed=2).questions
    both = (*fair, *(replace(q, id=f"x{q.id}", slide=f"x{q.slide}") for q in leaky))
    section = repair("prune", Benchmark("b", "r", "test", both), tmp_path)
    # Ranked by raw probability, fair questions of two options would go first.
    found = re.search(r"with 2 options (\d+) of 60", section["lines"][0])
    assert found
    assert int(found[1]) > 40


def test_worksheet_has_each_borrowed_option_and_no_formula(tmp_path: Path) -> None:
    hostile = tuple(
        replace(q, options={**q.options, q.answer: f'=HYPERLINK("x";"{q.options[q.answer]}")<b>'})
        for q in worded_alike(plant("none", 80, slides=12)).questions
    )
    section = repair("blocks", Benchmark("b", "r", "test", hostile), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "worksheet.csv").read_text("utf-8"))))
    assert len(rows) == 3 * section["kept"]
    assert all(cell[:1] not in "=+-@" or not cell for row in rows for cell in row.values())
    by_id = {q.id: q for q in hostile}
    for row in rows:
        owner = by_id[row["borrowed from"]]
        assert row["option"] == "'" + owner.options[owner.answer]
        assert row["question"] != row["borrowed from"]
    page = (tmp_path / "worksheet.html").read_text("utf-8")
    assert "<b>" not in page.replace('<p dir="auto"><b>', "")
    assert page.count("☐ false") == len(rows)


def test_files_keep_fields_and_ids(tmp_path: Path) -> None:
    rows = []
    made = worded_alike(plant("length", 48, strength=0.4, slides=8))
    for number, q in enumerate(made.questions, start=1):
        rows.append(
            {"No": number, "question": q.text, "options": dict(q.options), "answer": q.answer,
             "rationale": "because", "image_path": {"low_mag": q.image_set[0], "high_mag": None},
             "extra_info": {"wsi_name": q.slide, "question_type": "type_A", "mine": [number]},
             "difficulty": number % 3}
        )  # fmt: skip
    (tmp_path / "val.json").write_text(json.dumps(rows))
    loaded = read_benchmark(Location(tmp_path / "val.json"))
    repair("blocks", loaded.benchmark, tmp_path / "out", loaded=loaded)
    new = {q.id: q for q in load_benchmark(tmp_path / "out" / "val.json").questions}
    old = {q.id: q for q in loaded.benchmark.questions}
    changes = json.loads((tmp_path / "out" / "changes.json").read_text())["questions"]
    assert {c["id"] for c in changes if c["action"] == "changed"} == set(new)
    assert {c["id"] for c in changes} == set(old)
    assert new
    for id_, question in new.items():
        assert question.options[question.answer] == old[id_].options[old[id_].answer]
        assert (question.views, question.slide) == (old[id_].views, old[id_].slide)
    for row in json.loads((tmp_path / "out" / "val.json").read_text()):
        assert row["difficulty"] == row["No"] % 3
        assert row["extra_info"]["mine"] == [row["No"]]
        assert row["rationale"] == "because"
        assert row["extra_info"]["block"]


def test_block_accuracy() -> None:
    blocks = {"a": "1", "b": "1", "c": "2", "d": "2"}
    found = block_accuracy({"a": 1, "b": 1, "c": 1, "d": 0}, blocks)
    assert (found.correct, found.n) == (1, 2)
    assert found.chance == 0.25
    with pytest.raises(ValueError, match="question d of 2"):
        block_accuracy({"a": 1, "b": 1, "c": 1}, blocks)


def test_unknown_method(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="blocks or prune"):
        repair("magic", plant("none", 20), tmp_path)
