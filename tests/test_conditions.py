"""Conditions: what each one shows, that they compose, and what chance may depend on."""

from __future__ import annotations

import copy
import itertools
import time
from collections import Counter
from contextlib import suppress
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalevqa_eval import conditions
from scalevqa_eval.conditions import apply, apply_all, parse, permutation
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import LETTERS, SCALES, Benchmark, Question, View

PLAIN = [name for name in conditions.names() if not name.endswith("-K")]
ALL = [*PLAIN, "permuted-options-0", "permuted-options-7"]


def bench(questions: list[Question]) -> Benchmark:
    return Benchmark("made", "r", "test", tuple(questions))


def made(slides: int, per_slide: int = 3, high: int = 2) -> Benchmark:
    """Questions in pairs that share images; every `high`-th slide has no high view."""
    questions = []
    for slide, item in itertools.product(range(slides), range(per_slide)):
        scales = ("mid", "low") if high and slide % high == 1 else ("mid", "high", "low")
        views = tuple(View(scale, f"{slide}/{item // 2}-{scale}.jpg", "x") for scale in scales)
        questions.append(
            Question(
                f"q{slide}-{item}",
                "What is it?",
                {"A": "one", "B": "two", "C": "three", "D": "four"},
                "ABCD"[(slide + item) % 4],
                views,
                slide=f"s{slide}",
            )
        )
    return bench(questions)


@st.composite
def questions(draw: st.DrawFn, name: str = "q") -> Question:
    texts = draw(st.lists(st.text(max_size=4), min_size=2, max_size=26))
    options = dict(zip(LETTERS, texts, strict=False))
    scales = draw(st.lists(st.sampled_from(SCALES), max_size=4))
    return Question(
        id=draw(st.text(min_size=1, max_size=5)) if name == "q" else name,
        text=draw(st.text(max_size=10)),
        options=options,
        answer=draw(st.sampled_from(list(options))),
        views=tuple(View(scale, f"{name}-{n}.png") for n, scale in enumerate(scales)),
        slide=draw(st.sampled_from([None, "s1", "s2", "s3"])),
        rationale=draw(st.text(max_size=5)),
        extra={"k": draw(st.integers())},
    )


def shown(name: str, question: Question, seed: int = 0) -> Question | None:
    return apply(name, question, bench([question]), seed)


def test_views_come_low_mid_high_whatever_the_file_says() -> None:
    views = tuple(View(scale, f"{scale}.png") for scale in ("high", "low", "mid"))
    question = Question("q", "t", {"A": "a", "B": "b"}, "A", views)
    result = shown("full", question)
    assert result is not None
    assert [view.scale for view in result.views] == ["low", "mid", "high"]
    assert replace(result, views=views) == question


@given(questions())
def test_each_condition_shows_what_it_says(question: Question) -> None:
    full = shown("full", question)
    assert full is not None
    views = full.views
    assert Counter(views) == Counter(question.views)

    assert shown("no-images", question) == replace(full, views=())
    assert shown("no-question", question) == replace(full, text="")
    assert shown("options-only", question) == replace(full, text="", views=())

    blank = shown("blank-images", question)
    if views:
        assert blank == replace(full, views=tuple(replace(v, blank=True) for v in views))
    else:
        assert blank is None

    for scale in ("low", "mid", "high"):
        have = tuple(view for view in views if view.scale == scale)
        rest = tuple(view for view in views if view.scale != scale)
        assert shown(f"only-{scale}", question) == (replace(full, views=have) if have else None)
        expected = replace(full, views=rest) if have and rest else None
        assert shown(f"without-{scale}", question) == expected

    shuffled = shown("shuffled-views", question)
    if len(views) < 2:
        assert shuffled is None
    else:
        assert shuffled is not None
        assert shuffled.views != views
        assert Counter(shuffled.views) == Counter(views)
        assert replace(shuffled, views=views) == full


@given(questions(), st.integers(0, 10**6), st.integers(0, 50))
def test_permuted_options_are_a_bijection_that_keeps_the_answer(
    question: Question, seed: int, index: int
) -> None:
    full = shown("full", question)
    result = shown(f"permuted-options-{index}", question, seed)
    assert full is not None
    assert result is not None
    assert list(result.options) == list(question.options)
    assert result.options[result.answer] == question.options[question.answer]
    assert Counter(result.options.values()) == Counter(question.options.values())
    order = permutation(len(question.options), index, seed, question.id)
    letters, texts = list(question.options), list(question.options.values())
    assert list(result.options.values()) == [texts[old] for old in order]
    assert letters[order[letters.index(result.answer)]] == question.answer
    assert order != tuple(range(len(letters)))
    assert replace(result, options=question.options, answer=question.answer) == full


@given(st.integers(2, 5), st.integers(0, 99), st.text(max_size=3))
def test_permutations_repeat_only_after_all_were_used(count: int, seed: int, key: str) -> None:
    number = {2: 1, 3: 5, 4: 23, 5: 119}[count]
    seen = [permutation(count, index, seed, key) for index in range(number)]
    assert len(set(seen)) == number
    assert tuple(range(count)) not in seen


