"""Mending a leaky benchmark by option blocks, and what pruning would leave of it.

`blocks` makes them, `files` writes them, `judges` say what they and what `pruning` leaves are
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from scalevqa_eval.audit.inference import share
from scalevqa_eval.audit.output import write_text
from scalevqa_eval.audit.probes import COMBINED, COMBINED_FILE
from scalevqa_eval.audit.reading import select
from scalevqa_eval.audit.repair import judges
from scalevqa_eval.audit.repair.blocks import build_blocks
from scalevqa_eval.audit.repair.files import block_files
from scalevqa_eval.audit.repair.judges import ABOUT, Checks, Setting
from scalevqa_eval.audit.repair.pruning import pruning
from scalevqa_eval.audit.results import MARGIN, Share
from scalevqa_eval.data import Loaded
from scalevqa_eval.errors import UsageError
from scalevqa_eval.types import Benchmark

__all__ = ["METHODS", "block_accuracy", "build_blocks", "repair"]

METHODS = ("blocks", "prune")


def repair(
    method: str,
    benchmark: Benchmark,
    directory: Path | str,
    *,
    external: Benchmark | None = None,
    loaded: Loaded | None = None,
    seed: int = 0,
    margin: float = MARGIN,
    tick: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The section `repair` of audit.json: what was done, and whether it is a repair.

    "blocks" writes a question file and a reviewer's worksheet into `directory`, unless the
    questions cannot be blocked; "prune" writes nothing and says what would be left. `external` is a
    split that takes no part and judges. `loaded` keeps the rows' other fields. The same input and
    seed give the same files. Raises UsageError for an unknown method.
    """
    if method not in METHODS:
        raise UsageError(f"--repair is {' or '.join(METHODS)}, not {method!r}")
    audited = select(benchmark.questions)
    setting = Setting(benchmark, audited, external, seed, margin, tick)
    with threadpool_limits(limits=1):  # as in an audit: the same bits on any number of cores
        found = pruning(setting) if method == "prune" else _blocks(setting, Path(directory), loaded)
    common = {"method": method, "questions": len(audited.questions), "seed": setting.unused}
    return {**common, "kept": 0, "files": [], "checks": [], "lines": [], **found}


def _blocks(setting: Setting, directory: Path, loaded: Loaded | None) -> dict[str, Any]:
    questions = setting.audited.questions
    if not all(question.views for question in questions):
        return _cannot(
            "there are questions without images: a borrowed option could be neither false nor true"
        )
    # Questions of unknown slide must not share a block with others on the same images.
    slides = {
        q.id: "\0".join(sorted(q.image_set)) if label.startswith("\0") else label
        for q, label in zip(questions, setting.audited.clusters.labels, strict=True)
    }
    setting.tick("repair: option blocks")
    blocks = build_blocks(questions, [slides[q.id] for q in questions], seed=setting.seed)
    if not blocks:
        return _cannot(
            "a block of K options needs K questions from K slides that ask the same: one "
            "dimension, nearly the same words, answers of one kind that differ"
        )
    new = [question for block in blocks for question in block.questions()]
    was = [member.text for block in blocks for member in block.members]
    on = [slides[question.id] for question in new]
    groups = [str(question.extra["slide_group"]) for question in new]
    # Folds go by groups of slides, which no block crosses; without views no siblings are seen.
    alone = [replace(question, views=()) for question in new]
    asked = [replace(question, text=text) for question, text in zip(alone, was, strict=True)]
    seed = setting.unused
    setting.tick("repair: probes trained again, in other folds")
    known = judges.probes(asked, groups, seed)
    told = judges.shares({
        "told by the question": known.get(COMBINED, known["question-overlap"]),
        "told by the topic": judges.by_topic(blocks),
    }, new, on)  # fmt: skip
    by_question, by_topic = told.values()
    if by_question.ci[0] > by_question.chance + setting.margin:
        why = (
            f"the borrowed options do not fit the questions: {ABOUT['told by the question']} is "
            f"right in {by_question}; chance is {100 * by_question.chance:.1f} %"
        )
        return {**_cannot(why), "checks": judges.as_json(told)}
    probes = judges.probes(alone, groups, seed)
    checks = judges.shares({
        "medoid": probes["medoid"],
        "combined": probes.get(COMBINED),
        "siblings": judges.probes(new, groups, seed).get(COMBINED_FILE),
        "characters": judges.characters(new, groups, seed),
        "external": setting.fitted_outside(new, on),
    }, new, on)  # fmt: skip
    borrowed = sum(block.borrowed for block in blocks)
    status, statement = _verdict_on_blocks(checks, setting.margin, len(set(groups)))
    if status != "not repaired":
        statement += f" It holds once a reviewer has confirmed the {borrowed:,} borrowed options."
    files = block_files(setting.benchmark, blocks, questions, loaded, setting.seed)
    for file, text in files.items():
        write_text(directory / file, text)
    return {
        "status": status,
        "statement": statement,
        "kept": len(new),
        "files": [f"{directory.name}/{file}" for file in files],
        "checks": judges.as_json({**checks, **told}),
        "lines": [
            f"{len(new)} of {len(questions)} questions are in {len(blocks)} blocks, in "
            f"{len(set(groups))} groups of slides that no block crosses.",
            f"{borrowed:,} borrowed options must be confirmed to be false for their images "
            "(worksheet.csv, worksheet.html).",
            f"Who knows a question's former wrong options finds its own option in {by_topic}: the "
            "more, the easier a block is for a model that sees no more than the kind of tissue.",
            "Report block accuracy (all questions of a block right) besides accuracy, and keep a "
            "group of slides (extra_info.slide_group) in one split or fold.",
        ],
    }  # fmt: skip


def _cannot(why: str) -> dict[str, Any]:
    return {"status": "cannot be blocked", "statement": f"Cannot be blocked: {why}."}


def _verdict_on_blocks(checks: Checks, margin: float, groups: int) -> tuple[str, str]:
    design = (
        "By design, each block has one wording and one set of options of which each is right once: "
        "an answer that depends on the text of its question alone is right in one of K"
    )
    worst = judges.worst(checks)
    if worst is not None:
        return "not repaired", f"{design}. But {ABOUT[worst]} still answers {checks[worst]}."
    if groups < 2:
        return "not shown", f"{design}. There are too few slides to measure it."
    for name, found in checks.items():
        if found.ci[1] >= found.chance + margin:
            return "not shown", (
                f"{design}; no probe finds more, but {ABOUT[name]} could still reach "
                f"{100 * found.ci[1]:.1f} % with so few questions."
            )
    return "repaired", f"{design}, and no probe that was tried finds more."


def block_accuracy(scores: Mapping[str, float], blocks: Mapping[str, str]) -> Share:
    """How many blocks have all their questions right; each block stands for itself.

    `scores` maps question ids to 1 or 0, `blocks` to the block (`extra["block"]`, or `block` in
    changes.json). A block with an unanswered question raises ValueError that names it.
    """
    members: dict[str, list[str]] = {}
    for id_, block in blocks.items():
        if id_ not in scores:
            raise ValueError(f"question {id_} of {block} has no score")
        members.setdefault(block, []).append(id_)
    right = [float(all(scores[id_] == 1 for id_ in ids)) for ids in members.values()]
    guessed = np.array([len(ids) ** -float(len(ids)) for ids in members.values()])
    return share(right, guessed, list(members))
