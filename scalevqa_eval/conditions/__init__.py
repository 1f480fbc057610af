"""Conditions: pure functions Question → Question that decide what of a question is shown.

A condition is named (`no-images`) and several can be joined (`no-images+permuted-options-2`).
Wherever chance enters it comes from the seed and the question's own id or images, never from the
order in which questions are asked. docs/conditions.md shows how to add one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scalevqa_eval.conditions.chance import Views, permutation, wrong_views
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import SCALES, Benchmark, Question


@dataclass(frozen=True, slots=True)
class Context:
    """What a condition may look at besides the question itself."""

    benchmark: Benchmark
    seed: int
    index: int = 0


Apply = Callable[[Question, Context], Question | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of the registry.

    `removes` and `needs` name parts of a question; they are how a composition that contradicts
    itself is recognised. A `numbered` condition is used with an index: `permuted-options-2`.
    """

    name: str
    about: str
    function: Apply
    removes: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    numbered: bool = False


CONDITIONS: dict[str, Condition] = {}

__all__ = [
    "CONDITIONS",
    "Condition",
    "Context",
    "apply",
    "apply_all",
    "condition",
    "names",
    "parse",
    "permutation",
]


def condition(
    name: str,
    about: str,
    *,
    removes: Sequence[str] = (),
    needs: Sequence[str] = (),
    numbered: bool = False,
) -> Callable[[Apply], Apply]:
    """Register a function as the condition `name`; `about` says in one line what it shows.

    Joined conditions are applied in the order in which they were registered. The function gets
    a question with its views in order low, mid, high and returns what is shown of it, or None if
    the condition does not apply to this question.
    """

    def add(function: Apply) -> Apply:
        CONDITIONS[name] = Condition(
            name, about, function, frozenset(removes), frozenset(needs), numbered
        )
        return function

    return add


def names() -> list[str]:
    """All names, for help texts; a numbered condition is shown with the index K."""
    return [f"{entry.name}-K" if entry.numbered else entry.name for entry in CONDITIONS.values()]


def parse(name: str) -> str:
    """The canonical form of a condition's name.

    Raises UsageError for an unknown name (with the nearest ones) and for a composition that
    contradicts itself.
    """
    return "+".join(
        f"{entry.name}-{index}" if entry.numbered else entry.name for entry, index in _parts(name)
    )


def apply(name: str, question: Question, benchmark: Benchmark, seed: int) -> Question | None:
    """What is shown of `question`, or None if the condition does not apply to it.

    Views come in order low, mid, high whatever the file's order is, unless the condition
    shuffles them. The result depends on the question, the set of questions in `benchmark`
    (`wrong-images` only) and `seed`. Raises UsageError for an impossible name or if there are
    no wrong images to be had.
    """
    return next(_shown(name, [question], benchmark, seed))


def apply_all(name: str, benchmark: Benchmark, seed: int) -> list[Question]:
    """The shown questions in the benchmark's order, without those it does not apply to."""
    shown = _shown(name, benchmark.questions, benchmark, seed)
    return [question for question in shown if question is not None]


def _shown(
    name: str, questions: Iterable[Question], benchmark: Benchmark, seed: int
) -> Iterator[Question | None]:
    parts = [(entry.function, Context(benchmark, seed, index)) for entry, index in _parts(name)]
    for question in questions:
        # From the widest field to the narrowest; equal scales keep their order.
        ordered = sorted(question.views, key=lambda view: SCALES.index(view.scale))
        shown: Question | None = _with_views(question, tuple(ordered))
        for function, context in parts:
            shown = shown and function(shown, context)
        yield shown


def _with_views(question: Question, views: Views) -> Question:
    return question if views == question.views else replace(question, views=views)


# --- names -------------------------------------------------------------------------------------


def _parts(name: str) -> list[tuple[Condition, int]]:
    parts = [_part(piece.strip(), name) for piece in name.split("+")]
    _refuse_contradictions([entry for entry, _ in parts], name)
    if {entry.name for entry, _ in parts} >= {"no-images", "no-question"}:
        both = {"no-images": "options-only", "no-question": ""}
        renamed = [(both.get(entry.name, entry.name), index) for entry, index in parts]
        parts = [(CONDITIONS[new], index) for new, index in renamed if new]
    order = list(CONDITIONS)
    return sorted(parts, key=lambda part: order.index(part[0].name))


