"""The same slide, patient or image in two splits: what was learned there is known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from scalevqa_eval.audit.dataset.noting import counted, named, note
from scalevqa_eval.audit.findings import Finding
from scalevqa_eval.types import Question

_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")


@dataclass(frozen=True, slots=True)
class Other:
    """Another split (or file): its name for people, and its questions."""

    name: str
    questions: tuple[Question, ...]


def patients(question: Question) -> frozenset[str]:
    """TCGA patients that a question's slide, images or id name."""
    texts = (question.slide or "", *question.image_set, question.id)
    return frozenset(match for text in texts for match in _PATIENT.findall(text.upper()))


def shared_sources(
    questions: Sequence[Question],
    others: Sequence[Other],
    contents: Sequence[Mapping[str, str]] = (),
) -> list[Finding]:
    """Slides, patients and images that are in another split as well.

    `contents` maps image paths to what the files hold: first for the audited questions, then for
    each other split. An image that is not in it is known by its path alone.
    """
    found: list[Finding] = []
    empty: Mapping[str, str] = {}
    hashes = contents[0] if contents else empty
    for place, other in enumerate(others, start=1):
        theirs = contents[place] if contents else empty
        slides = _shared(questions, other, lambda q: frozenset(filter(None, (q.slide,))))
        people = _shared(questions, other, patients)
        images = _same_keys(
            {q.id: {hashes.get(v, v) for v in q.image_set} for q in questions},
            {theirs.get(v, v) for q in other.questions for v in q.image_set},
        )
        for kind, noun, shared in (
            ("shared-slide", "slide", slides),
            ("shared-patient", "patient (TCGA)", people),
            ("shared-image", "image", images),
        ):
            if not shared:
                continue
            ids = [id_ for members in shared.values() for id_ in members]
            evidence = {
                "split": other.name,
                f"{noun.split()[0]}s": named(shared),
                "count": len(shared),
            }
            if kind == "shared-image":
                evidence["images"] = named(_paths(questions, shared, hashes))
            found.append(
                note(kind, "error", ids,
                     f"{counted(len(shared), noun)} {'is' if len(shared) == 1 else 'are'} in "
                     f"{other.name}, too: {{n}} here can be known from there.", evidence)
            )  # fmt: skip
        same_ids = {q.id for q in questions} & {q.id for q in other.questions}
        if same_ids:
            found.append(
                note("shared-id", "warning", same_ids,
                     f"{{n}} have the id of a question in {other.name}.", {"split": other.name})
            )  # fmt: skip
    return found


def _shared(
    questions: Sequence[Question], other: Other, keys: Callable[[Question], frozenset[str]]
) -> dict[str, list[str]]:
    """Key → ids of audited questions, for keys that the other split has as well."""
    there = {key for question in other.questions for key in keys(question)}
    return _same_keys({question.id: keys(question) for question in questions}, there)


def _same_keys(here: Mapping[str, Set[str]], there: Set[str]) -> dict[str, list[str]]:
    shared: dict[str, list[str]] = {}
    for id_, keys in here.items():
        for key in sorted(keys & there):
            shared.setdefault(key, []).append(id_)
    return shared


def _paths(
    questions: Sequence[Question], shared: Mapping[str, list[str]], hashes: Mapping[str, str]
) -> set[str]:
    return {
        image for question in questions for image in question.image_set
        if hashes.get(image, image) in shared
    }  # fmt: skip
