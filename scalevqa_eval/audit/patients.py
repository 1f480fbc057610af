"""The patient that a TCGA barcode names, wherever one stands in a question."""

from __future__ import annotations

import re

from scalevqa_eval.types import Question

_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])")


def patients(question: Question) -> tuple[str, ...]:
    """TCGA patients that a question's slide, images or id name, in that order, each once."""
    texts = (question.slide or "", *question.image_set, question.id)
    return tuple(dict.fromkeys(name for t in texts for name in _PATIENT.findall(t.upper())))
