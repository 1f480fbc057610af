"""What a leaderboard keeps of a run: one line per question, without any text of the benchmark.

`answers/BENCHMARK/NAME.jsonl`, each line {"id", "dimension", "slide", "answer", "letter",
"outcome"}. Entries that have such a file can be recomputed by anyone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scalevqa_eval.errors import DataError
from scalevqa_eval.run.store import QuestionKey
from scalevqa_eval.types import Outcome, Record

_FIELDS = ("id", "dimension", "slide", "answer", "letter", "outcome")
_OUTCOMES = {outcome.value for outcome in Outcome if outcome.scored}


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one entry, in the order of the file. `scores` are 0 and 1."""

    ids: tuple[str, ...]
    dimensions: tuple[str, ...]
    slides: tuple[str | None, ...]
    scores: npt.NDArray[np.float64]

    def counts(self) -> dict[str, tuple[int, int]]:
        """(n, correct) by dimension."""
        found: dict[str, tuple[int, int]] = {}
        for name, score in zip(self.dimensions, self.scores, strict=True):
            n, correct = found.get(name, (0, 0))
            found[name] = (n + 1, correct + int(score))
        return found


def to_lines(questions: Sequence[QuestionKey], records: Sequence[Record]) -> str:
    """The file's text for the questions of a run, in their order."""
    by_id = {record.question_id: record for record in records}
    lines = []
    for key in questions:
        record = by_id[key.id]
        values = (key.id, key.dimension, key.slide, key.answer, record.letter, record.outcome.value)
        row = dict(zip(_FIELDS, values, strict=True))
        lines.append(json.dumps(row, separators=(",", ":")) + "\n")
    return "".join(lines)


def read_answers(path: Path, sha256: str | None = None) -> Answers:
    """Read and check a file; scores are recomputed from the letters.

    Raises DataError for a damaged line, a question twice, an outcome that contradicts its
    letter, or (with `sha256`) another content than was entered.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise DataError(f"{path} was changed after it was entered (its sha256 is another)")
    ids: list[str] = []
    dimensions: list[str] = []
    slides: list[str | None] = []
    scores: list[float] = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            row = json.loads(line)
            id_, dimension, slide = row["id"], row["dimension"], row["slide"]
            answer, letter, outcome = row["answer"], row["letter"], row["outcome"]
            right = outcome == "correct"
            typed = isinstance(id_, str) and isinstance(dimension, str)
            if not typed or not (slide is None or isinstance(slide, str)):
                raise ValueError("id, dimension and slide are texts")
            if outcome not in _OUTCOMES:
                raise ValueError(f"outcome {outcome!r}")
            # Open questions have no letter to check against: their answer is "".
            if answer and right != (letter == answer):
                raise ValueError(f"{outcome}, but {letter!r} was given and {answer!r} is right")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: {error}") from error
        ids.append(id_)
        dimensions.append(dimension)
        slides.append(slide)
        scores.append(float(right))
    if len(set(ids)) != len(ids):
        raise DataError(f"{path} has a question twice")
    return Answers(tuple(ids), tuple(dimensions), tuple(slides), np.array(scores))
