"""The files of an audit: audit.json, audit.html, badge.svg and datasheet.md."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from scalevqa_eval.audit.badge import badge_svg
from scalevqa_eval.audit.datasheet import datasheet
from scalevqa_eval.audit.page import FILE as PAGE
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.audit.report import FILE, AuditReport
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Question

BADGE, DATASHEET = "badge.svg", "datasheet.md"


def save(report: AuditReport, directory: Path | str, questions: Sequence[Question] = ()) -> Path:
    """Write all files of an audit; returns audit.json, which is written last.

    `questions` give the page the texts of its examples, by default the audited ones. Raises
    DataError if it cannot be written.
    """
    directory = Path(directory)
    data = report.to_json()
    write_text(directory / PAGE, to_html(data, questions or report.source))
    write_text(directory / BADGE, badge_svg(data["verdict"]))
    write_text(directory / DATASHEET, datasheet(data))
    return write_text(directory / FILE, report.text())


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