def _part(piece: str, whole: str) -> tuple[Condition, int]:
    entry = CONDITIONS.get(piece)
    if entry is not None and not entry.numbered:
        return entry, 0
    if entry is not None:
        raise UsageError(f"condition {piece!r} needs a number: {piece}-0, {piece}-1, ...")
    numbered = re.fullmatch(r"(.+)-([0-9]{1,9})", piece, re.ASCII)
    if numbered and (entry := CONDITIONS.get(numbered[1])) and entry.numbered:
        return entry, int(numbered[2])
    close = difflib.get_close_matches(piece, names(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names())}"
    where = f" in {whole!r}" if piece != whole else ""
    raise UsageError(f"no condition {piece!r}{where}: {hint}")


def _refuse_contradictions(entries: list[Condition], name: str) -> None:
    for place, one in enumerate(entries):
        for other in entries[place + 1 :]:
            reason = _conflict(one, other) or _conflict(other, one)
            if reason:
                raise UsageError(f"condition {name!r} makes no sense: {reason}")
    removed = frozenset[str]().union(*(entry.removes for entry in entries))
    if removed >= {f"the {scale} view" for scale in SCALES if scale != "single"}:
        raise UsageError(f"condition {name!r} leaves out every view: use no-images instead")


def _conflict(one: Condition, other: Condition) -> str:
    if one is other:
        return f"{one.name} is given twice"
    if one.name == "full":
        return f"full leaves out nothing, so {other.name} alone is enough"
    if lost := sorted(one.removes & other.needs):
        return f"{one.name} leaves out {lost[0]}, which {other.name} needs"
    if lost := sorted(one.removes & other.removes):
        return f"both {one.name} and {other.name} leave out {lost[0]}"
    return ""


# --- the conditions, in the order in which joined ones are applied -------------------------------


@condition("full", "everything is shown: images (low, mid, high), question and options")
def _full(question: Question, context: Context) -> Question:
    return question


@condition(
    "wrong-images",
    "images of another slide, with the same scales as far as possible",
    needs=("the images", "what the images show"),
)
def _wrong_images(question: Question, context: Context) -> Question | None:
    if not question.views:
        return None
    return replace(question, views=wrong_views(question, context.benchmark, context.seed))


@condition(
    "blank-images",
    "uniform grey pictures of the same size in place of the images",
    removes=("what the images show",),
    needs=("the images",),
)
def _blank_images(question: Question, context: Context) -> Question | None:
    if not question.views:
        return None
    return replace(question, views=tuple(replace(view, blank=True) for view in question.views))


def _only(scale: str) -> None:
    others = [f"the {other} view" for other in SCALES if other not in (scale, "single")]

    @condition(
        f"only-{scale}",
        f"of the images only the {scale} view; questions without one are left out",
        removes=(*others, "the order of views"),
        needs=("the images", f"the {scale} view"),
    )
    def only(question: Question, context: Context) -> Question | None:
        views = tuple(view for view in question.views if view.scale == scale)
        return _with_views(question, views) if views else None


def _without(scale: str) -> None:
    @condition(
        f"without-{scale}",
        f"all images but the {scale} view; questions that have none, or no other, are left out",
        removes=(f"the {scale} view",),
        needs=("the images",),
    )
    def without(question: Question, context: Context) -> Question | None:
        views = tuple(view for view in question.views if view.scale != scale)
        return replace(question, views=views) if views and views != question.views else None


for _make in (_only, _without):
    for _scale in ("low", "mid", "high"):
        _make(_scale)


@condition(
    "shuffled-views",
    "the images in another order than low, mid, high; single images are left out",
    needs=("the images", "what the images show", "the order of views"),
)
def _shuffled_views(question: Question, context: Context) -> Question | None:
    if len(question.views) < 2:
        return None
    order = permutation(len(question.views), 0, context.seed, question.id, "views")
    return replace(question, views=tuple(question.views[place] for place in order))


@condition("no-images", "question and options, no images", removes=("the images",))
def _no_images(question: Question, context: Context) -> Question:
    return _with_views(question, ())


@condition(
    "no-question",
    "images and options, no question text",
    removes=("the question text",),
    needs=("the options",),
)
def _no_question(question: Question, context: Context) -> Question | None:
    return None if question.is_open else replace(question, text="")


@condition(
    "options-only",
    "options alone: no images and no question text",
    removes=("the images", "the question text"),
    needs=("the options",),
)
def _options_only(question: Question, context: Context) -> Question | None:
    return None if question.is_open else replace(question, text="", views=())


@condition(
    "permuted-options",
    "options in another order (the K-th one), the answer's letter moving along",
    needs=("the options",),
    numbered=True,
)
def _permuted_options(question: Question, context: Context) -> Question | None:
    if question.is_open:
        return None
    letters = list(question.options)
    order = permutation(len(letters), context.index, context.seed, question.id)
    options = {new: question.options[letters[old]] for new, old in zip(letters, order, strict=True)}
    answer = letters[order.index(letters.index(question.answer))]
    return replace(question, options=options, answer=answer)
