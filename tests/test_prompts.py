"""Prompts: the published text, the order of parts, and a digest of all that is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.conditions import apply
from scalevqa_eval.errors import UsageError
from scalevqa_eval.prompts import STYLES, build_prompt, load_style, question_text
from scalevqa_eval.types import Benchmark, ImagePart, Prompt, Question, Sampling, TextPart, View

PUBLISHED = (
    "You are a pathology expert. Read the question and options about the image carefully. Think "
    "step by step inside <think> </think>. Then output ONLY the SINGLE best option letter inside "
    "<answer> </answer>.\nExample: <think>Your reasoning</think> <answer>A</answer>. Do not "
    "include the option text or any extra words inside <answer> </answer> tags."
)
QUESTION = Question(
    "q1",
    "What is seen?",
    {"A": "glands", "B": "debris", "C": "nerve"},
    "B",
    tuple(View(scale, f"{scale}.jpg", "10x") for scale in ("high", "low", "mid")),
    dimension="Diagnosis",
    slide="s",
    rationale="because it is secret",
    extra={"note": "secret as well"},
)


def picture(view: View) -> ImagePart:
    return ImagePart(view.image, view.scale, "image/jpeg", 8, 8, sha256=f"hash of {view.image}")


def build(
    question: Question = QUESTION, style: str = "scalereasoner", **sampling: object
) -> Prompt:
    settings = Sampling(**sampling)  # type: ignore[arg-type]
    return build_prompt(question, load_style(style), settings, picture)


def test_default_is_the_published_text_to_the_letter() -> None:
    style = load_style("scalereasoner")
    assert style.system == PUBLISHED
    assert style.suffix == ""
    assert style.name == "scalereasoner-v1"
    assert build().system == PUBLISHED
    assert Benchmark("b", "r", "s", ()).prompt == "scalereasoner"


def test_images_come_first_low_mid_high_whatever_the_file_says() -> None:
    shown = apply("full", QUESTION, Benchmark("b", "r", "s", (QUESTION,)), 0)
    assert shown is not None
    prompt = build(shown)
    assert [part.scale for part in prompt.parts if isinstance(part, ImagePart)] == [
        "low",
        "mid",
        "high",
    ]
    assert [type(part) for part in prompt.parts] == [ImagePart, ImagePart, ImagePart, TextPart]
    assert prompt.user_text == "What is seen?\n(A) glands\n(B) debris\n(C) nerve"


def test_shuffled_views_are_sent_as_shuffled() -> None:
    shown = apply("shuffled-views", QUESTION, Benchmark("b", "r", "s", (QUESTION,)), 0)
    assert shown is not None
    assert [part.source for part in build(shown).images] == [view.image for view in shown.views]
    assert [part.scale for part in build(shown).images] != ["low", "mid", "high"]


def test_question_text_without_question_is_the_options() -> None:
    assert question_text(replace(QUESTION, text="")) == "(A) glands\n(B) debris\n(C) nerve"


@pytest.mark.parametrize("style", STYLES)
def test_no_answer_is_in_what_is_sent(style: str) -> None:
    one, other = build(style=style), build(replace(QUESTION, answer="C"), style=style)
    assert one == other
    assert "secret" not in repr(one)


@pytest.mark.parametrize("style", STYLES)
def test_styles_are_versioned_and_end_as_they_say(style: str) -> None:
    loaded = load_style(style)
    assert loaded.name == f"{style}-v1"
    assert loaded.system
    text = build(style=style).user_text
    assert text.endswith(loaded.suffix or "(C) nerve")
    assert len({load_style(name).sha256 for name in STYLES}) == len(STYLES)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("Système.\r\n---\r\nLettre seulement.\r\n".encode())
    style = load_style(str(file))
    assert (style.name, style.system, style.suffix) == ("mine.txt", "Système.", "Lettre seulement.")
    file.write_text("Only a system text.", "utf-8")
    assert load_style(str(file)).suffix == ""
    assert load_style(str(file)).sha256 != style.sha256


def test_a_file_with_nothing_but_a_suffix(tmp_path: Path) -> None:
    file = tmp_path / "suffix.txt"
    file.write_text("---\nLetter only.\n", "utf-8")
    assert (load_style(str(file)).system, load_style(str(file)).suffix) == ("", "Letter only.")


def test_a_prompt_that_cannot_be_had_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no prompt 'directt'.*scalereasoner, direct, cot, open"):
        load_style("directt")
    with pytest.raises(UsageError, match="no prompt"):
        load_style(str(tmp_path))
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(UsageError, match=r"bad\.txt is not a UTF-8"):
        load_style(str(bad))


texts = st.text(max_size=12)
images = st.lists(st.text("abc", min_size=1, max_size=2), max_size=3)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0.0, 0.7]),
    top_p=st.sampled_from([None, 0.9]),
    max_tokens=st.sampled_from([1, 2, 4096]),
    seed=st.sampled_from([None, 0, 1]),
    letters_only=st.booleans(),
)
sent = st.tuples(texts, st.lists(st.one_of(texts, images.map(tuple)), max_size=3), samplings)


def assemble(what: tuple[str, list[object], Sampling], name: str, note: str) -> Prompt:
    system, pieces, sampling = what
    parts: list[TextPart | ImagePart] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(TextPart(piece))
        else:
            parts.extend(
                ImagePart(note, note, "image/png", len(note), 1, sha256=key, change=note)
                for key in piece  # type: ignore[attr-defined]
            )
    return Prompt(name, system, tuple(parts), sampling, note, {"A": note}, note)


def essence(prompt: Prompt) -> tuple[object, ...]:
    parts = [
        ("image", part.sha256) if isinstance(part, ImagePart) else ("text", part.text)
        for part in prompt.parts
    ]
    return prompt.system, parts, prompt.sampling


@given(sent, sent, texts, texts)
def test_digest_changes_with_what_is_sent_and_nothing_else(
    one: tuple[str, list[object], Sampling],
    other: tuple[str, list[object], Sampling],
    note: str,
    remark: str,
) -> None:
    first, second = assemble(one, "q1", note), assemble(other, "q2", remark)
    assert (first.digest() == second.digest()) == (essence(first) == essence(second))
    assert first.digest() == assemble(one, "q3", remark).digest()
    assert len(first.digest()) == 64


def test_text_that_cannot_be_encoded_has_a_digest() -> None:
    assert len(build(replace(QUESTION, text="\ud800")).digest()) == 64


def test_logprobs_ask_for_one_token() -> None:
    assert build(logprobs=True).sampling.max_tokens == 1
