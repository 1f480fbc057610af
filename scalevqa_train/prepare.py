"""Benchmark → verl's Parquet files, with a record of what is in them.

A prepared directory holds train.parquet and val.parquet (GRPO), sft_train.parquet and
sft_val.parquet if SFT targets were asked for, and data.json, which the other commands read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.prompts import PromptStyle
from scalevqa_eval.types import Benchmark, Question
from scalevqa_train.parquet import write_parquet
from scalevqa_train.rows import TARGETS, grpo_row, in_blocks, sft_row, sft_target, shared_slides

FORMAT = 1
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Choices:
    """What goes into the files.

    `images` is "bytes" (embedded) or "paths". Questions whose leak score is `leak_limit` or more
    are left out if there is a limit; all scores are written into the rows. `descriptions` (by
    question id) go into SFT targets of that kind; `dropped` is the share of rationale sentences
    left out of training targets.
    """

    images: str = "bytes"
    dimensions: tuple[str, ...] = ()
    blocks: bool = False
    leaks: Mapping[str, float] | None = None
    leak_limit: float | None = None
    target: str | None = None
    descriptions: Mapping[str, str] | None = None
    dropped: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """The questions of a split that are used, and how many were left out for which reason."""

    benchmark: Benchmark
    left_out: Mapping[str, int]


def select(benchmark: Benchmark, choices: Choices, train: bool) -> Selection:
    """The questions to use. Leaks and blocks choose among training questions only.

    Raises UsageError for an unknown dimension, DataError if nothing is left.
    """
    questions: Sequence[Question] = benchmark.questions
    left_out: Counter[str] = Counter()

    def keep(kept: Sequence[Question], reason: str) -> None:
        nonlocal questions
        left_out[reason] += len(questions) - len(kept)
        questions = kept

    known = {question.dimension for question in questions}
    for name in choices.dimensions:
        if name not in known:
            raise UsageError(f"no dimension {name!r} in {benchmark.name}: {', '.join(known)}")
    if choices.dimensions:
        keep([q for q in questions if q.dimension in choices.dimensions], "other dimensions")
    if train and choices.leak_limit is not None:
        leaks, limit = choices.leaks or {}, choices.leak_limit
        unknown = [q.id for q in questions if q.id not in leaks]
        if unknown:
            raise DataError(
                f"the audit has no leak score of {len(unknown)} of {len(questions)} questions, such"
                f" as {unknown[0]}: it is an audit of other data"
            )
        keep([q for q in questions if leaks[q.id] < limit], f"leak score of {limit:g} or more")
    if train and choices.blocks:
        keep(in_blocks(questions), "not in an option block")
    if not questions:
        raise DataError(
            f"no question of {benchmark.name}/{benchmark.split} is left to use: "
            + ", ".join(f"{n} {why}" for why, n in left_out.items())
        )
    return Selection(replace(benchmark, questions=tuple(questions)), +left_out)


def prepare(
    train: Benchmark,
    val: Benchmark,
    output: Path,
    style: PromptStyle,
    choices: Choices,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the files and return what data.json holds.

    Raises DataError for images that cannot be used and questions that cannot be asked (an answer
    letter that is no option is refused when the benchmark is loaded), UsageError for wrong
    choices. Nothing is left behind half-written: data.json comes last.
    """
    if choices.images not in ("bytes", "paths"):
        raise UsageError(f"images are bytes or paths, not {choices.images!r}")
    if choices.target is not None and choices.target not in TARGETS:
        raise UsageError(f"an SFT target is one of {', '.join(TARGETS)}, not {choices.target!r}")
    if not 0 <= choices.dropped < 1:
        raise UsageError(f"a share of sentences is 0 or more and below 1, not {choices.dropped}")
    shared = shared_slides(train.questions, val.questions)
    if shared:
        note(
            f"Warning: {len(shared)} slides are in {train.split} and in {val.split}: validation"
            " accuracy will look better than it is."
        )
    output.mkdir(parents=True, exist_ok=True)
    (output / "data.json").unlink(missing_ok=True)
    about: dict[str, Any] = {
        "format": FORMAT,
        "benchmark": train.name,
        "revision": train.revision,
        "card": train.card,
        "prompt": {"name": style.name, "sha256": style.sha256},
        "images": choices.images,
        "target": choices.target,
        "dropped": choices.dropped,
        "leak_scores": choices.leaks is not None,
        "answers": "letter",
        "splits": {},
        "files": {},
    }
    kinds = {question.is_open for question in (*train.questions, *val.questions)}
    if len(kinds) > 1:
        raise DataError("open and multiple-choice questions are mixed: choose --dimension")
    about["answers"] = "text" if kinds.pop() else "letter"
    for name, split in (("train", train), ("val", val)):
        chosen = select(split, choices, train=name == "train")
        about["splits"][name] = _describe(chosen)
        about["files"].update(_write_split(name, chosen.benchmark, output, style, choices))
        note(_line(name, chosen))
    _write_json(output / "data.json", about)
    return about


