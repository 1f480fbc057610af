"""An audit as one self-contained HTML page: no network, no script, everything escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalevqa_eval.audit.page_models import blind_table, repair_summary, visual_tables
from scalevqa_eval.audit.shown import (
    Bar,
    bar,
    clean,
    count,
    full_name,
    percent,
    points,
    small,
    span,
)
from scalevqa_eval.types import Question

FILE = "audit.html"
EXAMPLES = 20
_LONGEST = 700
_PHRASES = 30
_CUES = 16
_MEANING = {
    "leaky": "Questions can be answered without looking at the images, better than by guessing.",
    "clean": "No probe that was tried answers better than guessing, and there are enough "
    "questions to say so.",
    "undecided": "Nothing was shown, but there are too few questions to say that there is nothing.",
}


def to_html(data: Mapping[str, Any], questions: Sequence[Question] = ()) -> str:
    """The page of an audit (`AuditReport.to_json()`); `questions` give the texts of examples.

    The same data give the same bytes.
    """
    environment = Environment(
        loader=PackageLoader("scalevqa_eval.audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = clean
    return environment.get_template("audit.html.j2").render(**_view(data, questions)) + "\n"


def _view(data: Mapping[str, Any], questions: Sequence[Question]) -> dict[str, Any]:
    benchmark, text = data["benchmark"], data["text_only"]
    verdicts = data["verdict_by_dimension"]
    return {
        "name": clean(full_name(benchmark["name"], benchmark["split"])),
        "verdict": data["verdict"],
        "meaning": _MEANING[data["verdict"]],
        "reasons": data["reasons"],
        "benchmark": benchmark,
        "rows": [
            _stratum(name, part, verdicts.get(name, part["verdict"]))
            for name, part in (*text["by_dimension"].items(), ("all questions", text))
        ],
        "probes": [_probe(p) for p in sorted(text["probes"], key=_by_accuracy)],
        "chance": percent(text["chance"]),
        "detectable": percent(text["detectable_leak"]),
        "cues": [_cue(cue) for cue in data["shortcuts"]["cues"][:_CUES]],
        "more_cues": max(0, len(data["shortcuts"]["cues"]) - _CUES),
        "phrases": _phrases(data["shortcuts"]["phrases"]),
        "position": _position(data["position"]),
        "transfer": _transfer(data.get("transfer")),
        "blind": blind_table(data.get("blind")),
        "visual": visual_tables(data.get("visual")),
        "repair": repair_summary(data.get("repair")),
        "findings": _findings(data["findings"]),
        "examples": _examples(data["questions"], questions),
        "settings": data["settings"],
        "versions": data["versions"],
        "self_test": data["self_test"],
    }


def _by_accuracy(probe: Mapping[str, Any]) -> tuple[float, str]:
    return -probe["accuracy"], probe["name"]


def _stratum(name: str, part: Mapping[str, Any], verdict: str) -> dict[str, Any]:
    return {
        "name": clean(name),
        "probe": part["best_probe"],
        "count": count(part["correct"], part["n"]),
        "bar": bar(part),
        "p": small(part["p_adjusted"]),
        "upper": percent(part["largest_leak"]),
        "verdict": verdict,
    }


def _probe(probe: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": probe["name"],
        "about": probe["about"],
        "kind": probe["kind"],
        "count": count(probe["correct"], probe["n"]),
        "bar": bar(probe),
        "null": "" if probe["null_mean"] is None else percent(probe["null_mean"]),
        "p": small(probe["p_value"]),
        "test": "redraws",
    }


def _cue(cue: Mapping[str, Any]) -> dict[str, Any]:
    way = "right" if cue["direction"] == "right" else "wrong more often than by chance"
    return {
        "text": cue["about"],
        "dimension": clean(cue["dimension"] or "all questions"),
        "way": way,
        "count": count(cue["correct"], cue["n"]),
        "bar": bar(cue),
        "q": small(cue["q_value"]),
    }


def _phrases(phrases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    strongest = sorted(phrases, key=lambda p: (p["p_value"], p["phrase"], p["dimension"] or ""))
    return [
        {
            "text": clean(p["phrase"]),
            "dimension": clean(p["dimension"] or "all questions"),
            "way": "points to the right option" if p["direction"] == "right" else "points away",
            "count": f"{p['right']}/{p['questions']}",
            "span": span(p["ci"]),
            "expected": f"{p['expected']:.1f}",
            "q": small(p["q_value"]),
        }
        for p in strongest[:_PHRASES]
    ]


def _position(position: Mapping[str, Any]) -> dict[str, Any]:
    rows = {"all questions": position, **position["by_dimension"]}
    width = max(len(part["counts"]) for part in rows.values())
    return {
        "letters": list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:width]),
        "rows": [
            {
                "name": clean(name),
                "counts": [*part["counts"], *[""] * (width - len(part["counts"]))],
                "p": small(part["p_adjusted"]),
                "skewed": part["p_adjusted"] <= position["level"],
            }
            for name, part in rows.items()
        ],
    }


def _transfer(transfer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not transfer:
        return None
    rows = {**transfer["by_dimension"], "all questions": transfer}
    return {
        "trained_on": clean(transfer["trained_on"]),
        "trained_questions": f"{transfer['trained_questions']:,}",
        "rows": [
            {"name": clean(name), "count": count(part["correct"], part["n"]), "bar": bar(part),
             "p": small(part["p_value"])}
            for name, part in rows.items()
        ],
    }  # fmt: skip


def _findings(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    order = {"error": 0, "warning": 1, "note": 2}
    return [
        {
            "kind": finding["kind"],
            "severity": finding["severity"],
            "message": clean(finding["message"]),
            "ids": [clean(id_) for id_ in finding["question_ids"]],
            "evidence": _shorten(
                json.dumps(finding["evidence"], ensure_ascii=False, sort_keys=True), 4_000
            )
            if finding["evidence"]
            else "",
        }
        for finding in sorted(findings, key=lambda f: order[f["severity"]])
    ]


def _examples(
    leaks: Sequence[Mapping[str, Any]], questions: Sequence[Question]
) -> list[dict[str, Any]]:
    known = {question.id: question for question in questions}
    shown = [leak for leak in leaks if leak["id"] in known][:EXAMPLES]
    return [_example(leak, known[leak["id"]]) for leak in shown]


def _example(leak: Mapping[str, Any], question: Question) -> dict[str, Any]:
    score, spread = leak["leak_score"], leak["leak_sd"]
    return {
        "id": clean(question.id),
        "dimension": clean(question.dimension),
        "slide": clean(question.slide or ""),
        "score": f"{score:.2f}" + (f" ± {spread:.2f}" if spread is not None else ""),
        "bar": Bar(percent(score), at=points(score), chance=points(leak["chance"])),
        "text": _shorten(question.text, _LONGEST),
        "options": [
            {"letter": letter, "text": _shorten(text, _LONGEST), "right": letter == question.answer}
            for letter, text in question.options.items()
        ],
    }


def _shorten(text: str, limit: int) -> str:
    text = clean(text)
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text):,} characters)"
