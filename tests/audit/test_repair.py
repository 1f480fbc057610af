"""Repairs: what is removed, what is written, and whether the statement about it is honest."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalevqa_eval import load_benchmark
from scalevqa_eval.audit.planted import plant
from scalevqa_eval.audit.repair import block_accuracy, build_blocks, repair
from scalevqa_eval.audit.repair.prune import prune
from scalevqa_eval.data import Location, read_benchmark
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Benchmark


def clusters(benchmark: Benchmark) -> list[str]:
    return [str(q.slide) for q in benchmark.questions]


def test_pruning_removes_what_is_leaky_and_stops_at_chance() -> None:
    leaky = plant("phrase", 100, strength=0.45, slides=6)
    found = prune(leaky.questions, clusters(leaky), seed=0)
    assert found.reached
    first, last = found.rounds[0].accuracy, found.rounds[-1].accuracy
    assert max(first.values()) > 0.45
    assert max(last.values()) <= 0.25 + 1e-9
    assert max(last.values()) > 0.05  # not all hits were removed
    assert found.cap == int(100 * (1 - max(first.values())) / 0.75)
    assert set(found.kept) | set(found.removed) == set(range(100))
    assert not set(found.kept) & set(found.removed)

    def planted(place: int) -> bool:
        question = leaky.questions[place]
        return "when seen as a whole" in question.options[question.answer]

    removed, kept = map(planted, found.removed), map(planted, found.kept)
    assert sum(removed) / len(found.removed) > 0.8
    assert sum(kept) / len(found.kept) < 0.6


def test_the_same_seed_prunes_the_same() -> None:
    leaky = plant("length", 40, strength=0.5, slides=5)
    first = prune(leaky.questions, clusters(leaky), seed=3)
    assert prune(leaky.questions, clusters(leaky), seed=3) == first


def test_pruning_is_no_repair_where_another_split_still_knows(tmp_path: Path) -> None:
    leaky = plant("medoid", 72, strength=0.5, slides=6)
    other = replace(plant("medoid", 60, strength=0.5, seed=1), split="train")
    section = repair("prune", leaky, tmp_path, external=other)
    names = {check["name"]: check for check in section["checks"]}
    assert {"stack", "trees", "characters", "external", "removed"} <= set(names)
    assert section["status"] != "repaired"
    assert section["kept"] < 72
    changes = json.loads((tmp_path / "changes.json").read_text())
    actions = Counter(entry["action"] for entry in changes["questions"])
    assert actions == {"kept": section["kept"], "removed": 72 - section["kept"]}
    assert all(entry["round"] >= 1 for entry in changes["questions"] if "round" in entry)


def test_without_an_external_split_pruning_never_claims_a_repair(tmp_path: Path) -> None:
    clean = plant("none", 30, slides=5)
    section = repair("prune", clean, tmp_path)
    assert section["status"] in ("not shown", "not repaired")


@settings(max_examples=10, deadline=None)
@given(
    st.integers(40, 100), st.sampled_from([(4,), (3,), (2, 4)]), st.integers(4, 20),
    st.integers(0, 5),
)  # fmt: skip
def test_blocks_are_latin(n: int, options: tuple[int, ...], slides: int, seed: int) -> None:
    benchmark = plant("medoid", n, options=options, slides=slides, seed=seed)
    blocks = build_blocks(benchmark.questions, clusters(benchmark), seed=seed)
    by_id = {q.id: q for q in benchmark.questions}
    used: set[str] = set()
    groups: dict[str, int] = {}
    for block in blocks:
        new = block.questions("What?")
        assert len(new) == len(new[0].options)
        assert len({q.slide for q in new}) == len(new)
        assert len({q.dimension for q in new}) == 1
        assert len({(q.text, tuple(q.options.items())) for q in new}) == 1
        assert sorted(q.answer for q in new) == list(new[0].options)
        for question in new:
            old = by_id[question.id]
            assert question.options[question.answer] == old.options[old.answer]
            assert groups.setdefault(str(question.slide), block.group) == block.group
            assert question.id not in used
            used.add(question.id)
    again = build_blocks(list(reversed(benchmark.questions)), clusters(benchmark)[::-1], seed=seed)
    assert again == blocks


def test_questions_with_the_same_answer_share_no_block() -> None:
    base = plant("none", 60, slides=10).questions
    same = [replace(q, options={**q.options, q.answer: "The very same finding"}) for q in base]
    assert build_blocks(same, [str(q.slide) for q in same], seed=0) == ()


def test_blocks_bring_every_text_probe_to_chance(tmp_path: Path) -> None:
    leaky = plant("phrase", 144, strength=0.5, slides=16)
    other = replace(plant("phrase", 40, strength=0.5, seed=1), split="train")
    section = repair("blocks", leaky, tmp_path, external=other)
    assert section["kept"] >= 0.8 * 144
    for check in section["checks"]:
        assert abs(check["accuracy"] - 0.25) < 0.02, check
    assert section["status"] in ("repaired", "not shown")  # so many are few
    assert "reviewer" in section["statement"]
    assert {check["name"] for check in section["checks"]} >= {
        "stack", "trees", "characters", "external", "stack-with-siblings",
    }  # fmt: skip


def test_worksheet_has_each_borrowed_option_and_no_formula(tmp_path: Path) -> None:
    hostile = tuple(
        replace(q, options={**q.options, q.answer: f'=HYPERLINK("x";"{q.options[q.answer]}")<b>'})
        for q in plant("none", 80, slides=12).questions
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
    assert "<b>" not in page
    assert page.count("☐ false") == len(rows)


@pytest.mark.parametrize("method", ["prune", "blocks"])
def test_files_keep_fields_and_ids(tmp_path: Path, method: str) -> None:
    rows = []
    for number, q in enumerate(plant("length", 48, strength=0.4, slides=8).questions, start=1):
        rows.append(
            {"No": number, "question": q.text, "options": dict(q.options), "answer": q.answer,
             "rationale": "because", "image_path": {"low_mag": q.image_set[0], "high_mag": None},
             "extra_info": {"wsi_name": q.slide, "question_type": "type_A", "mine": [number]},
             "difficulty": number % 3}
        )  # fmt: skip
    (tmp_path / "val.json").write_text(json.dumps(rows))
    loaded = read_benchmark(Location(tmp_path / "val.json"))
    repair(method, loaded.benchmark, tmp_path / "out", loaded=loaded)
    new = {q.id: q for q in load_benchmark(tmp_path / "out" / "val.json").questions}
    old = {q.id: q for q in loaded.benchmark.questions}
    assert 0 < len(new) <= len(old)
    for id_, question in new.items():
        assert question.options[question.answer] == old[id_].options[old[id_].answer]
        assert (question.views, question.slide) == (old[id_].views, old[id_].slide)
    written = json.loads((tmp_path / "out" / "val.json").read_text())
    for row in written:
        assert row["difficulty"] == row["No"] % 3
        assert row["extra_info"]["mine"] == [row["No"]]
        assert row["rationale"] == "because"
        assert ("block" in row["extra_info"]) == (method == "blocks")


def test_block_accuracy() -> None:
    blocks = {"a": "1", "b": "1", "c": "2", "d": "2"}
    found = block_accuracy({"a": 1, "b": 1, "c": 1, "d": 0}, blocks)
    assert (found.right, found.blocks) == (1, 2)
    with pytest.raises(ValueError, match="question d of 2"):
        block_accuracy({"a": 1, "b": 1, "c": 1}, blocks)


def test_unknown_method(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prune or blocks"):
        repair("magic", plant("none", 20), tmp_path)
