"""Counterfactual groups of a run: all mates right."""

from __future__ import annotations

from collections.abc import Sequence

from scalevqa_eval.scoring.groups import counterfactual_groups, groups_of
from scalevqa_eval.types import LETTERS, Question, View


def asked(number: int, text: str, right: int, slide: str, options: Sequence[str]) -> Question:
    return Question(
        id=f"q{number}", text=text, options=dict(zip(LETTERS, options, strict=False)),
        answer=LETTERS[right], views=(View("single", f"{number}.png"),), dimension="Any",
        slide=slide, split="test",
    )  # fmt: skip


def test_a_group_counts_if_all_its_mates_are_right() -> None:
    shown = ("yes", "no")
    made = [asked(i, f"Is it {i // 2}?", i % 2, f"s{i}", shown) for i in range(8)]
    found = groups_of(made, [1, 1, 1, 0, 0, 0, 1, 1])
    assert found is not None
    assert (found["n"], found["questions"], found["correct"]) == (4, 8, 2)
    assert found["ci"][0] < 0.5 < found["ci"][1]


def test_what_is_no_group() -> None:
    made = [asked(i, f"Is it {i}?", i % 2, "s", ("yes", "no")) for i in range(4)]
    assert groups_of(made, [1, 1, 1, 1]) is None  # other texts
    same = [asked(i, "Is it?", 0, "s", ("yes", "no")) for i in range(2)]
    assert groups_of(same, [1, 1]) is None  # the same answer
    assert groups_of([], []) is None


def test_a_text_that_is_asked_again_and_again_is_grouped_by_slide() -> None:
    texts, sizes = ["t"] * 6, [2] * 6
    found = counterfactual_groups(texts, [0, 1, 0, 1, 0, 0], sizes, "aabbcc", [None] * 6)
    assert found == [0, 0, 1, 1, -1, -1]


def test_other_answers_on_the_same_images_are_a_contradiction() -> None:
    assert counterfactual_groups("tt", [0, 1], [2, 2], "ab", ["x", "x"]) == [-1, -1]
