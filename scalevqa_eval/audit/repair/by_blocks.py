"""Repair by option blocks: the new questions, the reviewer's worksheet, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scalevqa_eval.audit.repair.blocks import WORDING, Block, build_blocks
from scalevqa_eval.audit.repair.checks import Check, Status
from scalevqa_eval.audit.repair.judging import Result, Setting, judged, retrained, share
from scalevqa_eval.audit.repair.worksheet import worksheet_csv, worksheet_html
from scalevqa_eval.audit.shown import full_name
from scalevqa_eval.errors import DataError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.types import Question


def by_blocks(setting: Setting) -> Result:
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
    checks = judged(setting, [replace(q, views=()) for q in new], groups, ids)
    together = retrained(setting, new, groups, ids, {"sibling-cues": "sibling-cues",
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
    return Result(
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
    setting: Setting, checks: Sequence[Check], borrowed: int, groups: int
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
            f"{design}. But {worst.about} still answers {share(worst)}"
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
