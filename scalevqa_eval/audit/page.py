"""An audit as one self-contained HTML page: no network, no script, everything escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scalevqa_eval.audit import tables
from scalevqa_eval.audit.why import Why, why
from scalevqa_eval.pages import environment, one_line, percent
from scalevqa_eval.types import Question

EXAMPLES = 12
_LOOKED_AT = 60  # most leaky questions among which one with reasons is looked for
_LONGEST = 700
_OPEN = {"dimensions", "inputs", "transfer", "blind", "knowledge", "visual", "repair", "groups"}


def to_html(data: Mapping[str, Any], questions: Sequence[Question] = ()) -> str:
    """The page of an audit (`AuditReport.to_json()`); `questions` give the texts of examples.

    The same data give the same bytes.
    """
    made = environment("scalevqa_eval.audit")
    made.filters["one_line"] = one_line
    examples = _examples(data, questions)
    view = {
        "name": tables.name_of(data["benchmark"]),
        "verdict": data["verdict"],
        "verdict_words": tables.verdict_words(data),
        "first_line": tables.first_line(data),
        "scope": data["scope"],
        "reasons": data["reasons"],
        "benchmark": data["benchmark"],
        "steps": tables.next_steps(data),
        "since": data.get("against", {}).get("lines", ()),
        "example": examples[0] if examples else None,
        "examples": examples[1:],
        "tables": [(table, table.key in _OPEN, _drawn(table)) for table in tables.tables(data)],
        "findings": [_finding(finding) for finding in tables.sorted_findings(data)],
        "settings": data["settings"],
        "versions": data["versions"],
        "self_test": data["self_test"],
    }
    return made.get_template("audit.html.j2").render(**view) + "\n"


def _drawn(table: tables.Table) -> list[tuple[tables.Row, dict[str, str] | None]]:
    """Rows with their bar: positions in percent, with one decimal."""
    return [(row, None if row.share is None else _bar(row.share)) for row in table.rows]


def _bar(share: Mapping[str, Any]) -> dict[str, str]:
    low, high = (min(1.0, max(0.0, x)) for x in share["ci"])
    return {
        "low": percent(low),
        "width": percent(high - low),
        "at": percent(min(1.0, share["accuracy"])),
        "chance": percent(share.get("base_rate", share["chance"])),
    }


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    evidence = json.dumps(finding["evidence"], ensure_ascii=False, sort_keys=True)
    return {
        **finding,
        "evidence": _shortened(evidence, 2_000) if finding["evidence"] else "",
        "ids": finding["question_ids"],
    }


def _examples(data: Mapping[str, Any], questions: Sequence[Question]) -> list[dict[str, Any]]:
    """The most leaky questions; the first is one that says why, in words that can be marked."""
    known = {question.id: question for question in questions}
    leaks = [leak for leak in data["questions"] if leak["id"] in known][:_LOOKED_AT]
    asked = [known[leak["id"]] for leak in leaks]
    found = list(zip(leaks, asked, why(asked, data), strict=True))
    best = max(found, key=lambda item: _telling(*item), default=None)
    chosen = ([best] if best else []) + [item for item in found if item is not best]
    return [_example(*item) for item in chosen[: EXAMPLES + 1]]


def _telling(leak: Mapping[str, Any], question: Question, reason: Why) -> tuple[bool, bool, float]:
    marked = bool(reason.asked) or any(reason.marks.values())
    return leak["credit"] >= 1, marked and len(question.text) < _LONGEST, reason.strength


def _example(leak: Mapping[str, Any], question: Question, reason: Why) -> dict[str, Any]:
    return {
        "leak": leak,
        "question": question,
        "score": f"{leak['leak_score']:.2f}",
        "text": list(_parts(question.text, reason.asked)),
        "options": [
            {"letter": letter, "right": letter == question.answer,
             "parts": list(_parts(text, reason.marks[letter]))}
            for letter, text in question.options.items()
        ],
        "reasons": reason.reasons,
    }  # fmt: skip


def _parts(text: str, marks: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """A text in pieces, and whether each is marked; cut if it is very long."""
    place = 0
    for start, end in marks:
        if start < _LONGEST:
            yield text[place:start], False
            yield text[start:end], True
            place = end
    yield _shortened(text[place:], max(0, _LONGEST - place)), False


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text):,} characters)"
