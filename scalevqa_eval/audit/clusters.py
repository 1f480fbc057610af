"""Which questions belong together (slide, patient, page) where the data does not say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from scalevqa_eval.types import Question

_FIELD = re.compile(
    r"wsi|slide|patient|case|subject|donor|specimen|biopsy|page|article|paper|document|doc_?id|"
    r"source|pmc|pmid|video|study|tcga|cluster|group",
    re.IGNORECASE,
)
_ENOUGH = 5  # a field of fewer values is more likely a kind of slides than a slide
# Names of a patient, not what else is known of one (patient_age, case_type).
_PATIENT = re.compile(
    r"(?:patient|case|donor)(?:[ _-]?(?:id|no|nr|number|code|barcode|uid|name))?"
    r"|subject[ _-]?(?:id|no|nr|number|code|barcode|uid)",
    re.IGNORECASE,
)
_SLIDE = re.compile(r"wsi|slide|specimen|biopsy", re.IGNORECASE)
_TCGA = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")


def cluster_fields(row: Mapping[str, Any]) -> dict[str, str | int]:
    """What a row of a file has in fields that may name its slide or patient.

    Fields of the row, and of objects in it (`extra_info.patient` as `patient`).
    """
    found: dict[str, str | int] = {}
    inner = [part for part in row.values() if isinstance(part, dict)]
    for part in (row, *inner):
        for key, value in part.items():
            if isinstance(value, (str, int)) and _FIELD.search(key) and key not in found:
                found[key] = value
    return found


@dataclass(frozen=True, slots=True)
class Clusters:
    """One label per question, where they come from, and whether that is known or a guess.

    `alone` slides have no patient where those of others are known.
    """

    labels: tuple[str, ...]
    source: str
    known: bool
    alone: int = 0

    @property
    def count(self) -> int:
        return len(set(self.labels))


def find_clusters(questions: Sequence[Question]) -> Clusters:
    """Patients, where they are known and join slides; else the slides.

    Without slides the first of: a TCGA patient, a field of `extra`, a directory, an image. The
    first with five clusters or more, that is; else the first with two.
    Where a repair has joined slides by option blocks, their groups go before all. A guess must
    make at least two clusters, and fewer clusters than questions. Where nothing is found, each
    question is a cluster of its own.
    """
    groups = [question.extra.get("slide_group") for question in questions]
    if groups and all(isinstance(group, str) and group for group in groups):
        # Slides that option blocks join: who knows three answers of a block knows the fourth.
        return Clusters(tuple(str(group) for group in groups), "slide group", True)
    if all(question.slide for question in questions):
        return _patients(questions) or Clusters(
            tuple(str(q.slide) for q in questions), "slide", True
        )
    found: list[Clusters] = []
    for source, label in _guesses(questions):
        labels = [label(question) for question in questions]
        if all(value is not None for value in labels) and 2 <= len(set(labels)) < len(questions):
            found.append(Clusters(tuple(str(value) for value in labels), source, False))
            if found[-1].count >= _ENOUGH:
                return found[-1]
    if found:
        return found[0]
    if any(question.slide for question in questions):  # some are known: the others stand alone
        mixed = tuple(q.slide or f"\0{i}" for i, q in enumerate(questions))
        return Clusters(mixed, "slide, where it is given", False)
    return Clusters(tuple(f"\0{i}" for i in range(len(questions))), "", False)


Label = Callable[[Question], str | None]


def _guesses(questions: Sequence[Question]) -> list[tuple[str, Label]]:
    names = {key for question in questions for key in question.extra if _FIELD.search(key)}
    fields = sorted(names, key=lambda n: (not _PATIENT.fullmatch(n), not _SLIDE.search(n), n))
    guesses: list[tuple[str, Label]] = [("TCGA patient", _tcga)]
    guesses += [(f"field {name!r}", _field(name)) for name in fields]
    guesses += [("image directory", _directory), ("image", _image)]
    return guesses


def patients(question: Question) -> tuple[str, ...]:
    """TCGA patients that a question's slide, images or id name, in that order, each once."""
    texts = (question.slide or "", *question.image_set, question.id)
    return tuple(dict.fromkeys(name for t in texts for name in _TCGA.findall(t.upper())))


def _tcga(question: Question) -> str | None:
    return next(iter(patients(question)), None)


def _patients(questions: Sequence[Question]) -> Clusters | None:
    """Slides joined by patient, if any two are of one, and half of them or more have a patient."""
    slides = [str(question.slide) for question in questions]
    fields = sorted({key for q in questions for key in q.extra if _PATIENT.fullmatch(key)})
    for source, label in [("TCGA patient", _tcga), *((f"field {n!r}", _field(n)) for n in fields)]:
        found: dict[str, set[str]] = {slide: set() for slide in slides}
        for slide, question in zip(slides, questions, strict=True):
            found[slide] |= {patient for patient in (label(question),) if patient is not None}
        if any(len(patients) > 1 for patients in found.values()):
            continue  # no name for what a slide belongs to
        known = {slide: next(iter(patients)) for slide, patients in found.items() if patients}
        if 2 * len(known) >= len(found) and len(set(known.values())) < len(known):
            named = tuple(known.get(slide, f"slide {slide}") for slide in slides)
            if len(set(named)) > 1:
                return Clusters(named, source, True, len(found) - len(known))
    return None


def _field(name: str) -> Label:
    def label(question: Question) -> str | None:
        value = question.extra.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
        return None

    return label


def _directory(question: Question) -> str | None:
    parents = {str(PurePosixPath(image).parent) for image in question.image_set}
    return min(parents) if parents else None


def _image(question: Question) -> str | None:
    return min(question.image_set) if question.views else None