def test_permutations_use_every_place() -> None:
    """The answer lands on each other letter about equally often."""
    questions = [
        Question(f"q{n}", "t", dict(zip("ABCD", "wxyz", strict=True)), "A") for n in range(600)
    ]
    moved = apply_all("permuted-options-0", bench(questions), 1)
    counts = Counter(question.answer for question in moved)
    assert min(counts[letter] for letter in "BCD") > 130
    assert 80 < counts["A"] < 190


@given(st.sampled_from(ALL), st.integers(0, 5))
def test_conditions_are_pure_and_depend_on_nothing_but_their_arguments(
    name: str, seed: int
) -> None:
    benchmark = made(6)
    before = copy.deepcopy(benchmark.questions)
    first = apply_all(name, benchmark, seed)
    assert benchmark.questions == before
    assert apply_all(name, made(6), seed) == first
    assert [apply(name, question, benchmark, seed) for question in benchmark.questions if any(
        question.id == one.id for one in first)] == first  # fmt: skip


@given(st.sampled_from(ALL), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_order_of_questions_is_nothing(name: str, chance: object) -> None:
    benchmark = made(5)
    mixed = list(benchmark.questions)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    by_id = {question.id: question for question in apply_all(name, bench(mixed), 3)}
    assert by_id == {question.id: question for question in apply_all(name, benchmark, 3)}


@given(st.sampled_from(ALL))
def test_only_what_is_shown_may_change(name: str) -> None:
    kept = {field.name for field in fields(Question)} - {"text", "options", "answer", "views"}
    benchmark = made(4)
    originals = {question.id: question for question in benchmark.questions}
    for question in apply_all(name, benchmark, 0):
        for field in kept:
            assert getattr(question, field) == getattr(originals[question.id], field)


@pytest.mark.parametrize("name", ["wrong-images", "shuffled-views", "permuted-options-0"])
def test_the_seed_matters(name: str) -> None:
    assert apply_all(name, made(9), 0) != apply_all(name, made(9), 1)


# --- wrong images --------------------------------------------------------------------------------


@given(st.integers(2, 9), st.integers(1, 5), st.integers(0, 20), st.sampled_from([0, 2, 3]))
@settings(max_examples=60)
def test_wrong_images_are_of_another_slide(
    slides: int, per_slide: int, seed: int, high: int
) -> None:
    benchmark = made(slides, per_slide, high)
    slide_of = {v.image: q.slide for q in benchmark.questions for v in q.views}
    result = apply_all("wrong-images", benchmark, seed)
    assert len(result) == len(benchmark.questions)
    for original, question in zip(benchmark.questions, result, strict=True):
        assert {slide_of[view.image] for view in question.views} != {original.slide}
        assert original.slide not in {slide_of[view.image] for view in question.views}
        assert replace(question, views=original.views) == original
        wanted = sorted(view.scale for view in original.views)
        got = sorted(view.scale for view in question.views)
        assert got == wanted or (slides < 4 and high and set(got) <= set(wanted))


def test_wrong_images_use_every_set_once_where_slides_allow_it() -> None:
    benchmark = made(8, per_slide=1, high=0)
    result = apply_all("wrong-images", benchmark, 0)
    used = Counter(question.image_set for question in result)
    assert set(used.values()) == {1}
    assert len(used) == 8


def test_questions_that_share_images_share_wrong_ones() -> None:
    benchmark = made(4, per_slide=2, high=0)
    result = apply_all("wrong-images", benchmark, 0)
    sets: dict[str | None, set[tuple[str, ...]]] = {}
    for question in result:
        sets.setdefault(question.slide, set()).add(question.image_set)
    assert all(len(one) == 1 for one in sets.values())


def test_one_slide_only_gives_its_other_images() -> None:
    benchmark = made(1, per_slide=4)
    for original, question in zip(
        benchmark.questions, apply_all("wrong-images", benchmark, 0), strict=True
    ):
        assert not set(original.image_set) & set(question.image_set)


@pytest.mark.parametrize("elsewhere", [0, 40])
def test_thousands_of_sets_on_one_slide_take_no_time(elsewhere: int) -> None:
    """More than half on one slide: those of the others go round, each about equally often."""
    benchmark = bench(
        [*made(1, per_slide=8000, high=0).questions, *made(2, 2 * elsewhere, 0).questions]
        if elsewhere
        else [*made(1, per_slide=8000, high=0).questions]
    )
    slides = {view.image: question.slide for question in benchmark.questions
              for view in question.views}  # fmt: skip
    started = time.process_time()
    result = apply_all("wrong-images", benchmark, 0)
    assert time.process_time() - started < 6
    for original, question in zip(benchmark.questions, result, strict=True):
        assert not set(original.image_set) & set(question.image_set)
    if elsewhere:
        kept = [q for q in result if slides[q.views[0].image] == "s1" and q.slide == "s0"]
        used = Counter(question.image_set for question in kept)
        assert len(used) == elsewhere
        assert max(used.values()) < 1.1 * min(used.values())


def test_no_other_images_is_said_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"at least two .* made \(1 questions\).*blank-images"):
        apply_all("wrong-images", made(1, per_slide=1), 0)


