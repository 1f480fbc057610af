"""Extraction: one table of cases, and what must hold for every reply.

A line of the table is [kind, reply, letter or null] and, where they are not `T`, the options.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.scoring.extract import Extraction, extract_answer
from scalevqa_eval.scoring.rows import format_followed
from scalevqa_eval.types import LETTERS

T = ("Fibrosis", "Necrosis", "Mitotic activity", "Gland formation")
OPTIONS = dict(zip("ABCD", T, strict=True))
ROWS = [
    (kind, reply, letter, tuple(options[0]) if options else T)
    for line in (Path(__file__).parent / "extraction_cases.jsonl").read_text("utf-8").splitlines()
    for kind, reply, letter, *options in [json.loads(line)]
]

option_texts = st.lists(st.text(max_size=30), min_size=2, max_size=26)
_PIECES = (
    *"ABCDEIXabc", "the answer is", "Answer:", "not", "or", "and", "option", "(B)", "**C**",
    "<answer>", "</answer>", "<think>", "</think>", "\\boxed{", "}", '{"answer": "', '"}', "答案是",
    "wait", "Necrosis", "is correct", "\n", ".", ",", "Error:", "Question 2:",
)  # fmt: skip
wordy = st.lists(st.sampled_from(_PIECES), max_size=25).map(" ".join)
replies = st.one_of(st.text(max_size=200), wordy)


@pytest.mark.parametrize(
    ("kind", "reply", "letter", "options"), ROWS, ids=[f"{n}-{r[0]}" for n, r in enumerate(ROWS)]
)
def test_table(kind: str, reply: str, letter: str | None, options: tuple[str, ...]) -> None:
    result = extract_answer(reply, options)
    assert result.letter == letter, f"{kind}: {result.method}"
    assert result.method


@given(replies, option_texts)
def test_letter_is_an_option_and_nothing_raises(reply: str, texts: list[str]) -> None:
    result = extract_answer(reply, texts)
    assert result.letter is None or result.letter in LETTERS[: len(texts)]


@given(st.binary(max_size=300))
def test_any_unicode(data: bytes) -> None:
    extract_answer(data.decode("utf-16-le", "replace"), OPTIONS)
    extract_answer(data.decode("latin-1"), OPTIONS)


@given(replies, st.text(" \n\t\r\u200b", max_size=5), st.text(" \n\t\r\u200b", max_size=5))
def test_surrounding_space_is_nothing(reply: str, before: str, after: str) -> None:
    assert extract_answer(before + reply + after, OPTIONS) == extract_answer(reply, OPTIONS)


@given(wordy, st.sampled_from("ABCD"))
def test_a_tag_beats_everything_before_it(text: str, letter: str) -> None:
    if any(mark in text for mark in ("<", "Question 2")):
        return
    result = extract_answer(f"{text}\n<answer>{letter}</answer>", OPTIONS)
    assert result == Extraction(letter, "answer-tag")


@given(wordy, wordy)
def test_closed_thought_changes_nothing(thought: str, reply: str) -> None:
    if any("think" in text for text in (thought, reply)):
        return
    expected = extract_answer(reply, OPTIONS)
    assert extract_answer(f"<think>{thought}</think>{reply}", OPTIONS) == expected


@given(replies)
def test_open_thought_says_nothing(thought: str) -> None:
    if "think" not in thought:
        result = extract_answer(f"<think>{thought}", OPTIONS)
        assert result == Extraction(None, "truncated-think")


@given(replies, st.permutations("ABCD"))
def test_order_of_the_mapping_is_nothing(reply: str, order: list[str]) -> None:
    shuffled = {letter: OPTIONS[letter] for letter in order}
    assert extract_answer(reply, shuffled) == extract_answer(reply, OPTIONS)


@given(st.sampled_from(ROWS))
def test_fewer_options_never_make_another_letter_appear(
    row: tuple[str, str, str | None, tuple[str, ...]],
) -> None:
    assert extract_answer(row[1], row[3][:2]).letter in (None, "A", "B")


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize(
    "verb", ["eliminate", "reject", "rule out", "exclude", "discard", "dismiss", "drop", "avoid"]
)
def test_what_is_rejected_is_not_chosen(letter: str, verb: str) -> None:
    text = OPTIONS[letter]
    for reply in (
        f"I would {verb} {letter}.",
        f"So I {verb} option {letter} ({text}).",
        f"Therefore we can {verb} ({letter}).",
        f"I choose to {verb} {letter}.",
        f"The option to {verb} is {letter}.",
        f"I {verb} {text.lower()}.",
    ):
        assert extract_answer(reply, OPTIONS).letter is None, reply


def test_open_question_has_no_letter() -> None:
    assert extract_answer("B", {}) == Extraction(None, "open-question")


@pytest.mark.parametrize(
    ("reply", "method"),
    [
        ("<think>x", "truncated-think"),
        ("[REQUEST_FAILED]", "error-text"),
        ("I'm sorry, I can't help with that.", "refusal"),
        ("I apologize for the confusion. Cells.", "nothing-found"),
        ("", "empty"),
        ("<answer>A, B</answer>", "answer-tag-unreadable"),
        ("The answer is A or B.", "ambiguous"),
        ("The answer is not A.", "no-answer"),
        ("Answer: Z", "no-such-option"),
        ("Cells.", "nothing-found"),
    ],
)
def test_why_there_is_no_letter(reply: str, method: str) -> None:
    assert extract_answer(reply, OPTIONS) == Extraction(None, method)


HOSTILE = (
    "<answer>", "<answer>A</answer>", "<think>", "< ", "A ", "the answer is ", "answer answer is ",
    "not A but ", "((((", "A, ", "(A) ", "\n", " ", "**", '{"answer": "', "[", "\\boxed{",
    "\\boxed{{}", "\\text{", "答案", "选", "option A. x ", "I would ", "so ", "\nQuestion:\n",
    "e\u0301\u0323", "if ", "Error ", "Necrosis fits ", "not A, so B ", "\ufdfa", "Wait, ",
    "given a, ", "If I had to choose, ", "The answer is B. This is ", "with a, the answer is B. ",
)  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_megabyte_of_anything_is_read(unit: str) -> None:
    """Would not end in reasonable time if any pattern took more than linear time.

    `tests/performance/extraction_time.py` prints the ratio of two sizes.
    """
    reply = unit * (1_000_000 // len(unit))
    assert extract_answer(reply, OPTIONS).letter in (None, *"ABCD")
    assert extract_answer(f"{reply}<answer>B</answer>", OPTIONS).letter in (None, "A", "B")


@pytest.mark.parametrize(
    ("reply", "followed"),
    [
        ("<think>pale</think> <answer>B</answer>", True),
        ("<think>pale\nzone</think>\n<answer>B</answer>\n", True),
        ("<think>pale</think> <answer>E</answer>", False),
        ("<think>pale</think> <answer>B. Necrosis</answer>", False),
        ("<think>pale</think> <answer>(B)</answer>", False),
        ("<think>pale</think> so <answer>B</answer>", False),
        ("<think>pale</think> <answer>B</answer> done", False),
        ("<think>pale</think> <answer>A</answer> <answer>B</answer>", False),
        ("<think> </think> <answer>B</answer>", False),
        ("<answer>B</answer>", False),
        ("<think>pale", False),
        ("", False),
    ],
)
def test_format_followed(reply: str, followed: bool) -> None:
    assert format_followed(reply, "ABCD") is followed


@given(replies)
def test_a_followed_format_has_an_answer(reply: str) -> None:
    for text in (reply, f"<think>{reply}</think> <answer>B</answer>"):
        if format_followed(text, "ABCD"):
            assert extract_answer(text, OPTIONS).method == "answer-tag"
