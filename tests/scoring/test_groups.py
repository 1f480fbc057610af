"""Counterfactual groups of a run: all mates right."""

from __future__ import annotations

from collections.abc import Sequence

from scalevqa_eval.scoring.groups import counterfactual_groups, group_accuracy, groups_of
from scalevqa_eval.types import LETTERS, Question, View

SHOWN = ("yes", "no")


def asked(
    number: int, text: str, right: int, slide: str, options: Sequence[str] = SHOWN
) -> Question:
    return Question(
        id=f"q{number}", text=text, options=dict(zip(LETTERS, options, strict=False)),
        answer=LETTERS[right], views=(View("single", f"{number}.png"),), dimension="Any",
        slide=slide, split="test",
    )  # fmt: skip


def groups(questions: Sequence[Question]) -> list[list[int]]:
    return counterfactual_groups(questions, [q.slide for q in questions])


def test_a_group_counts_if_all_its_mates_are_right() -> None:
    made = [asked(i, f"Is it {i // 2}?", i % 2, f"s{i}") for i in range(8)]
    slides = [q.slide for q in made]
    found = groups_of(made, [1, 1, 1, 0, 0, 0, 1, 1], slides)
    assert found is not None
    assert (found["n"], found["questions"], found["correct"]) == (4, 8, 2)
    assert found["ci"][0] < 0.5 < found["ci"][1]
    # The design is the file's: a question that got no answer leaves out its group alone.
    found = groups_of(made, [1, 1, 1, None, 0, 0, 1, 1], slides)
    assert found is not None
    assert (found["n"], found["questions"], found["correct"]) == (3, 6, 2)


def test_what_is_no_group() -> None:
    assert not groups([asked(i, f"Is it {i}?", i % 2, "s") for i in range(4)])  # other texts
    assert not groups([asked(i, "Is it?", 0, "s") for i in range(2)])  # the same answer
    assert not groups([])
    assert groups_of([], [], []) is None
    half = [asked(i, f"Is it {i // 2}?", i % 2, f"s{i}", "abcd") for i in range(8)]
    assert not groups(half)  # two options of four are right


def test_texts_that_recur_by_accident_are_no_groups() -> None:
    """Some of them happen to have each option right once; that is no design of the file."""
    grade = [asked(i, "Which grade is this?", i % 3, f"s{min(i, 20)}", "abc") for i in range(23)]
    assert not groups(grade)  # twenty slides, and one that has three fields of three grades
    pairs = [asked(i, f"Is it {i // 2}?", int(i % 4 == 0), f"s{i}") for i in range(40)]
    assert not groups(pairs)  # half of the pairs say yes and no
    few = [asked(i, f"Is it {max(i, 1)}?", i % 2, f"s{i}") for i in range(40)]
    assert not groups(few)  # one pair in forty


def test_a_text_that_is_asked_again_and_again_is_grouped_by_slide() -> None:
    made = [asked(i, "Is it?", int(i in (1, 3, 5)), f"s{i // 2}") for i in range(8)]
    assert groups(made) == [[0, 1], [2, 3], [4, 5]]


def test_other_answers_on_the_same_images_are_a_contradiction() -> None:
    made = [asked(0, "Is it?", right, slide) for right, slide in ((0, "a"), (1, "b"))]
    assert not groups(made)


def test_an_interval_for_groups_of_one_slide_knows_it() -> None:
    correct, interval = group_accuracy([1, 1, 1, 0, 0.5, 1], [[0, 1], [2, 3], [4, 5]], "xxxxyy")
    assert correct == 1.5
    assert 0 <= interval.low < 0.5 < interval.high <= 1
    assert "2 clusters" in interval.method