def read_about(directory: Path) -> dict[str, Any]:
    """data.json of a prepared directory. Raises UsageError if it is none or is incomplete."""
    try:
        about = json.loads((directory / "data.json").read_text("utf-8"))
        if about["format"] != FORMAT:
            raise UsageError(f"{directory} was prepared by another version: prepare it again")
    except OSError:
        raise UsageError(
            f"{directory} holds no prepared data (data.json): scalevqa train prepare"
            f" --benchmark B --output {directory}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{directory}/data.json cannot be read: prepare it again") from error
    for name, file in about["files"].items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != file["bytes"]:
            raise UsageError(f"{path} is missing or was changed: prepare the data again")
    return dict(about)


def read_descriptions(path: Path) -> dict[str, str]:
    """Question id → description of its images, from a JSON object. Raises DataError."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"the descriptions {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"the descriptions {path} are no JSON: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(text, str) for text in data.values()):
        raise DataError(f"{path} is no JSON object of question ids and descriptions")
    return data


def write_about(directory: Path, about: Mapping[str, Any]) -> None:
    """Replace data.json (the check with a model adds token lengths to it)."""
    _write_json(directory / "data.json", about)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)


def _describe(chosen: Selection) -> dict[str, Any]:
    questions = chosen.benchmark.questions
    return {
        "split": chosen.benchmark.split,
        "questions": len(questions),
        "slides": len({question.slide for question in questions if question.slide}),
        "dimensions": dict(Counter(question.dimension for question in questions)),
        "without_a_view": sum(len(question.views) < 3 for question in questions),
        "left_out": dict(chosen.left_out),
    }


def _line(name: str, chosen: Selection) -> str:
    about = _describe(chosen)
    missing = f", {about['without_a_view']} of them with a view missing"
    left = "".join(f"; left out: {n} ({why})" for why, n in about["left_out"].items())
    return (
        f"{name}: {about['questions']} questions of {about['slides']} slides"
        + (missing if about["without_a_view"] else "")
        + left
    )


def _write_split(
    name: str, benchmark: Benchmark, output: Path, style: PromptStyle, choices: Choices
) -> dict[str, dict[str, Any]]:
    store = ImageStore(benchmark.image_root)
    _check_images(store, benchmark)
    pictures = _pictures(store, choices.images)
    leaks = choices.leaks or {}
    grpo = (
        grpo_row(
            question,
            style,
            [pictures(view) for view in question.views],
            index=index,
            source=benchmark.name,
            leak=leaks.get(question.id),
        )
        for index, question in enumerate(benchmark.questions)
    )
    files = {f"{name}.parquet": write_parquet(output / f"{name}.parquet", grpo, choices.images)}
    if choices.target is not None:
        rng = Random(choices.seed)
        descriptions = choices.descriptions or {}
        dropped = choices.dropped if name == "train" else 0.0
        sft = (
            sft_row(
                question,
                style,
                [pictures(view) for view in question.views],
                sft_target(
                    question,
                    choices.target,
                    description=descriptions.get(question.id, ""),
                    drop=dropped,
                    rng=rng,
                ),
            )
            for question in benchmark.questions
        )
        file = f"sft_{name}.parquet"
        files[file] = write_parquet(output / file, sft, choices.images)
    return files


def _check_images(store: ImageStore, benchmark: Benchmark) -> None:
    problems = store.check(benchmark.questions)
    if problems:
        shown = "; ".join(f"{p.path}: {p.message}" for p in problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DataError(
            f"{len(problems)} images of {benchmark.name}/{benchmark.split} cannot be used: "
            f"{shown}{more}"
        )


def _pictures(store: ImageStore, how: str) -> Callable[[Any], dict[str, Any]]:
    if how == "bytes":
        return lambda view: {"bytes": store.part(view).load(), "path": None}
    return lambda view: {"image": str(store.file(view.image).resolve())}
