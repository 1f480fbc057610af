"""Repair by pruning: what is removed, what is written about it, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence

from scalevqa_eval.audit.repair.checks import Check, Status, removed_check
from scalevqa_eval.audit.repair.judging import UNUSED, WORKERS, Result, Setting, judged, share
from scalevqa_eval.audit.repair.prune import Pruned, prune
from scalevqa_eval.errors import DataError


def by_pruning(setting: Setting) -> Result:
    questions, clusters = setting.taken.questions, setting.taken.clusters.labels
    pruned = prune(
        questions, clusters, seed=setting.seed, workers=WORKERS, tick=setting.tick
    )  # fmt: skip
    kept = tuple(questions[i] for i in pruned.kept)
    if not kept:
        raise DataError("pruning leaves no question: the benchmark cannot be repaired so")
    labels = [clusters[i] for i in pruned.kept]
    checks = judged(setting, kept, labels, labels)
    gone = sorted(pruned.removed)
    if gone:
        setting.tick("repair: probes fitted on what was removed")
        found = removed_check(
            kept, labels, [questions[i] for i in gone], [clusters[i] for i in gone],
            seed=setting.seed + UNUSED, workers=WORKERS, tick=setting.tick,
        )  # fmt: skip
        checks += [found] if found else []
    status, statement = _prune_statement(setting, pruned, checks)
    removed = {questions[i].id: pruned.removed[i] for i in gone}
    changes = [
        {"id": q.id, "action": "removed", "round": removed[q.id][0],
         "leak_score": round(removed[q.id][1], 6)}
        if q.id in removed else {"id": q.id, "action": "kept"}
        for q in questions
    ]  # fmt: skip
    first, last = pruned.rounds[0], pruned.rounds[-1]
    lines = [
        f"{len(kept)} of {len(questions)} questions remain after {len(pruned.rounds)} rounds; "
        f"against the first round's adversaries, unchanged, at most {pruned.cap} could.",
        *(
            f"adversary {name}: {first.accuracy[name]:.3f} before, {last.accuracy[name]:.3f} "
            f"after (target {pruned.chance:.3f})"
            for name in first.accuracy
        ),
    ]
    if not pruned.reached:
        lines.append("The adversaries did not come down to chance before too few were left.")
    return Result(kept, changes, checks, status, statement, lines, {})


def _prune_statement(
    setting: Setting, pruned: Pruned, checks: Sequence[Check]
) -> tuple[Status, str]:
    if not pruned.removed:
        return "not shown", (
            "Nothing was removed: the two adversaries are at chance as it is. The checks below "
            "say what that is worth."
        )
    found = [one for one in checks if one.found]
    external = next((one for one in checks if one.name == "external"), None)
    if found:
        worst = max(found, key=lambda one: one.correct / one.n - one.chance)
        return "not repaired", (
            f"Not repairable by pruning: {worst.about} still answers {share(worst)} of what "
            "remains, which looks clean only to the probes that chose what to remove. Option "
            "blocks (--repair blocks) do not depend on what a probe has learned."
        )
    if external is None:
        return "not shown", (
            "No probe that was tried finds a leak in what remains, but pruning always looks good "
            "to probes trained on what it left over. Only a split that took no part can show a "
            "repair: give --external SPLIT or --train FILE."
        )
    open_ = [one for one in checks if not one.passed(setting.margin)]
    if open_ or not pruned.reached:
        return "not shown", (
            "No probe finds a leak in what remains, but with so few questions "
            + (f"{open_[0].about} could still reach {100 * open_[0].upper:.1f} %."
               if open_ else "the target was not reached.")
        )  # fmt: skip
    return "repaired", (
        "Every probe, also those that took no part and the one fitted on another split, stays "
        f"below chance plus {100 * setting.margin:.0f} points on what remains."
    )
