"""The data that everything is computed from: questions, their views, and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Scale = Literal["low", "mid", "high", "single"]
SCALES: tuple[Scale, ...] = get_args(Scale)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_OPTION_LETTER = re.compile(r"[A-Z]\Z")


@dataclass(frozen=True, slots=True)
class View:
    """One image of a question.

    `image` is a path relative to the benchmark's image root. `blank` asks for a uniform grey
    picture of the same size in its place (the condition `blank-images`).
    """

    scale: Scale
    image: str
    magnification: str = ""
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One item of a benchmark.

    `options` maps letters to texts in the order in which they are shown (2 to 26 of them) and
    `answer` is one of the letters. An open question has no options; its `answer` is then the
    reference text. `slide` is the cluster (whole-slide image, patient, page) or None if unknown.
    Raises ValueError if the parts do not make a question; duplicate option texts are allowed
    (real data has them; `scalevqa benchmarks check` reports them).
    """

    id: str
    text: str
    options: Mapping[str, str]
    answer: str
    views: tuple[View, ...] = ()
    dimension: str = "all"
    slide: str | None = None
    split: str = ""
    rationale: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a question needs an id")
        if not self.answer:
            raise ValueError("a question needs an answer")
        if not self.options:
            return
        if not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(f"2 to 26 options are needed, not {len(self.options)}")
        for letter in self.options:
            if not _OPTION_LETTER.match(letter):
                raise ValueError(f"option letters are A to Z, not {letter!r}")
        if self.answer not in self.options:
            raise ValueError(f"answer {self.answer!r} is none of {'/'.join(self.options)}")

    @property
    def is_open(self) -> bool:
        """Whether the reply is free text, compared with a reference."""
        return not self.options

    @property
    def image_set(self) -> tuple[str, ...]:
        """The images shown, in order: questions with equal sets are asked next to each other."""
        return tuple(view.image for view in self.views)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Questions of one split, and where their images lie.

    `revision` identifies the content (a hub revision or a hash of the question file), `card` is
    the sha256 of the card's text ("" for a bare file). `dimensions` gives the order for tables.
    `prompt` names the default prompt style. `load_split` loads another split from the same
    place; models that learn from the train split use it.
    """

    name: str
    revision: str
    split: str
    questions: tuple[Question, ...]
    image_root: Path | None = None
    dimensions: tuple[str, ...] = ()
    card: str = ""
    prompt: str = "scalereasoner"
    load_split: Callable[[str], Benchmark] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.questions)
