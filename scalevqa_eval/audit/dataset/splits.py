"""The same slide, patient or image in two splits: what was learned there is known here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scalevqa_eval.audit.findings import LISTED, Finding, counted
from scalevqa_eval.audit.patients import patients
from scalevqa_eval.types import Question


@dataclass(frozen=True, slots=True)
class Source:
    """Questions of a split or file, its name for people, and where its images lie."""

    name: str
    questions: tuple[Question, ...]
    root: Path | None = None


Keys = Callable[[Question], Iterable[str]]


def shared_sources(
    audited: Source, others: Sequence[Source], contents: Sequence[Mapping[str, str]]
) -> list[Finding]:
    """Slides, patients, images and ids of the audited questions that another split has as well.

    `contents` maps image paths to digests of their files: of the audited questions, then of each
    other split. An image that is not in it is known by its path alone.
    """
    found: list[Finding] = []
    digests = contents[0]
    for other, theirs in zip(others, contents[1:], strict=True):
        kinds: list[tuple[str, str, Keys, Keys]] = [
            ("shared-slide", "slide", _slide, _slide),
            ("shared-patient", "patient (TCGA)", patients, patients),
            ("shared-image", "image", _images(digests), _images(theirs)),
        ]
        for kind, noun, here, there in kinds:
            known = {key for q in other.questions for key in there(q)}
            shared = {key for q in audited.questions for key in here(q)} & known
            concerned = [q for q in audited.questions if not shared.isdisjoint(here(q))]
            if not shared:
                continue
            names = shared
            if kind == "shared-image":
                paths = {path for q in concerned for path in q.image_set}
                names = {path for path in paths if digests.get(path, path) in shared}
            found.append(
                Finding.about(
                    (q.id for q in concerned), kind, "error",
                    f"{counted(len(shared), noun)} {'is' if len(shared) == 1 else 'are'} in "
                    f"{other.name}, too: {{n}} here can be known from there.",
                    {"split": other.name, f"{noun.split()[0]}s": sorted(names)[:LISTED],
                     "count": len(shared)},
                )
            )  # fmt: skip
        same_ids = {q.id for q in audited.questions} & {q.id for q in other.questions}
        if same_ids:
            found.append(
                Finding.about(same_ids, "shared-id", "warning",
                              f"{{n}} have the id of a question in {other.name}.",
                              {"split": other.name})
            )  # fmt: skip
    return found


def _slide(question: Question) -> tuple[str, ...]:
    return (question.slide,) if question.slide else ()


def _images(digests: Mapping[str, str]) -> Keys:
    return lambda question: [digests.get(path, path) for path in question.image_set]
