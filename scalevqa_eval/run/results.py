"""Runs as they are read back: one directory each, and what one call of `evaluate` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import DataError, MissingExtra
from scalevqa_eval.run.files import (
    MANIFEST,
    QUESTIONS,
    RECORDS,
    QuestionKey,
    read_manifest,
    read_questions,
    read_records,
    read_summary,
)
from scalevqa_eval.types import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """One model's answers to one benchmark under one condition: a run directory.

    `questions` and `records` are read from the directory when they are first asked for, which
    raises DataError if a file there is damaged.
    """

    path: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]

    def __repr__(self) -> str:
        model, score = self.manifest["model"]["name"], _score(self.summary)
        return f"<Run of {model}, {self.condition}: {score}; {self.path}>"

    @property
    def condition(self) -> str:
        return str(self.manifest["condition"])

    @cached_property
    def questions(self) -> tuple[QuestionKey, ...]:
        """What was asked, in the benchmark's order."""
        return read_questions(self.path)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """One record of each question that was asked, in the order of `questions`."""
        place = {key.id: number for number, key in enumerate(self.questions)}
        found: dict[str, Record] = {}
        for line in read_records(self.path):
            if line.record is None:
                continue
            id_ = line.record.question_id
            where = f"{self.path / RECORDS}, line {line.number}"
            if id_ not in place:
                raise DataError(f"{where}: {id_!r} is not in {QUESTIONS}")
            if id_ in found and found[id_].outcome.scored:
                raise DataError(f"{where}: {id_!r} is answered twice")
            found[id_] = line.record
        return tuple(sorted(found.values(), key=lambda record: place[record.question_id]))

    def to_pandas(self) -> pd.DataFrame:
        """One row per record, with the question's dimension, slide and right letter.

        Raises MissingExtra if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtra("to_pandas()", "pandas") from None
        keys = {key.id: key for key in self.questions}
        rows = []
        for record in self.records:
            key = keys[record.question_id]
            row = record.to_json()
            row |= {"dimension": key.dimension, "slide": key.slide, "answer": key.answer}
            row |= {"score": record.score, "n_options": key.n_options}
            rows.append(row)
        return pd.DataFrame(rows)


def open_run(path: Path | str) -> Run:
    """Read a run directory; records come in the order of the questions.

    A torn last line of the records is passed over.

    Raises DataError if the directory is no run or a file in it is damaged.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        raise DataError(f"{path} is no run directory: it has no {MANIFEST}")
    run = Run(path, read_manifest(path), read_summary(path))
    _ = run.records  # what is damaged is said now
    return run


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The runs of one call of `evaluate`, one per condition, by the condition's name.

    `complete` is False if a question has no answer; `stopped` then says why the call ended
    early, "" if it did not, and `last_error` why the last question that failed did.
    """

    runs: Mapping[str, Run]
    complete: bool
    stopped: str = ""
    last_error: str = ""

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {_score(run.summary)}" for name, run in self.runs.items())
        return f"<Evaluation: {scores}{'' if self.complete else '; incomplete'}>"

    def __getitem__(self, condition: str) -> Run:
        return self.runs[condition]

    @property
    def summary(self) -> dict[str, Any]:
        """The first condition's summary; with several, the key `conditions` holds all by name."""
        summaries = {name: dict(run.summary) for name, run in self.runs.items()}
        first = next(iter(summaries.values()))
        return first if len(summaries) == 1 else {**first, "conditions": summaries}

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all conditions."""
        return tuple(record for run in self.runs.values() for record in run.records)

    @property
    def path(self) -> Path:
        """The first condition's run directory."""
        return next(iter(self.runs.values())).path

    def to_pandas(self) -> pd.DataFrame:
        """All records as one DataFrame, with a column `condition`."""
        frames = [run.to_pandas() for run in self.runs.values()]
        import pandas as pd

        return pd.concat(frames, ignore_index=True)


def _score(summary: Mapping[str, Any]) -> str:
    return f"{summary.get('correct', 0)}/{summary.get('n', 0)} right"
