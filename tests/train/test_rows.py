"""Questions → verl's rows: one image tag a view, nothing lost, nothing smuggled in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.errors import DataError
from scalevqa_eval.prompts import load_style
from scalevqa_eval.types import LETTERS, Question, View
from scalevqa_train.leaks import read_leak_scores
from scalevqa_train.rows import (
    drop_sentences,
    grpo_row,
    in_blocks,
    messages,
    sft_row,
    sft_target,
    shared_slides,
)

STYLE = load_style("scalereasoner")


def question(number: int = 0, answer: str = "B", **changes: object) -> Question:
    fields: dict[str, object] = {
        "id": f"q{number}",
        "text": "What is seen?",
        "options": {"A": "glands", "B": "sheets", "C": "nests"},
        "answer": answer,
        "views": (View("low", "a.png"), View("mid", "b.png"), View("high", "c.png")),
        "dimension": "Diagnosis",
        "slide": f"s{number}",
        "rationale": "Cells lie in sheets. There is no lumen! Is it a carcinoma? Yes.",
    }
    return Question(**{**fields, **changes})  # type: ignore[arg-type]


@given(st.integers(0, 5), st.integers(2, 26))
def test_one_tag_for_each_view_and_the_harness_text(views: int, options: int) -> None:
    asked = question(
        views=tuple(View("single", f"{n}.png") for n in range(views)),
        options={letter: f"option {letter}" for letter in LETTERS[:options]},
        answer=LETTERS[options - 1],
    )
    system, user = messages(asked, STYLE)
    assert system == {"role": "system", "content": STYLE.system}
    assert user["content"].count("<image>") == views
    assert user["content"].removeprefix("<image>" * views).startswith("What is seen?\n(A) option A")
    row = grpo_row(asked, STYLE, [{"bytes": b"x", "path": None}] * views, index=3, source="bench")
    assert len(row["images"]) == views
    assert row["reward_model"]["ground_truth"] in row["extra_info"]["options"]
    assert row["data_source"] == "bench/Diagnosis"
    # The right letter is nowhere in what the policy sees but among the options.
    assert "answer" not in json.dumps(row["prompt"][1]).lower()


@pytest.mark.parametrize("tag", ["<image>", "<video>", "<audio>"])
def test_a_question_that_contains_a_tag_is_refused(tag: str) -> None:
    for bad in (
        question(text=f"What {tag} is seen?"),
        question(options={"A": "glands", "B": tag}),
    ):
        with pytest.raises(DataError, match=f"q0 contains {tag}"):
            messages(bad, STYLE)


def test_targets() -> None:
    rng = Random(0)
    assert sft_target(question(), "think", rng=rng) == (
        "<think>Cells lie in sheets. There is no lumen! Is it a carcinoma? Yes.</think>\n"
        "<answer>B</answer>"
    )
    target = sft_target(question(), "description+think", description=" Pink. ", rng=rng)
    assert target.startswith("<description>Pink.</description>\n<think>Cells")
    row = sft_row(question(), STYLE, [], target)
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    with pytest.raises(DataError, match="no description"):
        sft_target(question(), "description+think", rng=rng)
    with pytest.raises(DataError, match="no rationale"):
        sft_target(question(rationale=" "), "think", rng=rng)


@given(st.lists(st.sampled_from(["One.", "Two!", "Three?"]), min_size=1), st.floats(0, 0.99))
def test_dropping_keeps_order_and_at_least_one(sentences: list[str], share: float) -> None:
    kept = drop_sentences(" ".join(sentences), share, Random(1)).split()
    assert len(kept) == max(1, len(sentences) - int(share * len(sentences)))
    rest = iter(sentences)
    assert all(sentence in rest for sentence in kept)


@given(st.lists(st.sampled_from("ABC"), max_size=12), st.randoms())
def test_blocks_are_balanced_or_gone(answers: list[str], rng: Random) -> None:
    same = [question(n, answer) for n, answer in enumerate(answers)]
    whole = [question(50 + n, answer, text="Another?") for n, answer in enumerate("CABBCA")]
    mixed = [*same, *whole]
    rng.shuffle(mixed)
    kept = in_blocks(mixed)
    assert [q for q in mixed if q in kept] == kept
    assert all(q in kept for q in whole)
    counts = Counter(answers)
    balanced = len(counts) == 3 and len(set(counts.values())) == 1
    assert sum(q in kept for q in same) == (len(same) if balanced else 0)


def test_shared_slides() -> None:
    train, val = [question(1), question(2), question(3, slide=None)], [question(2), question(4)]
    assert shared_slides(train, val) == {"s2"}


def test_leak_scores(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    file.write_text(json.dumps({"questions": [{"id": "q1", "leak_score": 0.25}]}))
    assert read_leak_scores(file) == {"q1": 0.25}
    for bad in ("{", "[]", '{"questions": []}', '{"questions": [{"id": "a"}]}',
                '{"questions": [{"id": "a", "leak_score": 2}]}',
                '{"questions": [{"id": "a", "leak_score": true}]}'):  # fmt: skip
        file.write_text(bad)
        with pytest.raises(DataError, match="audit"):
            read_leak_scores(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_leak_scores(tmp_path / "none.json")
