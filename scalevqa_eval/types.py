"""The words of the package on one page: what everything else is computed from.

A benchmark is a list of questions; a prompt is what a model is shown of one; a reply is what came
back; a record is the line that a run keeps of it. Nothing here imports anything of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

Scale = Literal["low", "mid", "high", "single"]
SCALES: tuple[Scale, ...] = get_args(Scale)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FinishReason = Literal["stop", "length", "refusal", "other"]

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
    load_split: Callable[[str], Benchmark] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.questions)

    def __repr__(self) -> str:
        return f"<Benchmark {self.name} {self.split}: {len(self):,} questions, {self.revision}>"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. None leaves a setting to the engine's own default.

    `letters_only` asks engines that can to allow nothing but an option letter as the reply;
    `logprobs` asks for the log-probability of each option letter as the first token, with no
    generation (engines that cannot raise UsageError at start).
    """

    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int = 4096
    seed: int | None = 0
    letters_only: bool = False
    logprobs: bool = False


_sorted_json = json.JSONEncoder(sort_keys=True).encode


@lru_cache(maxsize=32)
def _fields_of(sampling: Sampling) -> dict[str, Any]:
    return asdict(sampling)


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One image as it will be sent. `load()` gives its bytes (encoded, of `media_type`).

    `sha256` is of exactly those bytes; `source` is the path in the benchmark; `change` says what
    was done to the file ("" if it is sent as it is).
    """

    source: str
    scale: str
    media_type: str
    width: int
    height: int
    sha256: str
    change: str = ""
    load: Callable[[], bytes] = field(default=bytes, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent for one question under one condition.

    `text`, `options` and `dimension` repeat what the parts show in structured form, for models
    that do not read prose (baselines) and for engines that can constrain a reply to letters.
    """

    question_id: str
    system: str
    parts: tuple[TextPart | ImagePart, ...]
    sampling: Sampling
    text: str
    options: Mapping[str, str]
    dimension: str

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ImagePart))

    @property
    def user_text(self) -> str:
        return "\n".join(part.text for part in self.parts if isinstance(part, TextPart))

    def digest(self) -> str:
        """sha256 of all that reaches the model, images by the hash of the bytes as sent."""
        parts = [
            {"image": part.sha256} if isinstance(part, ImagePart) else {"text": part.text}
            for part in self.parts
        ]
        body = {"system": self.system, "parts": parts, "sampling": _fields_of(self.sampling)}
        return hashlib.sha256(_sorted_json(body).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one reply; None where the engine does not say."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one prompt.

    `finish` is "length" if the reply was cut, "refusal" for a refusal or a content filter.
    `reasoning` is text that the engine returns apart from the reply. `logprobs` maps option
    letters to natural log-probabilities if the prompt asked for them; `text` is then the most
    probable letter. `model` is the engine's own name and version of what answered.
    """

    text: str
    finish: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    latency: float = 0.0
    model: str = ""
    reasoning: str = ""
    logprobs: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model takes; checked before the first prompt is sent.

    `max_images` per prompt (0: text only, None: no limit known); `max_image_bytes` and
    `max_image_side` (pixels) are limits above which images are made smaller, which is written
    into the run. `concurrency` is how many prompts may wait at once by default. `cacheable` is
    False for models whose replies cost nothing or must not be reused. `needs_options` models
    answer multiple-choice questions only.
    """

    max_images: int | None = None
    max_image_bytes: int | None = None
    max_image_side: int | None = None
    media_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp", "image/gif")
    logprobs: bool = False
    letters_only: bool = False
    concurrency: int = 8
    cacheable: bool = True
    needs_options: bool = False


class Outcome(StrEnum):
    """The first five are answers and stay in the denominator; `error` is no answer."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    ERROR = "error"

    @property
    def scored(self) -> bool:
        return self is not Outcome.ERROR


@dataclass(frozen=True, slots=True)
class Record:
    """One line of `records.jsonl`.

    `letter` is what was extracted (None if nothing was) and `method` how. `images` holds the
    sha256 of each image as sent. `score` is 0 or 1 for multiple choice; open questions put
    their measures (exact, normalised, token F1) into `measures`. `usage` has prompt_tokens,
    cached_tokens and completion_tokens, None where unknown, and the reader's with `reader_` in
    front. `error` says why there is no reply, or none that was read.
    """

    question_id: str
    condition: str
    prompt: str
    outcome: Outcome
    letter: str | None = None
    method: str = ""
    text: str = ""
    reasoning: str = ""
    finish: str = ""
    model: str = ""
    latency: float = 0.0
    attempts: int = 1
    cached: bool = False
    usage: Mapping[str, int | None] = field(default_factory=dict)
    logprobs: Mapping[str, float] | None = None
    images: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def score(self) -> int:
        return int(self.outcome is Outcome.CORRECT)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, in a fixed order."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["outcome"] = self.outcome.value
        data["images"] = list(self.images)
        return data
