"""Extraction: the public tables, and what must hold for every reply."""

from __future__ import annotations

import extraction_cases
import extraction_kinds_one
import extraction_kinds_two
import extraction_replies
import extraction_replies_mixed
import extraction_replies_terse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.scoring.extraction import Extraction, extract_answer, format_followed
from scalevqa_eval.types import LETTERS

ROWS = [
    *extraction_cases.CASES,
    *extraction_replies.CASES,
    *extraction_replies_terse.CASES,
    *extraction_replies_mixed.CASES,
    *extraction_kinds_one.CASES,
    *extraction_kinds_two.CASES,
]
OPTIONS = dict(zip("ABCD", extraction_cases.T, strict=True))

option_texts = st.lists(st.text(max_size=30), min_size=2, max_size=26)
wordy = st.lists(
    st.sampled_from(
        [
            *"ABCDEIXabc",
            "the answer is",
            "Answer:",
            "not",
            "or",
            "and",
            "option",
            "(B)",
            "**C**",
            "<answer>",
            "</answer>",
            "<think>",
            "</think>",
            "\\boxed{",
            "}",
            '{"answer": "',
            '"}',
            "答案是",
            "wait",
            "Necrosis",
            "is correct",
            "\n",
            ".",
            ",",
            "Error:",
            "Question 2:",
        ]
    ),
    max_size=25,
).map(" ".join)
replies = st.one_of(st.text(max_size=200), wordy)
no_tags = wordy.filter(lambda text: "<" not in text)


@pytest.mark.parametrize(
    ("kind", "reply", "letter", "options"),
    ROWS,
    ids=[f"{n}-{row[0]}" for n, row in enumerate(ROWS)],
)
def test_table(kind: str, reply: str, letter: str | None, options: tuple[str, ...]) -> None:
    result = extract_answer(reply, options)
    assert result.letter == letter, f"{kind}: {result.method}"
    assert result.method


def test_table_is_large_and_has_both_sorts() -> None:
    none = sum(row[2] is None for row in ROWS)
    assert len(ROWS) >= 250
    assert min(none, len(ROWS) - none) >= 100
    assert len({(row[1], row[3]) for row in ROWS}) > 0.95 * len(ROWS)


@given(replies, option_texts)
def test_letter_is_an_option_and_nothing_raises(reply: str, texts: list[str]) -> None:
    result = extract_answer(reply, texts)
    assert result.letter is None or result.letter in LETTERS[: len(texts)]


@given(st.binary(max_size=300))
def test_any_unicode(data: bytes) -> None:
    extract_answer(data.decode("utf-16-le", "surrogatepass" if len(data) % 2 == 0 else "ignore")
                   if len(data) % 2 == 0 else data.decode("latin-1"), OPTIONS)  # fmt: skip


@given(replies, st.text(" \n\t\r", max_size=5), st.text(" \n\t\r", max_size=5))
def test_surrounding_space_is_nothing(reply: str, before: str, after: str) -> None:
    assert extract_answer(before + reply + after, OPTIONS) == extract_answer(reply, OPTIONS)


@given(no_tags, st.sampled_from("ABCD"))
def test_a_tag_beats_everything_before_it(text: str, letter: str) -> None:
    if "Question 2" in text or "Error" in text:
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
    if "think" in thought:
        return
    result = extract_answer(f"<think>{thought}", OPTIONS)
    assert result == Extraction(None, "truncated-think")


@given(replies, st.permutations("ABCD"))
def test_order_of_the_mapping_is_nothing(reply: str, order: list[str]) -> None:
    shuffled = {letter: OPTIONS[letter] for letter in order}
    assert extract_answer(reply, shuffled) == extract_answer(reply, OPTIONS)


@given(st.sampled_from(ROWS))
def test_fewer_options_never_make_another_letter_appear(row: extraction_cases.Row) -> None:
    """A letter past the options is not chosen, whatever is said."""
    result = extract_answer(row[1], row[3][:2])
    assert result.letter in (None, "A", "B")


