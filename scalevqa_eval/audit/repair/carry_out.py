"""A repair from beginning to end: change, write, audit again, and say what it is worth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_limits

from scalevqa_eval.audit.intake import Intake, take_in
from scalevqa_eval.audit.repair.blocks import WORDING, Block, build_blocks
from scalevqa_eval.audit.repair.checks import (
    Check,
    Status,
    check,
    external_check,
    outsiders,
    removed_check,
)
from scalevqa_eval.audit.repair.dataset import file_name, raw_rows, rows_text
from scalevqa_eval.audit.repair.prune import Pruned, prune
from scalevqa_eval.audit.repair.worksheet import worksheet_csv, worksheet_html
from scalevqa_eval.audit.shown import full_name
from scalevqa_eval.audit.verdict import MARGIN
from scalevqa_eval.benchmark import Loaded
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.questions import Benchmark, Question

Method = Literal["prune", "blocks"]
METHODS: tuple[Method, ...] = ("prune", "blocks")
_UNUSED = 7_919  # added to the seed for everything that judges a repair
_WORKERS = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class _Setting:
    benchmark: Benchmark
    taken: Intake
    external: Benchmark | None
    seed: int
    margin: float
    tick: Callable[[str], None]


@dataclass(frozen=True)
class _Result:
    questions: tuple[Question, ...]
    changes: list[dict[str, Any]]
    checks: list[Check]
    status: Status
    statement: str
    lines: list[str]
    extra_files: dict[str, str]


def repair(
    method: str,
    benchmark: Benchmark,
    directory: Path | str,
    *,
    external: Benchmark | None = None,
    loaded: Loaded | None = None,
    seed: int = 0,
    margin: float = MARGIN,
    tick: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a repaired question file and what goes with it into `directory`.

    `external` is a split that takes no part in the repair and judges it. `loaded` keeps the rows'
    other fields. Returns the section `repair` of audit.json. The same input and seed give the
    same files. Raises UsageError for an unknown method and DataError if nothing can be kept.
    """
    if method not in METHODS:
        raise UsageError(f"--repair is {' or '.join(METHODS)}, not {method!r}")
    setting = _Setting(
        benchmark, take_in(benchmark.questions), external, seed, margin,
        tick or (lambda _: None),
    )  # fmt: skip
    with threadpool_limits(limits=1):  # as in an audit: the same bits on any number of cores
        result = _prune(setting) if method == "prune" else _blocks(setting)
    directory = Path(directory)
    original = raw_rows(loaded) if loaded is not None else {}
    card = loaded.card if loaded is not None else None
    dataset = file_name(benchmark.split)
    changes = {
        "method": method,
        "seed": seed,
        "source": {"name": benchmark.name, "split": benchmark.split,
                   "revision": benchmark.revision},
        "dataset": dataset,
        "questions": result.changes,
    }  # fmt: skip
    files = {
        dataset: rows_text(result.questions, original, card),
        "changes.json": json.dumps(changes, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        **result.extra_files,
    }
    from scalevqa_eval.audit.output import write_text

    for name, text in files.items():
        write_text(directory / name, text)
    return {
        "method": method,
        "status": result.status,
        "statement": result.statement,
        "questions": len(setting.taken.questions),
        "kept": len(result.questions),
        "files": [f"{directory.name}/{name}" for name in files],
        "checks": [one.to_json() for one in result.checks],
        "lines": result.lines,
        "seed": seed + _UNUSED,
    }


def _prune(setting: _Setting) -> _Result:
    questions, clusters = setting.taken.questions, setting.taken.clusters.labels
    pruned = prune(
        questions, clusters, seed=setting.seed, workers=_WORKERS, tick=setting.tick
    )  # fmt: skip
    kept = tuple(questions[i] for i in pruned.kept)
    if not kept:
        raise DataError("pruning leaves no question: the benchmark cannot be repaired so")
    labels = [clusters[i] for i in pruned.kept]
    checks = _judged(setting, kept, labels, labels)
    gone = sorted(pruned.removed)
    if gone:
        setting.tick("repair: probes fitted on what was removed")
        found = removed_check(
            kept, labels, [questions[i] for i in gone], [clusters[i] for i in gone],
            seed=setting.seed + _UNUSED, workers=_WORKERS, tick=setting.tick,
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
    return _Result(kept, changes, checks, status, statement, lines, {})


def _judged(
    setting: _Setting,
    questions: Sequence[Question],
    folds_by: Sequence[str],
    clusters: Sequence[str],
) -> list[Check]:
    """Retrained probes with unused seeds, outsiders, and the external split."""
    seed = setting.seed + _UNUSED
    names = {name: name for name in ("medoid", "structure", "contrast", "sibling-cues", "stack")}
    checks = _retrained(setting, questions, folds_by, clusters, names)
    if len(set(folds_by)) > 1:
        setting.tick("repair: probes that took no part")
        checks += outsiders(questions, folds_by, clusters, seed)
    if setting.external is not None:
        setting.tick("repair: probes fitted on the external split")
        checks.append(
            external_check(questions, clusters, setting.external, seed=seed, workers=_WORKERS,
                           tick=lambda _: None)
        )  # fmt: skip
    return checks


def _retrained(
    setting: _Setting,
    questions: Sequence[Question],
    folds_by: Sequence[str],
    clusters: Sequence[str],
    names: Mapping[str, str],
) -> list[Check]:
    """The audit's own probes, trained again with unused seeds; `names` says which, and how named.

    None where there are too few slides for two folds.
    """
    from scalevqa_eval.audit.textonly import probe_text

    if len(set(folds_by)) < 2:
        return []
    setting.tick("repair: probes trained again, with unused seeds")
    text = probe_text(
        questions, folds_by, permutations=1, seeds=3, seed=setting.seed + _UNUSED,
        margin=setting.margin, workers=_WORKERS, tick=lambda _: None,
    )  # fmt: skip
    checks = []
    for found in text.credits:
        if found.name in names:
            credits = [0.0] * len(questions)
            for value, place in zip(found.real, text.table.order, strict=True):
                credits[place] = min(1.0, max(0.0, float(value)))
            about = (
                f"{found.about}{'' if found.kind == 'rule' else '; trained again, unused seeds'}"
            )
            checks.append(check(names[found.name], about, credits, questions, clusters))
    return checks


def _prune_statement(
    setting: _Setting, pruned: Pruned, checks: Sequence[Check]
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
            f"Not repairable by pruning: {worst.about} still answers {_share(worst)} of what "
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


def _share(one: Check) -> str:
    return f"{one.correct:.0f}/{one.n} = {100 * one.correct / one.n:.1f} %"


def _blocks(setting: _Setting) -> _Result:
    questions, clusters = setting.taken.questions, setting.taken.clusters.labels
    # Questions of unknown slide must not share a block with others on the same images.
    labels = [
        "\0".join(sorted(q.image_set)) if label.startswith("\0") and q.views else label
        for q, label in zip(questions, clusters, strict=True)
    ]
    setting.tick("repair: option blocks")
    blocks = build_blocks(questions, labels, seed=setting.seed)
    if not blocks:
        raise DataError(
            "no option block can be made: a block of K options needs K questions of one dimension "
            "from K slides"
        )
    made = [(block, q) for block in blocks for q in block.questions(WORDING)]
    new = tuple(question for _, question in made)
    groups = [f"group-{block.group}" for block, _ in made]
    ids = [block.id for block, _ in made]
    # Without views no question has siblings: these readers see one question at a time.
    checks = _judged(setting, [replace(q, views=()) for q in new], groups, ids)
    together = _retrained(setting, new, groups, ids, {"sibling-cues": "sibling-cues",
                                                      "stack": "stack-with-siblings"})  # fmt: skip
    checks += together
    borrowed = sum(len(block.members) * (len(block.members) - 1) for block in blocks)
    status, statement = _blocks_statement(setting, checks, borrowed, len(set(groups)))
    by_id = {question.id: (block, question) for block, question in made}
    lines = [
        f"{len(new)} of {len(questions)} questions "
        f"({100 * len(new) / len(questions):.0f} %) are in {len(blocks)} blocks, in "
        f"{len(set(groups))} groups of slides that no block crosses.",
        f"{borrowed:,} borrowed options must be confirmed to be false for their images "
        "(worksheet.csv, worksheet.html).",
        "Report block accuracy (all questions of a block right) besides accuracy, and keep a "
        "group of slides (extra_info.slide_group) in one split or fold.",
    ]
    sheet = setting.benchmark
    base = None
    if sheet.image_root is not None and not ImageStore(sheet.image_root).check(new[:1]):
        base = sheet.image_root.absolute().as_uri()
    name = full_name(sheet.name, sheet.split)
    return _Result(
        new,
        [_change(question, by_id) for question in questions],
        checks,
        status,
        statement,
        lines,
        {"worksheet.csv": worksheet_csv(blocks, WORDING),
         "worksheet.html": worksheet_html(blocks, WORDING, name, base)},
    )  # fmt: skip


def _change(question: Question, made: dict[str, tuple[Block, Question]]) -> dict[str, Any]:
    if question.id not in made:
        return {"id": question.id, "action": "removed", "reason": "fits into no block"}
    block, new = made[question.id]
    return {
        "id": question.id,
        "action": "changed",
        "block": block.id,
        "slide_group": f"group-{block.group}",
        "was": {"question": question.text, "options": dict(question.options),
                "answer": question.answer},
        "answer": new.answer,
        "borrowed": {
            letter: owner.id
            for letter, owner in zip(new.options, block.members, strict=True)
            if owner.id != question.id
        },
    }  # fmt: skip


def _blocks_statement(
    setting: _Setting, checks: Sequence[Check], borrowed: int, groups: int
) -> tuple[Status, str]:
    design = (
        "By design, each block has one wording and one set of options of which each is right once: "
        "an answer that depends on the text of its question alone is right in one of K"
    )
    review = f"It holds once a reviewer has confirmed the {borrowed:,} borrowed options."
    found = [one for one in checks if one.found]
    if found:
        worst = max(found, key=lambda one: one.correct / one.n - one.chance)
        return "not repaired", (
            f"{design}. But {worst.about} still answers {_share(worst)}"
            + (
                ": other questions on the same images give answers away to a reader of several."
                if "sibling" in worst.name
                else "."
            )
        )
    if groups < 2:
        return "not shown", f"{design}. There are too few slides to measure it. {review}"
    open_ = [one for one in checks if not one.passed(setting.margin)]
    if open_:
        return "not shown", (
            f"{design}; no probe finds more, but {open_[0].about} could still reach "
            f"{100 * open_[0].upper:.1f} % with so few questions. {review}"
        )
    return "repaired", f"{design}, and no probe that was tried finds more. {review}"
