"""A repair by option blocks from beginning to end, and what pruning would leave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from scalevqa_eval.audit.crossval import make_folds
from scalevqa_eval.audit.output import write_text
from scalevqa_eval.audit.reading import Selection, raw_rows, select
from scalevqa_eval.audit.repair import judges
from scalevqa_eval.audit.repair.blocks import Block, build_blocks
from scalevqa_eval.audit.repair.dataset import file_name, rows_text
from scalevqa_eval.audit.repair.judges import UNUSED, Check, Tick
from scalevqa_eval.audit.repair.worksheet import worksheet_csv, worksheet_html
from scalevqa_eval.audit.verdict import MARGIN
from scalevqa_eval.data import Loaded
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.types import Benchmark, Question

METHODS = ("blocks", "prune")


@dataclass(frozen=True)
class _Setting:
    benchmark: Benchmark
    audited: Selection
    external: Benchmark | None
    seed: int
    margin: float
    tick: Tick


def repair(
    method: str,
    benchmark: Benchmark,
    directory: Path | str,
    *,
    external: Benchmark | None = None,
    loaded: Loaded | None = None,
    seed: int = 0,
    margin: float = MARGIN,
    tick: Tick = lambda _: None,
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
    setting = _Setting(benchmark, audited, external, seed, margin, tick)
    with threadpool_limits(limits=1):  # as in an audit: the same bits on any number of cores
        found = (
            _pruning(setting) if method == "prune" else _blocks(setting, Path(directory), loaded)
        )
    common = {"method": method, "questions": len(audited.questions), "seed": seed + UNUSED}
    return {**common, "kept": 0, "files": [], "checks": [], "lines": [], **found}


def _blocks(setting: _Setting, directory: Path, loaded: Loaded | None) -> dict[str, Any]:
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
    members = [member for block in blocks for member in block.members]
    told, known = judges.tells_borrowed(blocks, [slides[m.id] for m in members])
    if told.ci[0] > told.chance + setting.margin:
        return {
            **_cannot(f"the borrowed options do not fit the questions: {told.about} is right in "
                      f"{told} (chance {100 * told.chance:.0f} %)"),
            "checks": [told.to_json(), known.to_json()],
        }  # fmt: skip
    new = tuple(question for block in blocks for question in block.questions())
    groups = [str(question.extra["slide_group"]) for question in new]
    checks = _judge_blocks(setting, new, groups, [slides[q.id] for q in new])
    borrowed = sum(len(block.members) * (len(block.members) - 1) for block in blocks)
    status, statement = _verdict_on_blocks(checks, borrowed, setting.margin, len(set(groups)))
    name = " ".join(dict.fromkeys((setting.benchmark.name, setting.benchmark.split)))
    files = {
        **_question_files(setting, blocks, new, loaded),
        "worksheet.csv": worksheet_csv(blocks),
        "worksheet.html": worksheet_html(blocks, name, _image_base(setting.benchmark, new)),
    }
    for file, text in files.items():
        write_text(directory / file, text)
    return {
        "status": status,
        "statement": statement,
        "kept": len(new),
        "files": [f"{directory.name}/{file}" for file in files],
        "checks": [check.to_json() for check in (*checks, told, known)],
        "lines": [
            f"{len(new)} of {len(questions)} questions are in {len(blocks)} blocks, in "
            f"{len(set(groups))} groups of slides that no block crosses.",
            f"{borrowed:,} borrowed options must be confirmed to be false for their images "
            "(worksheet.csv, worksheet.html).",
            f"Who knows a question's former wrong options finds its own option in {known}: the "
            "more, the easier a block is for a model that sees no more than the kind of tissue.",
            "Report block accuracy (all questions of a block right) besides accuracy, and keep a "
            "group of slides (extra_info.slide_group) in one split or fold.",
        ],
    }  # fmt: skip


def _cannot(why: str) -> dict[str, Any]:
    return {"status": "cannot be blocked", "statement": f"Cannot be blocked: {why}."}


def _judge_blocks(
    setting: _Setting, new: Sequence[Question], groups: Sequence[str], clusters: Sequence[str]
) -> list[Check]:
    """Folds go by groups of slides, which no block crosses; intervals by slides, as elsewhere."""
    setting.tick("repair: probes trained again, in other folds")
    seed = setting.seed + UNUSED
    alone = [replace(question, views=()) for question in new]  # no views: no siblings are seen
    checks = judges.retrained(
        alone, groups, clusters,
        {"medoid": "the option most similar to the others", "combined": "all probes combined"},
        seed=seed,
    )  # fmt: skip
    checks += judges.retrained(
        new, groups, clusters,
        {"combined-file": "a reader of all questions on the same images, all probes combined,"},
        seed=seed, suffix="-with-siblings",
    )  # fmt: skip
    credits = judges.characters(new, groups, seed)
    if credits is not None:
        checks.append(Check.of("characters", judges.CHARACTERS, credits, new, clusters))
    return checks + _external(setting, new, clusters)


def _external(
    setting: _Setting, questions: Sequence[Question], clusters: Sequence[str]
) -> list[Check]:
    if setting.external is None:
        return []
    setting.tick("repair: probes fitted on the other split")
    name = setting.external.split or setting.external.name
    credits = judges.fitted_on(
        setting.external.questions, name, questions, clusters, seed=setting.seed + UNUSED
    )
    about = f"all probes combined, fitted on {name}"
    return [Check.of("external", about, credits, questions, clusters)]


def _verdict_on_blocks(
    checks: Sequence[Check], borrowed: int, margin: float, groups: int
) -> tuple[str, str]:
    design = (
        "By design, each block has one wording and one set of options of which each is right once: "
        "an answer that depends on the text of its question alone is right in one of K"
    )
    review = f"It holds once a reviewer has confirmed the {borrowed:,} borrowed options."
    found = [check for check in checks if check.found]
    if found:
        worst = max(found, key=lambda check: check.correct / check.n - check.chance)
        return "not repaired", f"{design}. But {worst.about} still answers {worst}."
    if groups < 2:
        return "not shown", f"{design}. There are too few slides to measure it. {review}"
    open_ = next((check for check in checks if not check.passed(margin)), None)
    if open_ is not None:
        return "not shown", (
            f"{design}; no probe finds more, but {open_.about} could still reach "
            f"{100 * open_.upper:.1f} % with so few questions. {review}"
        )
    return "repaired", f"{design}, and no probe that was tried finds more. {review}"


def _question_files(
    setting: _Setting, blocks: Sequence[Block], new: Sequence[Question], loaded: Loaded | None
) -> dict[str, str]:
    """The new question file, and changes.json: what became of each question."""
    benchmark = setting.benchmark
    dataset = file_name(benchmark.split)
    by_id = {question.id: question for question in new}
    of = {member.id: block for block in blocks for member in block.members}
    changes = {
        "method": "blocks",
        "seed": setting.seed,
        "source": {"name": benchmark.name, "split": benchmark.split,
                   "revision": benchmark.revision},
        "dataset": dataset,
        "questions": [
            _change(question, by_id[question.id], of[question.id]) if question.id in of
            else {"id": question.id, "action": "removed", "reason": "fits into no block"}
            for question in setting.audited.questions
        ],
    }  # fmt: skip
    original = raw_rows(loaded) if loaded is not None else {}
    card = loaded.card if loaded is not None else None
    return {
        dataset: rows_text(new, original, card),
        "changes.json": json.dumps(changes, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }


def _change(old: Question, new: Question, block: Block) -> dict[str, Any]:
    owners = zip(new.options, block.members, strict=True)
    return {
        "id": old.id,
        "action": "changed",
        "block": block.id,
        "slide_group": new.extra["slide_group"],
        "was": {"question": old.text, "options": dict(old.options), "answer": old.answer},
        "answer": new.answer,
        "borrowed": {letter: owner.id for letter, owner in owners if owner.id != old.id},
    }


def _image_base(benchmark: Benchmark, new: Sequence[Question]) -> str | None:
    if benchmark.image_root is None or ImageStore(benchmark.image_root).check(new[:1]):
        return None
    return benchmark.image_root.absolute().as_uri()


def _pruning(setting: _Setting) -> dict[str, Any]:
    """What would be left if the questions that text answers were taken out.

    The slides are dealt to two halves. In each, probes that know this half alone choose what to
    take out, and probes fitted on the other half, which took no part, answer what is left.
    """
    questions, clusters = setting.audited.questions, setting.audited.clusters.labels
    labels = clusters if len(set(clusters)) > 1 else tuple(q.id for q in questions)
    half = make_folds(labels, 2, setting.seed) if len(questions) > 1 else np.zeros(1)
    kept: list[int] = []
    answers = np.full(len(questions), np.nan)
    for k in (0, 1):
        own, other = np.flatnonzero(half == k).tolist(), np.flatnonzero(half != k).tolist()
        setting.tick(f"what pruning would leave: half {k + 1} of 2")
        left = [own[i] for i in _left([questions[i] for i in own], [labels[i] for i in own],
                                      setting.seed)]  # fmt: skip
        kept += left
        if left and other:
            with suppress(DataError):  # too few to fit on
                answers[left] = judges.fitted_on(
                    [questions[i] for i in other], "the other half", [questions[i] for i in left],
                    [labels[i] for i in left], seed=setting.seed + UNUSED,
                )  # fmt: skip
    kept.sort()
    remaining, on = [questions[i] for i in kept], [clusters[i] for i in kept]
    checks = []
    if kept and not np.isnan(answers[kept]).any():
        about = "a reader with all probes combined, fitted on slides that took no part,"
        checks.append(Check.of("other half", about, answers[kept], remaining, on))
    credits = judges.characters(questions, labels, setting.seed + UNUSED)
    if kept and credits is not None:
        checks.append(Check.of("characters", judges.CHARACTERS, credits[kept], remaining, on))
    checks += _external(setting, remaining, on)
    sizes = Counter(len(question.options) for question in questions)
    found = [check for check in checks if check.found]
    if found:
        worst = max(found, key=lambda check: check.correct / check.n - check.chance)
        why = (
            f"It would be no repair: {worst.about} still answers {worst} of them "
            f"(chance {100 * worst.chance:.1f} %)."
        )
    else:
        why = (
            "What is left looks clean to the probes that chose it, whatever it holds; that no "
            "reader who took no part finds a leak in it does not show that there is none."
        )
    return {
        "status": "diagnosis",
        "statement": f"Pruning until all probes combined are at chance would leave {len(kept)} of "
        f"{len(questions)} questions. {why} Option blocks (--repair blocks) do not depend on what "
        "a probe has learned.",
        "kept": len(kept),
        "checks": [check.to_json() for check in checks],
        "lines": [
            f"Of questions with {size} options {sum(len(q.options) == size for q in remaining)} of "
            f"{number} would be left."
            for size, number in sorted(sizes.items()) if len(sizes) > 1
        ],
    }  # fmt: skip


def _left(questions: Sequence[Question], clusters: Sequence[str], seed: int) -> list[int]:
    """Places of the questions that would be left.

    The most leaky of those that all probes combined have right go, each ranked against its own
    chance, until as many are right as by guessing. Never all: where a blind reader is always
    wrong, avoiding its picks is a shortcut.
    """
    found, leak = judges.probes(questions, clusters, seed=seed)
    chance = np.array([1 / len(question.options) for question in questions])
    credits = found.get("combined", chance)
    above = np.round((leak - chance) / (1 - chance), 6)
    excess = float((credits - chance).sum())
    left = set(range(len(questions)))
    for i in sorted(left, key=lambda i: (-above[i], questions[i].id)):
        if excess > 0 and credits[i] > chance[i]:
            left.discard(i)
            excess -= float(credits[i] - chance[i])
    return sorted(left)
