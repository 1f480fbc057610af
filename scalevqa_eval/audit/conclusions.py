"""What the figures of an audit say, in sentences: findings about the design, reasons, cues."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalevqa_eval.audit.findings import Finding, counted
from scalevqa_eval.audit.position import PositionBias
from scalevqa_eval.audit.reading import Sampled
from scalevqa_eval.audit.redraws import DRAWS, possible, relabelled_together
from scalevqa_eval.audit.report import Cue
from scalevqa_eval.audit.results import LEVEL, Share, StratumResult
from scalevqa_eval.audit.textonly import TextOnly
from scalevqa_eval.audit.transfer import Transfer
from scalevqa_eval.statistics import benjamini_hochberg

_CUE_LEVEL = 0.05


def design_findings(
    text: TextOnly, position: PositionBias, settings: Mapping[str, Any]
) -> list[Finding]:
    """What the figures say about how the questions were made."""
    return [*_design(text, settings), *_below_chance(text), *_skew(position), *_file(text)]


def reasons(
    strata: Sequence[StratumResult],
    position: PositionBias,
    transfer: Transfer | None,
    sampled: Sampled | None,
    settings: Mapping[str, Any],
) -> tuple[str, ...]:
    """Why the verdict is what it is, for people."""
    lines = []
    margin = settings["margin"]
    for stratum in strata:
        name = stratum.name or "all questions"
        if stratum.verdict in ("leaky", "measurable") and stratum.shown_by:
            probe = stratum.probe(stratum.shown_by)
            small = "" if stratum.verdict == "leaky" else (
                f"; no probe's leak can be above {100 * stratum.largest_leak:.1f} points"
            )  # fmt: skip
            lines.append(
                f"{name}: {probe.share} right without images ({probe.title}); base rate "
                f"{100 * probe.share.base_rate:.1f} %{small}"
            )
    if position.skewed:
        most = max(position.largest_leak[name] for name in position.skewed)
        lines.append(
            "right options are not spread evenly over positions: always taking the commonest place "
            f"is at most {100 * most:.1f} points above guessing"
        )
    if transfer is not None and transfer.verdict in ("leaky", "measurable"):
        lines.append(
            f"fitted on {transfer.trained_on}, all probes combined answer {transfer.share} "
            "without images"
        )
    undecided = [s for s in strata if s.verdict == "undecided"]
    if undecided and _too_few(settings):
        lines.append(
            f"{settings['permutations']} redraws cannot show a leak: {_needed()} or more decide"
        )
    elif undecided:
        worst = undecided[0]
        others = f", and {len(undecided) - 1} more" if len(undecided) > 1 else ""
        lines.append(
            f"no leak was shown in {worst.name or 'all questions'}{others}, but with "
            f"{counted(worst.n, 'question')} one of up to {100 * worst.largest_leak:.1f} points "
            f"remains possible (margin {100 * margin:g}){_more_slides(worst, margin)}"
        )
    whole = strata[0]
    if whole.verdict == "imbalanced":
        lines.append(
            f"the commonest label of each set of options is right in {whole.majority}; guessing "
            f"in {100 * whole.chance:.1f} %"
        )
    if whole.verdict == "clean":
        lines.append(
            "each text has each option right once: no reader of one question's text can be above "
            "chance, by design" if whole.by_design else
            f"no probe's leak can be above {100 * whole.largest_leak:.1f} points "
            f"(margin {100 * margin:g})"
        )  # fmt: skip
    if sampled is not None:
        lines.append(str(sampled))
    return tuple(lines)


def _more_slides(stratum: StratumResult, margin: float) -> str:
    """About how much larger a file would decide: limits narrow with the square root of slides."""
    leak = max(0.0, stratum.best.share.leak)
    times = ((stratum.largest_leak - leak) / (margin - leak)) ** 2 if leak < margin / 2 else 0.0
    return f"; about {math.ceil(times)} times as many slides would decide" if times > 1 else ""


def cues(text: TextOnly) -> tuple[Cue, ...]:
    rows = []
    for stratum in text.whole_file:
        for probe in stratum.probes:
            if probe.kind == "rule":
                above, below = text.rule_p[stratum.name][probe.name]
                rows.append((stratum.name, probe, min(1.0, 2 * min(above, below))))
    adjusted = benjamini_hochberg([p for _, _, p in rows])
    cues = [
        Cue(probe.name, probe.about, name, probe.share, p, 2 / (DRAWS + 1), q)
        for (name, probe, p), q in zip(rows, adjusted, strict=True)
        if q <= _CUE_LEVEL and _beyond_base(probe.share)
    ]
    return tuple(
        sorted(cues, key=lambda cue: (-abs(cue.share.accuracy - cue.share.chance),
                                      cue.dimension, cue.rule))
    )  # fmt: skip


def _design(text: TextOnly, settings: Mapping[str, Any]) -> list[Finding]:
    found = []
    if not text.folds:
        found.append(
            Finding("too-few-questions", "warning",
                    "No probe could be trained: there is only one question to learn from.")
        )  # fmt: skip
    if _too_few(settings):
        found.append(
            Finding("few-redraws", "warning",
                    f"{settings['permutations']} redraws cannot make a p-value of {LEVEL}: no leak "
                    f"can be shown. Use --permutations {_needed()} or more.")
        )  # fmt: skip
    ways = possible(text.table.sizes, relabelled_together(text.table, text.clusters))
    if ways < 1 / LEVEL:
        found.append(
            Finding("few-relabellings", "warning",
                    f"The answers can be relabelled in {ways:.0f} ways only, slide by slide: "
                    "with so few slides no leak can be told from labels that hang together.",
                    {"ways": ways})
        )  # fmt: skip
    whole = text.strata[0]
    trained = [p for p in whole.probes if p.kind == "learned"]
    worst = min(trained, key=lambda p: p.accuracy, default=None)
    if worst is not None and worst.share.ci[1] < worst.share.chance - settings["margin"]:
        same = _answers_differ(text)
        what = (
            "wrong for the same text on others, as in a counterfactual design" if same else
            "rarer on others: labels hang together in a slide"
        )  # fmt: skip
        found.append(
            Finding("counterfactual-design" if same else "labels-of-slides", "note",
                    f"Trained probes are far below chance ({worst.title}: {worst.share}, chance "
                    f"{100 * worst.share.chance:.1f} %): what is right on some slides is {what}. "
                    "That is no leak of one question's text.",
                    {"probe": worst.name, "accuracy": round(worst.accuracy, 6)})
        )  # fmt: skip
    majority = whole.majority
    excess = majority.accuracy - majority.chance
    if excess > 1e-9:
        found.append(
            Finding("label-imbalance", "warning" if excess >= settings["margin"] else "note",
                    f"Always giving the label that is right most often in its set of options is "
                    f"right in {majority}; guessing in {100 * majority.chance:.1f} %. That is a "
                    "base rate, and no part of the leak.",
                    {"accuracy": round(majority.accuracy, 6), "chance": round(majority.chance, 6)})
        )  # fmt: skip
    return found


def _answers_differ(text: TextOnly) -> bool:
    """Whether half of the questions or more have a text that has other right options, too."""
    wording, place = text.table.wording, text.gold
    pairs = np.unique(np.column_stack([wording, place]), axis=0)[:, 0]
    return bool((np.bincount(pairs)[wording] > 1).mean() >= 0.5)


def _too_few(settings: Mapping[str, Any]) -> bool:
    return bool(1 / (settings["permutations"] + 1) > LEVEL)


def _needed() -> int:
    return math.ceil(1 / LEVEL) - 1


def _below_chance(text: TextOnly) -> list[Finding]:
    """Rules that do much worse than guessing: avoiding their picks beats chance."""
    found = []
    p_values = text.rule_p[""]
    for probe in text.whole_file[0].probes:
        if probe.kind != "rule" or not _beyond_base(probe.share):
            continue
        p = p_values[probe.name][1]
        if p * len(p_values) <= LEVEL:
            found.append(
                Finding("below-chance", "warning",
                        f"{probe.about} is right in {probe.share}, below chance "
                        f"({100 * probe.share.chance:.1f} %): avoiding it is a shortcut.",
                        {"probe": probe.name, "accuracy": round(probe.accuracy, 6), "p_value": p})
            )  # fmt: skip
    return found


def _beyond_base(share: Share) -> bool:
    """Whether a rule says more than the commonest labels do, above or below chance."""
    low, high = share.ci
    return low > share.base_rate or high < 2 * share.chance - share.base_rate


def _skew(position: PositionBias) -> list[Finding]:
    found = []
    for name in position.skewed:
        where = f" of {name}" if name else ""
        counts = "/".join(str(c) for c in position.counts[name])
        found.append(
            Finding("answer-position", "error",
                    f"Right options{where} are not spread evenly over positions: {counts}.",
                    {"counts": list(position.counts[name]),
                     "p_adjusted": position.p_adjusted[name]})
        )  # fmt: skip
    return found


def _file(text: TextOnly) -> list[Finding]:
    """Said apart: what only the whole file gives away."""
    one, whole = text.strata[0], text.whole_file[0]
    if whole.verdict != "leaky" or one.verdict == "leaky":
        return []
    shown = whole.probe(whole.shown_by or whole.best_name)
    return [
        Finding("whole-file", "warning",
                f"Who has the whole file answers {shown.share} without images ({shown.title}); "
                f"one question at a time: {one.best.share}.",
                {"probe": shown.name, "accuracy": round(shown.accuracy, 6)})
    ]  # fmt: skip