def test_texts_and_mapping_agree() -> None:
    for _, reply, _, texts in ROWS:
        mapping = dict(zip(LETTERS, texts, strict=False))
        assert extract_answer(reply, texts) == extract_answer(reply, mapping)


def test_open_question_has_no_letter() -> None:
    assert extract_answer("B", {}) == Extraction(None, "open-question")


@pytest.mark.parametrize(
    ("reply", "method"),
    [
        ("<think>x", "truncated-think"),
        ("[REQUEST_FAILED]", "error-text"),
        ("I'm sorry, I can't help with that.", "refusal"),
        ("", "empty"),
        ("<answer>A, B</answer>", "answer-tag-unreadable"),
        ("The answer is A or B.", "ambiguous"),
        ("Answer: Z", "no-such-option"),
        ("Cells.", "nothing-found"),
    ],
)
def test_why_there_is_no_letter(reply: str, method: str) -> None:
    assert extract_answer(reply, OPTIONS) == Extraction(None, method)


ADVERSARIAL = (
    "<answer>",
    "</answer>",
    "<think>",
    "< ",
    "A ",
    "the answer is ",
    "answer answer is is ",
    "not A but ",
    "((((",
    "A, ",
    "(A) ",
    "\n",
    " ",
    "**",
    '{"answer": "',
    "[",
    "\\boxed{",
    "答案",
    "选",
    "A is ",
    "option A. x ",
    "I would ",
    "so ",
    "Question:\n",
    "e\u0301\u0323",
    "respuesta ",
    "if ",
    "Error ",
    "\\",
    "Necrosis ",
    "Necrosis fits ",
    "A, and it is B, ",
    "not A, so B ",
)


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_a_megabyte_of_anything_is_read(unit: str) -> None:
    """Would not end in reasonable time if any rule took more than linear time."""
    reply = unit * (1_000_000 // len(unit))
    for whole in (reply, f"{reply}<answer>B</answer>"):
        assert extract_answer(whole, OPTIONS).letter in (None, *"ABCD")


def test_ten_megabytes() -> None:
    text = "The stroma is oedematous and few cells are seen. " * 210_000
    assert extract_answer(f"{text}\n\nThe answer is C.", OPTIONS).letter == "C"
    assert extract_answer(f"{text}<answer>D</answer>", OPTIONS).letter == "D"
    assert extract_answer(f"<think>{text}</think>A", OPTIONS).letter == "A"
    assert extract_answer(text, OPTIONS).letter is None


@pytest.mark.parametrize(
    ("reply", "followed"),
    [
        ("<think>pale</think> <answer>B</answer>", True),
        ("<think>pale\nzone</think>\n<answer>B</answer>\n", True),
        ("<think>pale</think><answer>D</answer>", True),
        ("<think>pale</think> <answer>E</answer>", False),
        ("<think>pale</think> <answer>B. Necrosis</answer>", False),
        ("<think>pale</think> <answer>(B)</answer>", False),
        ("<think>pale</think> so <answer>B</answer>", False),
        ("<think>pale</think> <answer>B</answer> done", False),
        ("<think>pale</think> <answer>A</answer> <answer>B</answer>", False),
        ("<think> </think> <answer>B</answer>", False),
        ("<answer>B</answer>", False),
        ("pale</think> <answer>B</answer>", False),
        ("<think>pale", False),
        ("B", False),
        ("", False),
    ],
)
def test_format_followed(reply: str, followed: bool) -> None:
    assert format_followed(reply, OPTIONS) is followed
    assert format_followed(reply, extraction_cases.T) is followed


@given(replies)
def test_a_followed_format_has_an_answer(reply: str) -> None:
    for text in (reply, f"<think>{reply}</think> <answer>B</answer>"):
        if format_followed(text, OPTIONS):
            assert extract_answer(text, OPTIONS).method == "answer-tag"