def test_unknown_slides_count_by_their_images() -> None:
    questions = [
        Question(f"q{n}", "t", {"A": "a", "B": "b"}, "A", (View("single", f"{n // 2}.png"),))
        for n in range(6)
    ]
    for original, question in zip(
        questions, apply_all("wrong-images", bench(questions), 0), strict=True
    ):
        assert question.image_set != original.image_set


def test_text_questions_have_no_wrong_images() -> None:
    question = Question("q", "t", {"A": "a", "B": "b"}, "A")
    assert apply_all("wrong-images", bench([question]), 0) == []


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("full", "full"),
        (" no-images ", "no-images"),
        ("permuted-options-2+no-images", "no-images+permuted-options-2"),
        ("permuted-options-007", "permuted-options-7"),
        ("no-question+no-images", "options-only"),
        ("without-low+without-high", "without-low+without-high"),
        ("only-low + wrong-images", "wrong-images+only-low"),
        ("permuted-options-1+shuffled-views", "shuffled-views+permuted-options-1"),
    ],
)
def test_parse(name: str, canonical: str) -> None:
    assert parse(name) == canonical
    assert parse(canonical) == canonical


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-image", "did you mean no-images"),
        ("zzz", "there are full"),
        ("", "no condition ''"),
        ("full+", "no condition ''"),
        ("permuted-options", "needs a number"),
        ("permuted-options-x", "no condition 'permuted-options-x'"),
        ("permuted-options--1", "no condition"),
        ("only-low+without-low", "without-low leaves out the low view, which only-low needs"),
        ("only-low+without-mid", "both only-low and without-mid leave out the mid view"),
        ("only-low+only-high", "needs"),
        ("no-images+blank-images", "no-images leaves out the images, which blank-images needs"),
        ("wrong-images+no-images", "no-images leaves out the images, which wrong-images needs"),
        ("blank-images+wrong-images", "what the images show"),
        ("options-only+no-question", "the question text"),
        ("options-only+no-images", "the images"),
        ("full+no-images", "no-images alone is enough"),
        ("no-images+no-images", "given twice"),
        ("permuted-options-1+permuted-options-2", "given twice"),
        ("without-low+without-mid+without-high", "leaves out every view"),
        ("only-mid+shuffled-views", "the order of views"),
    ],
)
def test_names_that_make_no_sense_are_refused(name: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(name)
    assert says in str(error.value)


@given(st.text(max_size=30))
def test_any_name_is_parsed_or_refused(name: str) -> None:
    with suppress(UsageError):
        assert parse(parse(name)) == parse(name)


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=3), questions(), st.integers(0, 3))
def test_composition_is_one_after_the_other(
    names: list[str], question: Question, seed: int
) -> None:
    name = "+".join(names)
    try:
        canonical = parse(name)
    except UsageError:
        return
    other = Question("z", "t", {"A": "a", "B": "b"}, "A", (View("low", "z.png"),), slide="zz")
    benchmark = bench([question, other])
    expected: Question | None = question
    pieces = canonical.split("+")
    if "shuffled-views" in pieces:
        pieces = [piece for piece in pieces if piece != "shuffled-views"]
        result = apply("+".join(pieces) if pieces else "full", question, benchmark, seed)
        together = apply(canonical, question, benchmark, seed)
        if together is not None:
            assert result is not None
            assert Counter(together.views) == Counter(result.views)
        return
    for piece in pieces:
        expected = expected and apply(piece, expected, benchmark, seed)
    assert apply(name, question, benchmark, seed) == expected


def test_open_questions_need_their_text() -> None:
    question = Question("q", "Diagnosis?", {}, "naevus", (View("low", "a.png"),))
    assert shown("no-images", question) == replace(question, views=())
    for name in ("no-question", "options-only", "permuted-options-0"):
        assert shown(name, question) is None


def test_a_condition_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "CONDITIONS", dict(conditions.CONDITIONS))

    @conditions.condition("first-two-options", "the first two options", needs=("the options",))
    def first_two(question: Question, context: conditions.Context) -> Question | None:
        left = dict(list(question.options.items())[:2])
        return replace(question, options=left) if question.answer in left else None

    assert parse("first-two-options+no-images") == "no-images+first-two-options"
    result = apply_all("no-images+first-two-options", made(2), 0)
    assert result
    assert all(len(question.options) == 2 and not question.views for question in result)


def test_real_questions(shared_data: object) -> None:
    from scalevqa_eval.data import load_benchmark

    benchmark = load_benchmark("scale-vqa", split="val", data_dir=f"{shared_data}/scale_vqa")
    assert len(apply_all("full", benchmark, 0)) == 450
    assert len(apply_all("only-high", benchmark, 0)) == 435
    wrong = apply_all("wrong-images", benchmark, 0)
    slides = {view.image: q.slide for q in benchmark.questions for view in q.views}
    for original, question in zip(benchmark.questions, wrong, strict=True):
        assert original.slide not in {slides[view.image] for view in question.views}
        assert len(question.views) == len(original.views)
