"""What language models and repairs add to the page of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalevqa_eval.audit.shown import bar, clean, count, percent, signed, small


def blind_table(blind: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Rows of the section on models that saw no images."""
    if not blind:
        return None
    return {
        "rows": [
            {
                "model": clean(row["model"]),
                "mode": clean(row["mode"]),
                "condition": row["condition"],
                "count": count(row["correct"], row["n"]),
                "bar": bar(row),
                "p_above": small(row["p_above"]),
                "p_below": small(row["p_below"]),
                "call": row["call"],
                "answered": f"{row['answered']}/{row['n']}",
                "dimensions": [
                    {"name": clean(name), "count": count(part["correct"], part["n"]),
                     "bar": bar(part)}
                    for name, part in row["by_dimension"].items()
                ],
            }
            for row in blind["results"]
        ],
        "agreement": [
            {
                "pair": f"{clean(pair['first'])} and {clean(pair['second'])}",
                "agree": f"{pair['agree']}/{pair['n']}",
                "expected": percent(pair["expected"]),
                "kappa": "–" if pair["kappa"] is None else f"{pair['kappa']:.2f}",
            }
            for pair in blind["agreement"]
        ],
        "all_right": blind["all_right"],
        "none_right": blind["none_right"],
        "elimination": [
            {"model": clean(row["model"]), "count": count(row["correct"], row["n"]),
             "bar": bar(row), "p": small(row["p_above"])}
            for row in blind.get("elimination", ())
        ],
    }  # fmt: skip


def visual_tables(visual: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One table per vision model: what it loses under each condition."""
    if not visual:
        return []
    return [
        {
            "model": clean(model["model"]),
            "answer": model["answer"],
            "full": count(model["full"]["correct"], model["full"]["n"]),
            "full_percent": percent(model["full"]["accuracy"]),
            "gaps": [_gap(gap) for gap in model["gaps"]],
            "absent": model["not_applicable"],
        }
        for model in visual["models"]
    ]


def _gap(gap: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "condition": gap["condition"],
        "meaning": gap["meaning"],
        "overall": _difference(gap["overall"]),
        "rows": [{"name": clean(row["name"]), **_difference(row)} for row in gap["rows"]],
    }


def _difference(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["low"], row["high"]
    return {
        "n": row["n"],
        "first": f"{row['first']}/{row['n']}",
        "second": f"{row['second']}/{row['n']}",
        "difference": signed(row["difference"]),
        "span": f"{signed(low)} to {signed(high)}",
        "p": small(row["permutation"]),
        "shown": low > 0 or high < 0,
        "low": f"{50 + 50 * max(-1.0, low):.1f}",
        "width": f"{50 * (min(1.0, high) - max(-1.0, low)):.1f}",
        "at": f"{50 + 50 * row['difference']:.1f}",
    }


def repair_summary(repair: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The section on what a repair did, and whether it is one."""
    if not repair:
        return None
    return {
        "method": repair["method"],
        "status": repair["status"],
        "statement": repair["statement"],
        "kept": f"{repair['kept']:,} of {repair['questions']:,}",
        "files": [clean(name) for name in repair["files"]],
        "checks": [
            {"name": clean(check["name"]), "about": check["about"],
             "count": count(check["correct"], check["n"]), "bar": bar(check)}
            for check in repair["checks"]
        ],
        "lines": _lines(repair["lines"]),
    }  # fmt: skip


def _lines(lines: Sequence[str]) -> list[str]:
    return [clean(line) for line in lines]
