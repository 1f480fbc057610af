"""Run directories for tests, written as the runner writes them, from rows of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.run import QuestionKey, Run, files, open_run
from scalevqa_eval.run.manifest import manifest_id
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import Outcome, Record

DIMENSIONS = ("Correspondence", "Diagnosis")


def keys(n: int, *, slides: int = 8, dimensions: Sequence[str] = DIMENSIONS) -> list[QuestionKey]:
    """`n` four-option questions, dealt to dimensions and slides in turn."""
    return [
        QuestionKey(
            f"q{i}", dimensions[i % len(dimensions)], f"slide{i % slides}", "ABCD"[i % 4], 4
        )
        for i in range(n)
    ]


def answer(key: QuestionKey, outcome: Outcome | str, condition: str = "full") -> Record:
    """A record of that outcome, with the letter that goes with it."""
    outcome = Outcome(outcome)
    wrong = "ABCD"["ABCD".index(key.answer) - 1]
    letters = {Outcome.CORRECT: key.answer, Outcome.WRONG: wrong}
    letter = letters.get(outcome)
    text = f"<think>seen</think> <answer>{letter}</answer>" if letter else "hm"
    error = "no reply" if outcome is Outcome.ERROR else ""
    return Record(key.id, condition, "0" * 64, outcome, letter, "answer-tag", text, error=error)


def write_run(
    path: Path,
    scores: Sequence[int | str],
    *,
    questions: Sequence[QuestionKey] | None = None,
    model: str = "test/model",
    condition: str = "full",
    benchmark: Mapping[str, Any] | None = None,
    questions_digest: str = "4" * 64,
    **manifest: Any,
) -> Run:
    """Write and open a run; a score is 0, 1 or the name of an outcome ("" for no record)."""
    asked = list(questions if questions is not None else keys(len(scores)))
    names = {0: "wrong", 1: "correct"}
    records = [
        answer(key, names[score] if isinstance(score, int) else score, condition)
        for key, score in zip(asked, scores, strict=True)
        if score != ""
    ]
    about = {"name": "small", "revision": "r1", "split": "test", "card": "", "n": len(asked)}
    settings = {
        "benchmark": {**about, **(benchmark or {})},
        "condition": condition,
        "model": {"name": model, "identity": {}},
        "prompt": {"style": "scalereasoner-v1", "sha256": "5" * 64},
        "sampling": {"temperature": 0.0},
        "seed": 0,
        "questions": questions_digest,
        "trained_on": None,
        "format": 1,
        "n": len(asked),
        "scorer": "",
        "not_applicable": 0,
        "versions": {"scalevqa-eval": "0.1.0"},
        "git": "",
        "started": "2026-11-21T00:00:00Z",
        **manifest,
    }
    settings["id"] = manifest_id(settings)
    path.mkdir(parents=True)
    files.write_json(path / files.MANIFEST, settings)
    files.write_questions(path, asked)
    files.write_atomically(path / files.RECORDS, map(files.record_line, records))
    files.write_json(path / files.SUMMARY, summarise(asked, records, manifest=settings))
    return open_run(path)
