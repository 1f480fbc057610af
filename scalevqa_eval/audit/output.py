"""The files of an audit, written in one step each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.audit.badge import badge_svg
from scalevqa_eval.audit.datasheet import datasheet
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.audit.subsets import subsets
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Question

FILE = "audit.json"


def write_audit(
    data: Mapping[str, Any], directory: Path | str, questions: Sequence[Question] = ()
) -> Path:
    """Write all files of an audit from what audit.json holds; returns audit.json, written last.

    `questions` give the page the texts of its examples. Raises DataError if it cannot be written.
    """
    files = {
        "audit.html": to_html(data, questions),
        "badge.svg": badge_svg(data),
        "datasheet.md": datasheet(data),
        **subsets(data),
        FILE: text_of(data),
    }
    return [write_text(Path(directory) / name, text) for name, text in files.items()][-1]


def text_of(data: Mapping[str, Any]) -> str:
    """audit.json as text; the same audit gives the same bytes."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> Path:
    """Write a file in one step, making its directory. Raises DataError if that fails."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return path
