"""Runs entered into boards: what is refused, what is kept, and that it can be recomputed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_files import keys, write_run
from typer.testing import CliRunner

from scalevqa_eval.cli import app
from scalevqa_eval.conditions import permutation
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.leaderboard import Details, add_run, build, check, write
from scalevqa_eval.leaderboard.board import load_board
from scalevqa_eval.leaderboard.standing import work_out
from scalevqa_eval.run import open_run

GOOD: list[int | str] = [1, 1, 0, 1] * 15
BLIND: list[int | str] = [0, 1, 0, 0] * 15


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    directory = tmp_path / "boards"
    directory.mkdir()
    return directory


def test_a_run_makes_a_board_that_checks(tmp_path: Path, boards: Path) -> None:
    added = add_run(write_run(tmp_path / "run", GOOD), boards, Details(notes=("a note",)))
    assert (added.correct, added.n) == (45, 60)
    board = load_board(boards / "small.yaml")
    (entry,) = board.entries
    assert entry.total is not None
    assert (entry.total.correct, entry.total.n) == (45, 60)
    assert entry.harness == "scalevqa-eval 0.1.0"
    assert entry.source.manifest
    assert board.dimensions == {"Correspondence": 30, "Diagnosis": 30}
    assert board.chance == 0.25
    (line,) = work_out(board, boards).lines
    assert line.overall.interval is not None
    assert "8 clusters" in line.overall.interval.method
    write(build(boards), boards)
    assert check(boards) == (1, 1, [])


def test_answers_keep_no_text(tmp_path: Path, boards: Path) -> None:
    added = add_run(write_run(tmp_path / "run", GOOD), boards)
    rows = [json.loads(line) for line in added.answers.read_text().splitlines()]
    assert len(rows) == 60
    assert rows[0].keys() == {"id", "dimension", "slide", "answer", "letter", "outcome"}
    assert "seen" not in added.answers.read_text()


def test_comments_and_earlier_entries_stay(tmp_path: Path, boards: Path) -> None:
    add_run(write_run(tmp_path / "one", GOOD, model="test/one"), boards)
    path = boards / "small.yaml"
    path.write_text("# a comment\n" + path.read_text())
    add_run(write_run(tmp_path / "two", BLIND, model="test/two"), boards)
    text = path.read_text()
    assert text.startswith("# a comment\n")
    assert [entry.model for entry in load_board(path).entries] == ["test/one", "test/two"]


def test_visual_gain_and_ranks_come_from_answers(tmp_path: Path, boards: Path) -> None:
    add_run(write_run(tmp_path / "full", GOOD), boards)
    add_run(write_run(tmp_path / "blind", BLIND, condition="no-images"), boards)
    add_run(write_run(tmp_path / "bad", BLIND, model="test/bad"), boards)
    standing = work_out(load_board(boards / "small.yaml"), boards)
    best, worst = standing.lines
    assert best.gain is not None
    assert best.gain.value == pytest.approx(0.5)
    assert best.gain.interval is not None
    assert best.gain.interval.low > 0
    assert worst.gain is None
    assert best.rank_interval is not None
    assert (best.rank_interval.rank, best.rank_interval.high) == (1, 1)
    assert best.rank_interval.method == "bootstrap over slides"
    assert [line.entry.condition for line in standing.others] == ["no-images"]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1, 0, "error", 1] * 15, "15 of 60 questions have no answer"),
        ([1, 0, "", 1] * 15, "15 of 60 questions have no answer"),
        ([1, 0, "unparsed", 1] * 15, "15/60 replies are unparsed, more than 2 %"),
        ([1, 0, "truncated", 1] * 15, "15/60 replies are truncated"),
        ([1, 0] * 29, "29 questions in Correspondence, the card and the board have 30"),
        ([1, 0] * 31, "31 questions in Correspondence"),
    ],
)
def test_results_that_are_none_are_refused(
    tmp_path: Path, boards: Path, scores: list[int | str], words: str
) -> None:
    add_run(write_run(tmp_path / "first", GOOD, model="test/first"), boards)
    before = {path: path.read_bytes() for path in boards.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=words):
        add_run(write_run(tmp_path / "run", scores), boards)
    assert {path: path.read_bytes() for path in boards.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"benchmark": {"revision": "r2"}}, "not the same questions"),
        ({"benchmark": {"split": "val"}}, "on split 'val'"),
        ({"prompt": {"style": "mine", "sha256": "7" * 64}}, "--note"),
        ({"condition": "without-high", "not_applicable": 4}, "0 questions are missing, 4 did"),
    ],
)
def test_other_questions_and_prompts_are_refused(
    tmp_path: Path, boards: Path, manifest: dict[str, Any], words: str
) -> None:
    add_run(write_run(tmp_path / "first", GOOD, model="test/first"), boards)
    with pytest.raises(UsageError, match=words):
        add_run(write_run(tmp_path / "run", GOOD, **manifest), boards)


def test_a_changed_prompt_needs_a_note(tmp_path: Path, boards: Path) -> None:
    add_run(write_run(tmp_path / "first", GOOD), boards)
    other = write_run(tmp_path / "run", GOOD, prompt={"style": "mine", "sha256": "7" * 64})
    add_run(other, boards, Details(notes=("letters only, for speed",)))
    assert load_board(boards / "small.yaml").entries[1].notes == ("letters only, for speed",)


def test_a_condition_without_some_questions_is_taken(tmp_path: Path, boards: Path) -> None:
    asked = keys(60)
    add_run(write_run(tmp_path / "full", GOOD, questions=asked), boards)
    part = write_run(
        tmp_path / "part", GOOD[:56], questions=asked[:56], condition="without-high",
        not_applicable=4,
    )  # fmt: skip
    assert add_run(part, boards).n == 56


def test_what_was_tampered_with_is_refused(tmp_path: Path, boards: Path) -> None:
    run = write_run(tmp_path / "run", GOOD)
    records = run.path / "records.jsonl"
    text = re.sub(r',"crc32":[0-9]+', "", records.read_text())
    records.write_text(text.replace('"outcome":"wrong"', '"outcome":"correct"', 1))
    with pytest.raises(DataError, match=r"summary\.json says 45 correct, the records give 46"):
        add_run(open_run(run.path), boards)
    (run.path / "summary.json").unlink()
    with pytest.raises(DataError, match="is correct, but"):
        add_run(open_run(run.path), boards)
    manifest = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps({**manifest, "prompt": "mine"}))
    with pytest.raises(DataError, match="no manifest of a run"):
        add_run(open_run(run.path), boards)
    (run.path / "manifest.json").unlink()
    with pytest.raises(DataError, match="no run directory"):
        add_run(open_run(run.path), boards)


def test_twice_is_refused(tmp_path: Path, boards: Path) -> None:
    run = write_run(tmp_path / "run", GOOD)
    add_run(run, boards)
    with pytest.raises(UsageError, match="entered already"):
        add_run(run, boards)
    again = write_run(tmp_path / "again", GOOD, seed=1)
    with pytest.raises(DataError, match=r"small\.yaml: .*duplicate"):
        add_run(again, boards)
    assert len(list((boards / "answers").rglob("*.jsonl"))) == 1
    assert len(load_board(boards / "small.yaml").entries) == 1


@pytest.mark.parametrize("what", ["count", "answer", "line", "gone", "page"])
def test_check_sees_a_difference_of_one_question(tmp_path: Path, boards: Path, what: str) -> None:
    added = add_run(write_run(tmp_path / "run", GOOD), boards)
    write(build(boards), boards)
    if what == "count":
        text = added.board.read_text()
        assert text.count("correct: 30") == 1
        added.board.write_text(text.replace("correct: 30", "correct: 29"))
    elif what == "page":
        (boards / "small.md").write_text("other")
    elif what == "gone":
        added.answers.unlink()
    else:
        lines = added.answers.read_text().splitlines(keepends=True)
        lines = lines[1:] if what == "line" else [lines[0].replace("correct", "wrong"), *lines[1:]]
        added.answers.write_text("".join(lines))
    problems = check(boards)[2]
    assert len(problems) == 1
    done = CliRunner().invoke(app, ["leaderboard", "check", "--directory", str(boards)])
    assert done.exit_code == 1
    assert "FAILED" in done.output


def test_command_line(tmp_path: Path, boards: Path) -> None:
    run = write_run(tmp_path / "run", GOOD, model="test/m")
    place = ["--directory", str(boards)]
    done = CliRunner().invoke(app, ["leaderboard", "add", str(run.path), *place, "--name", "=M"])
    assert done.exit_code == 0, done.output
    assert "45/60" in done.output
    assert CliRunner().invoke(app, ["leaderboard", "build", *place]).exit_code == 0
    done = CliRunner().invoke(app, ["leaderboard", "check", *place])
    assert done.exit_code == 0, done.output
    assert "1 entries, 1 recomputed" in done.output
    assert "'=M" in (boards / "small.csv").read_text()
    done = CliRunner().invoke(app, ["leaderboard", "add", str(run.path), "--state", "best"])
    assert done.exit_code != 0


def test_other_right_answers_and_texts_are_refused(tmp_path: Path, boards: Path) -> None:
    asked = keys(60)
    add_run(write_run(tmp_path / "first", GOOD, model="test/first", questions=asked), boards)
    before = {path: path.read_bytes() for path in boards.rglob("*") if path.is_file()}
    moved = [replace(key, answer="BCDA"["ABCD".index(key.answer)]) for key in asked]
    with pytest.raises(DataError, match=r"question 'q0' is .* not the same questions"):
        add_run(write_run(tmp_path / "moved", GOOD, questions=moved), boards)
    blind = write_run(tmp_path / "blind", GOOD, questions=moved, condition="no-images")
    with pytest.raises(DataError, match="not the same questions"):
        add_run(blind, boards)
    with pytest.raises(DataError, match="questions or right answers differ"):
        add_run(write_run(tmp_path / "texts", GOOD, questions_digest="9" * 64), boards)
    assert {path: path.read_bytes() for path in boards.rglob("*") if path.is_file()} == before


def test_letters_of_permuted_options_are_kept_as_they_were(tmp_path: Path, boards: Path) -> None:
    asked = keys(60)
    name = "permuted-options-1"
    orders = [permutation(4, 1, 0, key.id) for key in asked]
    moved = [
        replace(key, answer="ABCD"[order.index("ABCD".index(key.answer))])
        for key, order in zip(asked, orders, strict=True)
    ]
    add_run(write_run(tmp_path / "full", GOOD, questions=asked), boards)
    added = add_run(write_run(tmp_path / "moved", GOOD, questions=moved, condition=name), boards)
    rows = [json.loads(line) for line in added.answers.read_text().splitlines()]
    assert [row["answer"] for row in rows] == [key.answer for key in asked]


def test_what_no_page_can_be_built_of_is_not_entered(tmp_path: Path, boards: Path) -> None:
    """`add` entered such runs, and `build` refused the board ever after."""
    nameless = write_run(tmp_path / "nameless", GOOD, started="some day")
    with pytest.raises(DataError, match="date"):
        add_run(nameless, boards)
    cyrillic = write_run(
        tmp_path / "cyrillic", GOOD, model="hf/\u043c\u043e\u0434\u0435\u043b\u044c"
    )
    with pytest.raises(DataError, match="another character"):
        add_run(cyrillic, boards)
    ours = write_run(tmp_path / "ours", GOOD, questions=keys(60, dimensions=("overall", "b")))
    with pytest.raises(DataError, match="cannot be a dimension's name"):
        add_run(ours, boards)
    assert list(boards.rglob("*.*")) == []


def test_refusals_are_one_line_and_name_both_prompts(tmp_path: Path, boards: Path) -> None:
    evil = write_run(tmp_path / "evil", GOOD, benchmark={"name": "../../evil"})
    with pytest.raises(DataError, match="no board can be made") as caught:
        add_run(evil, boards)
    assert "\n" not in str(caught.value)
    hidden = write_run(tmp_path / "hidden", GOOD, model="test/\u202eledom")
    with pytest.raises(DataError, match="cannot be seen"):
        add_run(hidden, boards)
    assert list(boards.rglob("*")) == []
    add_run(write_run(tmp_path / "first", GOOD), boards)
    edited = {"style": "scalereasoner-v1", "sha256": "7" * 64}  # same name, other words
    with pytest.raises(UsageError, match=r"v1 777777777777', this board's is '.*v1 555555555555'"):
        add_run(write_run(tmp_path / "other", GOOD, prompt=edited), boards)


def test_check_sees_what_a_removed_entry_left_behind(tmp_path: Path, boards: Path) -> None:
    kept = add_run(write_run(tmp_path / "one", GOOD, model="test/one"), boards)
    path = boards / "small.yaml"
    before = path.read_bytes()
    gone = add_run(write_run(tmp_path / "two", BLIND, model="test/two"), boards)
    path.write_bytes(before)
    write(build(boards), boards)
    assert kept.answers.is_file()
    (problem,) = check(boards)[2]
    assert problem == f"{gone.answers.relative_to(boards)} belongs to no entry: remove it"
