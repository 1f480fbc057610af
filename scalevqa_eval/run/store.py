"""The files of a run directory, and what is read back from them.

manifest.json    what was asked of which model, and with which versions; images as sent
questions.jsonl  id, dimension, slide and right letter of each question, without its text
records.jsonl    one line per answered question, appended and flushed at once
set-aside.jsonl  records whose prompt is no longer what would be asked now, if there are any
summary.json     computed from the records, rewritten at the end of each call
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from scalevqa_eval.errors import DataError, MissingExtra
from scalevqa_eval.run.manifest import FORMAT, Manifest, manifest_id
from scalevqa_eval.types import LETTERS, Question, Record

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import TypeAdapter

MANIFEST, QUESTIONS, RECORDS = "manifest.json", "questions.jsonl", "records.jsonl"
SUMMARY, SET_ASIDE = "summary.json", "set-aside.jsonl"
CHECK = b',"crc32":'
_LARGEST = 2**53  # above it, JSON numbers are not exact everywhere


@dataclass(frozen=True, slots=True)
class QuestionKey:
    """What statistics need of a question; `answer` is the letter under this run's condition."""

    id: str
    dimension: str
    slide: str | None
    answer: str
    n_options: int

    @classmethod
    def of(cls, question: Question) -> QuestionKey:
        # The reference text of an open question belongs to the dataset, not into a run.
        answer = "" if question.is_open else question.answer
        return cls(question.id, question.dimension, question.slide, answer, len(question.options))


# --- reading: every value has its type and its bounds, or the file and the line are named --------


class _NoJSON(ValueError):
    """A line that is not whole, as a crash leaves it."""


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _read(wanted: Any, data: bytes) -> Any:
    """JSON as a value of that type. Raises ValueError in words for a person."""
    from pydantic import ValidationError

    try:
        return _reader(wanted).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        kind = _NoJSON if first["type"] == "json_invalid" else ValueError
        raise kind(f"{place}: {first['msg']}" if place else first["msg"]) from None


def read_manifest(directory: Path) -> dict[str, Any]:
    """A run's manifest. Raises DataError if it is damaged or its settings were changed."""
    path = directory / MANIFEST
    try:
        data = path.read_bytes()
        _read(Manifest, data)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no manifest of a run ({error})") from None
    manifest: dict[str, Any] = json.loads(data)
    if manifest["format"] > FORMAT:
        raise DataError(f"{path} was written by a newer version of scalevqa-eval: update it")
    if manifest["id"] != manifest_id(manifest):
        raise DataError(
            f"{path}: its settings were changed after the run (they do not give its id). Put "
            "the file back as it was, or move the directory away to ask everything anew"
        )
    return manifest


def read_summary(directory: Path) -> dict[str, Any]:
    """A run's summary, {} if it has none yet. Raises DataError if it is no JSON object."""
    path = directory / SUMMARY
    try:
        summary: dict[str, Any] = _read(dict[str, Any], path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return summary


def read_questions(directory: Path) -> tuple[QuestionKey, ...]:
    """The questions that a run covers, each once. Raises DataError for anything else."""
    path = directory / QUESTIONS
    found: dict[str, QuestionKey] = {}
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    key: QuestionKey = _read(QuestionKey, line)
                    letters = LETTERS[: key.n_options] if 0 <= key.n_options <= 26 else ""
                    if key.answer not in (*letters,) if letters else key.answer or key.n_options:
                        raise ValueError(f"the answer {key.answer!r} is none of the options")
                    if key.id in found:
                        raise ValueError(f"the id {key.id!r} stands in two lines")
                except ValueError as error:
                    raise DataError(f"{path}, line {number} is damaged ({error})") from None
                found[key.id] = key
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `records.jsonl`, counted from 1; a torn last line has no record."""

    number: int
    record: Record | None
    data: bytes


def read_records(directory: Path) -> Iterator[Line]:
    """The lines of a run's records, one after the other; a missing file has none.

    Raises DataError for a damaged line that is not the last.
    """
    path = directory / RECORDS
    try:
        with path.open("rb") as file:
            lines = enumerate(file, 1)
            for number, data in lines:
                try:
                    record = _read_record(data)
                except ValueError as error:
                    if isinstance(error, _NoJSON) and next(lines, None) is None:
                        yield Line(number, None, data)
                        return
                    raise DataError(
                        f"{path}, line {number} is damaged ({error}); remove that line to have "
                        "its question asked again"
                    ) from None
                yield Line(number, record, data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_record(data: bytes) -> Record:
    if not data.endswith(b"}\n"):
        raise _NoJSON("it is no whole JSON object")
    head, mark, check = data.rpartition(CHECK)
    if mark and check[:-2] != b"%d" % crc32(head + b"}"):
        raise ValueError("its checksum does not fit: it was changed since it was written")
    record: Record = _read(Record, data)
    if not record.question_id:
        raise ValueError("question_id: it is empty")
    counts = [record.attempts, *(count for count in record.usage.values() if count is not None)]
    if not all(0 <= count < _LARGEST for count in counts):
        raise ValueError("usage: counts are from 0 to 2^53")
    if not 0 <= record.latency < _LARGEST:
        raise ValueError("latency: it is no number of seconds")
    return record


# --- runs


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
            if id_ in found:
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
