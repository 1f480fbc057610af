"""Paired comparisons of runs, condition gaps, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from run_files import keys, write_run
from typer.testing import CliRunner

from scalevqa_eval.cli import app
from scalevqa_eval.compare import (
    compare_runs,
    condition_gap,
    condition_gaps,
    gap_meaning,
    rank_runs,
)
from scalevqa_eval.conditions import permutation
from scalevqa_eval.errors import UsageError
from scalevqa_eval.run import QuestionKey


def scores(n: int, share: float, seed: int) -> list[int | str]:
    draw = random.Random(seed)
    return [int(draw.random() < share) for _ in range(n)]


def test_rows_changes_and_direction(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1, 1, 1, 1, 0, 0, 1, 1], model="test/a")
    second = write_run(tmp_path / "b", [1, 0, 1, 0, 1, 0, 1, 1], model="test/b")
    result = compare_runs(first, second)
    overall = result.overall
    assert (overall.n, overall.first, overall.second) == (8, 6, 5)
    assert overall.difference == pytest.approx(1 / 8)
    assert (overall.only_first, overall.only_second) == (2, 1)
    assert overall.mcnemar == 1.0
    assert [row.name for row in result.rows] == ["Correspondence", "Diagnosis"]
    assert sum(row.first for row in result.rows) == 6
    assert all(row.adjusted is not None and row.adjusted >= row.permutation for row in result.rows)
    assert [(c.question_id, c.right_in) for c in result.changes] == [
        ("q1", "first"), ("q3", "first"), ("q4", "second"),
    ]  # fmt: skip
    back = compare_runs(second, first).overall
    assert back.difference == -overall.difference
    assert (back.low, back.high) == pytest.approx((-overall.high, -overall.low))


def test_a_clear_difference_is_found_and_none_is_not(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", scores(400, 0.9, 1))
    bad = write_run(tmp_path / "bad", scores(400, 0.5, 2))
    clear = compare_runs(good, bad).overall
    assert clear.low > 0.2
    assert clear.permutation < 0.01
    assert clear.mcnemar < 0.001
    assert 0 < clear.detectable < clear.difference
    same = compare_runs(good, good).overall
    assert same.low < 0 < same.high
    assert (same.mcnemar, same.permutation) == (1.0, 1.0)


@pytest.mark.parametrize("change", [{"name": "other"}, {"revision": "r2"}, {"split": "val"}])
def test_other_benchmarks_are_refused(tmp_path: Path, change: dict[str, str]) -> None:
    first = write_run(tmp_path / "a", [1, 0])
    second = write_run(tmp_path / "b", [1, 0], benchmark=change)
    with pytest.raises(UsageError, match=f"different questions: benchmark {next(iter(change))}"):
        compare_runs(first, second)


def test_other_questions_conditions_and_holes_are_refused(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1, 0, 1])
    with pytest.raises(UsageError, match="1 only in"):
        compare_runs(first, write_run(tmp_path / "b", [1, 0]))
    with pytest.raises(UsageError, match="--condition-gap"):
        compare_runs(first, write_run(tmp_path / "c", [1, 0, 1], condition="no-images"))
    with pytest.raises(UsageError, match="1 of 3 questions have no answer"):
        compare_runs(first, write_run(tmp_path / "d", [1, 0, "error"]))
    with pytest.raises(UsageError, match="2 of 3 questions have no answer"):
        compare_runs(write_run(tmp_path / "e", [1, "", ""]), first)


def corrected(asked: Sequence[QuestionKey]) -> list[QuestionKey]:
    """The same questions after a card was corrected: another letter is right."""
    return [replace(key, answer="BCDA"["ABCD".index(key.answer)]) for key in asked]


def permuted(asked: Sequence[QuestionKey], index: int = 1, seed: int = 0) -> list[QuestionKey]:
    """What `permuted-options-<index>` makes of them."""
    orders = [permutation(4, index, seed, key.id) for key in asked]
    return [
        replace(key, answer="ABCD"[order.index("ABCD".index(key.answer))])
        for key, order in zip(asked, orders, strict=True)
    ]


def test_a_corrected_answer_key_is_not_compared(tmp_path: Path) -> None:
    asked = keys(12)
    first = write_run(tmp_path / "a", [1] * 12, questions=asked)
    other = write_run(tmp_path / "b", [1] * 12, questions=corrected(asked))
    with pytest.raises(UsageError, match=r"12 have another right answer.*corrected"):
        compare_runs(first, other)
    with pytest.raises(UsageError, match="another right answer"):
        rank_runs([first, other])
    for name, shown in (("no-images", asked), ("permuted-options-1", permuted(asked))):
        same = write_run(tmp_path / name, [1] * 12, questions=shown, condition=name)
        assert condition_gap(first, same).overall.difference == 0
        moved = permuted(corrected(asked)) if "permuted" in name else corrected(asked)
        wrong = write_run(tmp_path / f"x{name}", [1] * 12, questions=moved, condition=name)
        with pytest.raises(UsageError, match="another right answer"):
            condition_gap(first, wrong)
    moved_slide = [replace(asked[0], slide="other"), *asked[1:]]
    with pytest.raises(UsageError, match="1 have another right answer, dimension or slide"):
        compare_runs(first, write_run(tmp_path / "c", [1] * 12, questions=moved_slide))


def test_other_texts_under_equal_ids_are_not_compared(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1, 0], questions_digest="1" * 64)
    with pytest.raises(UsageError, match="other texts, options or images"):
        compare_runs(first, write_run(tmp_path / "b", [1, 0], questions_digest="2" * 64))
    seeded = write_run(tmp_path / "c", [1, 0], questions_digest="2" * 64, seed=1)
    assert compare_runs(first, seeded).notes == ("The runs differ in seed.",)


def test_conditions_of_others_need_equal_cards(tmp_path: Path) -> None:
    """They may move options about, which nobody but they can undo."""
    asked = keys(8)
    full = write_run(tmp_path / "a", [1] * 8, questions=asked)
    moved = write_run(tmp_path / "b", [1] * 8, questions=corrected(asked), condition="upside-down")
    assert condition_gap(full, moved).overall.n == 8
    card = {"card": "1" * 64}
    other = write_run(
        tmp_path / "c", [1] * 8, questions=asked, condition="upside-down", benchmark=card
    )
    with pytest.raises(UsageError, match="different cards"):
        condition_gap(full, other)


def test_other_prompts_are_noted(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", [1, 0])
    second = write_run(tmp_path / "b", [1, 0], prompt={"style": "direct-v1", "sha256": "6"})
    assert compare_runs(first, second).notes == ("The runs differ in prompt.",)
    with pytest.raises(UsageError, match="prompts differ"):
        condition_gap(first, second)


def test_condition_gaps(tmp_path: Path) -> None:
    asked = keys(60)
    full = write_run(tmp_path / "full", [1] * 45 + [0] * 15, questions=asked)
    blind = write_run(
        tmp_path / "blind", [1] * 20 + [0] * 40, questions=asked, condition="no-images"
    )
    without = write_run(
        tmp_path / "without", [1] * 40 + [0] * 10, questions=asked[:50], condition="without-high"
    )
    gain, scale = condition_gaps([blind, full, without])
    assert gain.meaning == "visual gain"
    assert gain.overall.difference == pytest.approx(25 / 60)
    assert gain.overall.low > 0
    assert scale.meaning == "dependence on the high scale"
    assert (scale.overall.n, scale.left_out) == (50, 10)
    with pytest.raises(UsageError, match="needs one run under the condition full"):
        condition_gaps([blind, without])
    other = write_run(tmp_path / "o", [1] * 60, questions=asked, condition="no-images", model="t/x")
    with pytest.raises(UsageError, match="the models differ"):
        condition_gaps([full, other])


def test_ranks_of_runs(tmp_path: Path) -> None:
    made = [
        write_run(tmp_path / str(i), scores(200, share, i)) for i, share in enumerate((0.3, 0.9))
    ]
    low, high = rank_runs(made)
    assert (high.rank, high.low, high.high) == (1, 1, 1)
    assert (low.rank, low.low, low.high) == (2, 2, 2)


def test_command_line(tmp_path: Path) -> None:
    for i, share in enumerate((0.4, 0.7, 0.75)):
        write_run(tmp_path / str(i), scores(200, share, i), model=f"test/[b]model\x1b{i}")
    arguments = ["compare", *(str(tmp_path / str(i)) for i in range(3)), "--json"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out.json"), "--changed", "2"])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "all questions" in done.output
    assert "Rank intervals" in done.output
    assert "\x1b" not in done.output
    data = json.loads((tmp_path / "out.json").read_text())
    assert len(data["comparisons"]) == 2
    assert len(data["ranks"]) == 3
    full, blind = [1, 0, 1, 1] * 5, [0, 0, 1, 0] * 5
    write_run(tmp_path / "gap" / "full", full)
    write_run(tmp_path / "gap" / "blind", blind, condition="no-images")
    done = CliRunner().invoke(app, ["compare", "--condition-gap", str(tmp_path / "gap")])
    assert done.exit_code == 0, done.output
    assert "visual gain" in done.output


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    names = ("all questions", "[/]\x1b]52;c;aGk=\x07\u202e[bold]")
    asked = keys(40, dimensions=names)
    paths = [
        str(write_run(tmp_path / str(i), scores(40, 0.5, i), questions=asked).path) for i in (1, 2)
    ]
    done = CliRunner().invoke(app, ["compare", *paths])
    assert done.exit_code == 0, done.output
    assert not set("\x1b\x07\u202e") & set(done.output)
    assert "[/]" in done.output
    assert done.output.count('"all questions"') == 1


def test_too_few_slides_see_no_difference(tmp_path: Path) -> None:
    for slides, seen in ((5, False), (6, True)):
        asked = keys(60, slides=slides, dimensions=("Diagnosis",))
        good = write_run(tmp_path / f"good{slides}", [1] * 60, questions=asked)
        bad = write_run(tmp_path / f"bad{slides}", scores(60, 0.3, 1), questions=asked)
        overall = compare_runs(good, bad).overall
        assert (overall.permutation <= 0.05) is seen
        assert (overall.detectable is not None) is seen
    paths = [str(tmp_path / "good5"), str(tmp_path / "bad5")]
    told = CliRunner().invoke(app, ["compare", *paths])
    assert "fewer than six slides" in told.output


def test_two_things_taken_away_at_once_have_no_single_meaning() -> None:
    assert gap_meaning("without-high") == "dependence on the high scale"
    assert gap_meaning("without-high+no-images") == "full minus without-high+no-images"
