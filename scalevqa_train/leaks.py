"""The audit's leak scores of a benchmark's questions."""

from __future__ import annotations

import json
from pathlib import Path

from scalevqa_eval.errors import DataError


def read_leak_scores(path: Path) -> dict[str, float]:
    """Question id → leak score (0 to 1) from an `audit.json`.

    Raises DataError if the file is no audit or has no score for any question.
    """
    try:
        audit = json.loads(path.read_text("utf-8"))
        rows = audit["questions"]
        pairs = rows.items() if isinstance(rows, dict) else ((row["id"], row) for row in rows)
        scores = {str(name): _score(entry) for name, entry in pairs}
    except OSError as error:
        raise DataError(f"the audit {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no audit with leak scores of questions: {error}") from error
    if not scores:
        raise DataError(f"{path} has no leak score of any question")
    for name, score in scores.items():
        if not 0 <= score <= 1:
            raise DataError(f"{path}: the leak score of {name} is {score}, not 0 to 1")
    return scores


def _score(entry: object) -> float:
    value = entry["leak_score"] if isinstance(entry, dict) else entry
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no leak score")
    return float(value)
