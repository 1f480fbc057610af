"""The baselines, asked through the registry as users ask them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from scalevqa_eval import conditions
from scalevqa_eval.data import load_benchmark
from scalevqa_eval.errors import DataError, ModelError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model, TrainableModel, load_model
from scalevqa_eval.prompts import build_prompt, load_style
from scalevqa_eval.types import Benchmark, Prompt, Question, Sampling, View

ALL = ("random", "first", "longest", "text-prior", "pixels")
COLOURS = {"red": (200, 30, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}


def prompts_of(benchmark: Benchmark, condition: str = "full") -> list[tuple[Question, Prompt]]:
    store, style = ImageStore(benchmark.image_root), load_style("direct")
    shown = conditions.apply_all(condition, benchmark, 0)
    return [(q, build_prompt(q, style, Sampling(), store.part)) for q in shown]


def letters(model: Model, prompts: Sequence[Prompt]) -> list[str]:
    async def ask() -> list[str]:
        return [(await model.reply(prompt)).text for prompt in prompts]

    found = []
    for text in asyncio.run(ask()):
        match = re.fullmatch(r"<answer>([A-Z])</answer>", text)
        assert match
        found.append(match[1])
    return found


def right(model: Model, benchmark: Benchmark, condition: str = "full") -> tuple[int, int]:
    asked = prompts_of(benchmark, condition)
    given_ = letters(model, [prompt for _, prompt in asked])
    hits = sum(q.answer == letter for (q, _), letter in zip(asked, given_, strict=True))
    return hits, len(asked)


def learned(name: str, train: Benchmark) -> TrainableModel:
    model = load_model(f"baseline/{name}")
    assert isinstance(model, TrainableModel)
    model.fit(train)
    return model


@cache
def on_demo(name: str, benchmark: str = "demo") -> TrainableModel:
    return learned(name, load_benchmark(benchmark, "train"))


def paint(path: Path, colour: str, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(rng.normal(COLOURS[colour], 25, (40, 60, 3)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def coloured(root: Path, split: str, count: int, seed: int) -> Benchmark:
    """One picture a question, of one colour; two to five options, the right one names it."""
    rng = np.random.default_rng(seed)
    questions = []
    for number in range(count):
        names = [*rng.permutation(list(COLOURS)), "grey, or none of these", "patterned"]
        names = names[: int(rng.integers(2, 6))]
        colour = names[int(rng.integers(min(3, len(names))))]
        image = f"{split}/{number}.png"
        paint(root / image, colour, rng)
        options = dict(zip("ABCDE", (f"The field is {name}" for name in names), strict=False))
        answer = "ABCDE"[names.index(colour)]
        questions.append(
            Question(
                f"{split}-{number}", f"What is seen in field {number}?", options, answer,
                (View("single", image),), "colour", f"{split}-{number % 7}", split,
            )
        )  # fmt: skip
    return Benchmark("coloured", "1", split, tuple(questions), root)


def prompt(options: Mapping[str, str], question_id: str = "q") -> Prompt:
    question = Question(question_id, "Which?", options, next(iter(options), "free"))
    return build_prompt(question, load_style("direct"), Sampling(), ImageStore(None).part)


@pytest.mark.parametrize("name", ALL)
def test_declares_what_it_is(name: str) -> None:
    model = load_model(f"baseline/{name}")
    assert isinstance(model, Model)
    assert model.name == f"baseline/{name}"
    assert isinstance(model, TrainableModel) == (name in ("text-prior", "pixels"))
    assert model.capabilities.needs_options
    assert not model.capabilities.cacheable
    json.dumps(dict(model.identity))


def test_an_unknown_baseline_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"did you mean baseline/pixels\?.*baseline/text-prior"):
        load_model("baseline/pixel")
    with pytest.raises(UsageError, match="baseline/random"):
        load_model("baseline/zebra")


@pytest.mark.parametrize("name", ALL)
def test_open_questions_are_refused(name: str, tmp_path: Path) -> None:
    model = load_model(f"baseline/{name}")
    if isinstance(model, TrainableModel):
        model.fit(coloured(tmp_path, "train", 12, 0))
    with pytest.raises(ModelError, match="multiple-choice") as caught:
        asyncio.run(model.reply(prompt({})))
    assert not caught.value.retryable


def test_rules_choose_what_they_say() -> None:
    asked = prompt({"A": "short", "B": "the longest of all", "C": "middling"})
    assert letters(load_model("baseline/first"), [asked]) == ["A"]
    assert letters(load_model("baseline/longest"), [asked]) == ["B"]


@given(ids=st.lists(st.text(min_size=1), min_size=2, max_size=20, unique=True), seed=st.integers())
@settings(max_examples=25, deadline=None)
def test_random_does_not_depend_on_the_order_of_asking(ids: list[str], seed: int) -> None:
    asked = [prompt({"A": "x", "B": "y", "C": "z"}, name) for name in ids]
    forwards = letters(load_model("baseline/random", seed=seed), asked)
    backwards = letters(load_model("baseline/random", seed=seed), asked[::-1])
    assert forwards == backwards[::-1]


def test_random_is_uniform_and_follows_its_seed() -> None:
    asked = [prompt(dict.fromkeys("ABCD", "x"), f"q{i}") for i in range(2000)]
    given_ = letters(load_model("baseline/random"), asked)
    assert stats.chisquare([given_.count(letter) for letter in "ABCD"]).pvalue > 0.001
    other = letters(load_model("baseline/random", seed=1), asked)
    assert 0.2 < np.mean([a == b for a, b in zip(given_, other, strict=True)]) < 0.3


def test_pixels_sees_the_demo_and_needs_its_images() -> None:
    test = load_benchmark("demo")
    model = on_demo("pixels")
    seen, n = right(model, test)
    assert seen / n >= 0.6
    low, high = stats.binom.interval(0.99, n, 0.25)
    for condition in ("no-images", "blank-images"):
        assert right(model, test, condition) == (n / 4, n)
    wrong, _ = right(model, test, "wrong-images")
    assert wrong <= high
    assert low <= right(model, test, "options-only")[0]


def test_each_dimension_of_the_demo_can_be_learned() -> None:
    test = load_benchmark("demo")
    model = on_demo("pixels")
    for dimension in test.dimensions:
        part = tuple(q for q in test.questions if q.dimension == dimension)
        hits, n = right(model, replace(test, questions=part))
        assert hits > stats.binom.ppf(0.999, n, 0.25), dimension


def test_joined_scales_beat_each_single_one_on_the_demo() -> None:
    test, model = load_benchmark("demo"), on_demo("pixels")
    joined = ("Correspondence", "Confirmation", "Explanation", "Diagnosis")
    test = replace(test, questions=tuple(q for q in test.questions if q.dimension in joined))
    full, n = right(model, test)
    for condition in ("only-low", "only-mid", "only-high"):
        hits, left = right(model, test, condition)
        assert full / n > hits / left + 0.1


def test_text_prior_learns_nothing_on_the_demo_and_all_on_its_leaky_twin() -> None:
    clean = load_benchmark("demo")
    assert right(on_demo("text-prior"), clean) == (len(clean) / 4, len(clean))
    hits, n = right(on_demo("text-prior", "demo-leaky"), load_benchmark("demo-leaky"))
    assert hits / n >= 0.75


def test_pixels_works_with_single_views_and_unequal_options(tmp_path: Path) -> None:
    model = learned("pixels", coloured(tmp_path, "train", 90, 0))
    test = coloured(tmp_path, "test", 90, 1)
    hits, n = right(model, test)
    assert hits / n >= 0.9
    blind, _ = right(model, test, "no-images")
    assert blind / n <= 0.6


def test_pixels_answers_from_the_bytes_of_the_image(tmp_path: Path) -> None:
    model = learned("pixels", coloured(tmp_path, "train", 90, 0))
    options = {"A": "The field is red", "B": "The field is green", "C": "The field is blue"}
    found = []
    for seed, colour in enumerate(COLOURS):  # each time under the same name
        paint(tmp_path / "x.png", colour, np.random.default_rng(seed))
        views = (View("single", "x.png"),)
        question = Question("q", "What is seen?", options, "A", views, "colour")
        part = ImageStore(tmp_path).part
        asked = build_prompt(question, load_style("direct"), Sampling(), part)
        found += letters(model, [asked])
    assert found == ["A", "B", "C"]


@pytest.mark.parametrize("name", ["text-prior", "pixels"])
def test_fitting_twice_gives_the_same_model(name: str, tmp_path: Path) -> None:
    train, test = coloured(tmp_path, "train", 40, 0), coloured(tmp_path, "test", 40, 1)
    first, second = learned(name, train), learned(name, train)
    asked = [prompt for _, prompt in prompts_of(test)]
    assert letters(first, asked) == letters(second, asked)
    assert first.identity == second.identity
    other = learned(name, replace(train, questions=train.questions[1:]))
    assert first.identity != other.identity
    json.dumps(dict(first.identity))


@given(order=st.permutations(range(4)), number=st.integers(0, 479))
@settings(max_examples=40, deadline=None)
def test_text_prior_does_not_care_about_the_order_of_options(order: list[int], number: int) -> None:
    question = load_benchmark("demo-leaky").questions[number]
    texts = list(question.options.values())
    turned = {letter: texts[place] for letter, place in zip("ABCD", order, strict=True)}
    style, model = load_style("direct"), on_demo("text-prior", "demo-leaky")
    chosen = []
    for options in (question.options, turned):
        asked = build_prompt(
            replace(question, options=options, views=()), style, Sampling(), ImageStore(None).part
        )
        chosen.append(options[letters(model, [asked])[0]])
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", ["text-prior", "pixels"])
def test_what_cannot_be_learned_from_is_said(name: str, tmp_path: Path) -> None:
    train = coloured(tmp_path, "train", 12, 0)
    with pytest.raises(ModelError, match=r"call fit\(train\)") as caught:
        letters(load_model(f"baseline/{name}"), [prompt({"A": "x", "B": "y"})])
    assert caught.value.fatal
    with pytest.raises(DataError, match=r"train split.*coloured is empty"):
        learned(name, replace(train, questions=()))
    opened = tuple(replace(q, options={}, answer="text") for q in train.questions)
    with pytest.raises(DataError, match="open ones only"):
        learned(name, replace(train, questions=opened))
    wordless = tuple(replace(q, options={"A": "?", "B": "!"}, answer="A") for q in train.questions)
    with pytest.raises(DataError, match="no words"):
        learned(name, replace(train, questions=wordless))


def test_odd_questions_are_answered(tmp_path: Path) -> None:
    train = coloured(tmp_path, "train", 30, 0)
    odd = [
        {"A": "x", "B": "x"},
        {"A": "?", "B": "!"},
        {"A": "word " * 200_000, "B": "z" * 1_000_000},
        {letter: f"option {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
    ]
    for name in ("text-prior", "pixels"):
        model = learned(name, train)
        for options in odd:
            assert letters(model, [prompt(options)])[0] in options


def test_one_train_question_is_enough_to_go_on(tmp_path: Path) -> None:
    train = coloured(tmp_path, "train", 1, 0)
    for name in ("text-prior", "pixels"):
        assert right(learned(name, train), train)[1] == 1


def test_an_image_that_is_missing_in_the_train_split_is_named(tmp_path: Path) -> None:
    train = coloured(tmp_path, "train", 12, 0)
    (tmp_path / "train" / "3.png").unlink()
    with pytest.raises(DataError, match=r"train/3\.png"):
        learned("pixels", train)


def test_train_can_be_given_when_loading(tmp_path: Path) -> None:
    train = coloured(tmp_path, "train", 30, 0)
    model = load_model("baseline/text-prior", train=train)
    assert model.identity["train"]
