"""Question → Prompt: what is sent to a model, and nothing that is not.

A prompt never carries the answer, so no model adapter can see it by accident.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import ImagePart, Prompt, Question, Sampling, TextPart, View

STYLES = ("scalereasoner", "direct", "cot", "open")
SYSTEM_END = "\n---\n"


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
        file = resources.files(__package__) / "texts" / f"{name_or_path}-v1.txt"
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
    `image` turns a view into what is sent of it: `ImageStore.part`.
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
