"""The section on text-only leakage for a dataset card, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scalevqa_eval.audit.shown import clean, count, full_name, percent, signed, small, span

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_PHRASES = 5
_FINDINGS = 12


def datasheet(data: Mapping[str, Any]) -> str:
    """A Markdown section to paste into a dataset card, from what audit.json holds."""
    benchmark, text = data["benchmark"], data["text_only"]
    name = _plain(full_name(benchmark["name"], benchmark["split"]))
    clusters = (
        f", {benchmark['clusters']} clusters ({_plain(benchmark['clusters_from'])})"
        if benchmark["clusters_from"]
        else ""
    )
    lines = [
        "## Can it be answered without the images?",
        "",
        f"**Verdict: {data['verdict']}.** {name}, {benchmark['audited']} questions{clusters}; "
        f"revision `{_code(benchmark['revision'])}`; audited with scalevqa-eval "
        f"{data['versions']['scalevqa-eval']}, seed {data['settings']['seed']}, "
        f"{data['settings']['permutations']} redraws.",
        "",
        "| questions | best text-only probe | right | % | 95 % interval | chance % | p | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    verdicts = data["verdict_by_dimension"]
    for label, part in (*text["by_dimension"].items(), ("all questions", text)):
        verdict = verdicts.get(label, part["verdict"])
        lines.append(
            f"| {_plain(label)} | {part['best_probe']} | {count(part['correct'], part['n'])} | "
            f"{_percent(part['accuracy'])} | {span(part['ci'])} | {_percent(part['chance'])} | "
            f"{small(part['p_adjusted'])} | {verdict} |"
        )
    lines += ["", *_models(data), *_shortcuts(data), *_findings(data)]
    lines += [
        "The interval is clustered; p is corrected for all probes and rows. Clean means that every "
        f"probe's upper limit is below chance plus {percent(data['settings']['margin'])}; "
        "undecided, that the questions are too few to say so.",
    ]
    return "\n".join(lines) + "\n"


def _models(data: Mapping[str, Any]) -> list[str]:
    lines = []
    transfer = data.get("transfer")
    if transfer:
        lines.append(
            f"- Fitted on {_plain(transfer['trained_on'])} ({transfer['trained_questions']} "
            f"questions), text-only probes answer {count(transfer['correct'], transfer['n'])} = "
            f"{percent(transfer['accuracy'])} ({span(transfer['ci'])})."
        )
    for row in (data.get("blind") or {}).get("results", ()):
        lines.append(
            f"- {_plain(row['model'])}, blind ({row['condition']}, {_plain(row['mode'])}): "
            f"{count(row['correct'], row['n'])} = {percent(row['accuracy'])} ({span(row['ci'])}), "
            f"{row['call']} chance."
        )
    for model in (data.get("visual") or {}).get("models", ()):
        for gap in model["gaps"]:
            row = gap["overall"]
            lines.append(
                f"- {_plain(model['model'])}, {gap['meaning']} ({gap['condition']}): "
                f"{signed(row['difference'])} points ({signed(row['low'])} to "
                f"{signed(row['high'])}), n = {row['n']}."
            )
    return [*lines, ""] if lines else []


def _shortcuts(data: Mapping[str, Any]) -> list[str]:
    phrases = sorted(
        data["shortcuts"]["phrases"],
        key=lambda p: (p["p_value"], p["phrase"], p["dimension"] or ""),
    )
    if not phrases:
        return []
    lines = ["Phrases that give options away:", ""]
    for phrase in phrases[:_PHRASES]:
        where = _plain(phrase["dimension"] or "all questions")
        lines.append(
            f"- “{_plain(phrase['phrase'])}” ({where}): {phrase['right']} of {phrase['questions']} "
            f"questions with it have it right, {phrase['expected']:.1f} by chance."
        )
    return [*lines, ""]


def _findings(data: Mapping[str, Any]) -> list[str]:
    found = [f for f in data["findings"] if f["severity"] != "note"]
    if not found:
        return []
    order = {"error": 0, "warning": 1}
    found = sorted(found, key=lambda f: order[f["severity"]])
    lines = ["Findings about the data:", ""]
    lines += [f"- {f['severity']}: {_plain(f['message'])}" for f in found[:_FINDINGS]]
    if len(found) > _FINDINGS:
        lines.append(f"- and {len(found) - _FINDINGS} more")
    return [*lines, ""]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _plain(text: str) -> str:
    """A text that Markdown and HTML take as it is."""
    return _SPECIAL.sub(r"\\\1", clean(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _code(text: str) -> str:
    return clean(text).replace("`", "'").replace("|", "/")[:80]
