"""Question → Prompt: what is sent to a model, and nothing that is not.

A prompt never carries the answer, so no model adapter can see it by accident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path

from scalevqa_eval.errors import UsageError
from scalevqa_eval.questions import Question, View

STYLES = ("scalereasoner", "direct", "cot", "open")
SYSTEM_END = "\n---\n"


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
        body = {"system": self.system, "parts": parts, "sampling": asdict(self.sampling)}
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PromptStyle:
    """A versioned prompt: system text and the line put after the options ("" for none)."""

    name: str
    system: str
    suffix: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.system}{SYSTEM_END}{self.suffix}".encode()).hexdigest()


def load_style(name_or_path: str) -> PromptStyle:
    """A built-in style by name, or a user's own text file.

    A file holds the system text; after a line of three dashes may follow text that is put after
    the options. Raises UsageError for an unknown name or an unreadable file.
    """
    if name_or_path in STYLES:
        file = resources.files("scalevqa_eval") / "prompt_texts" / f"{name_or_path}-v1.txt"
        return _parse_style(f"{name_or_path}-v1", file.read_text("utf-8"))
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"no prompt {name_or_path!r}: give one of {', '.join(STYLES)} or the path of a file"
        )
    try:
        return _parse_style(path.name, path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a UTF-8 text file") from error
    except OSError as error:
        raise UsageError(f"cannot read the prompt {path}: {error.strerror}") from error


def _parse_style(name: str, text: str) -> PromptStyle:
    # The line end in front lets a file begin with the three dashes: no system text at all.
    system, _, suffix = f"\n{text}\n".replace("\r\n", "\n").partition(SYSTEM_END)
    return PromptStyle(name, system.strip(), suffix.strip())


def question_text(question: Question) -> str:
    """The text of a question as shown: the question, then one line per option."""
    lines = [question.text] if question.text else []
    lines += [f"({letter}) {text}" for letter, text in question.options.items()]
    return "\n".join(lines)


def build_prompt(
    question: Question,
    style: PromptStyle,
    sampling: Sampling,
    image: Callable[[View], ImagePart],
) -> Prompt:
    """Images first, in the question's order, then the question and its options.

    `conditions.apply` puts views in order low, mid, high, unless the condition shuffles them.
    `image` turns a view into what is sent of it: `ImageStore.part` of images.py.
    """
    text = question_text(question)
    if style.suffix:
        text = f"{text}\n{style.suffix}"
    images = [image(view) for view in question.views]
    parts: tuple[TextPart | ImagePart, ...] = (*images, TextPart(text))
    if sampling.logprobs:
        sampling = replace(sampling, max_tokens=1)
    return Prompt(
        question_id=question.id,
        system=style.system,
        parts=parts,
        sampling=sampling,
        text=question.text,
        options=question.options,
        dimension=question.dimension,
    )
