"""A run → an entry, if it can be trusted: complete, whole, of this benchmark, properly parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from scalevqa_eval.compare import check_manifest
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.leaderboard.answers import to_lines
from scalevqa_eval.leaderboard.entries import FULL, Board, slug
from scalevqa_eval.leaderboard.loading import load_board, make_board
from scalevqa_eval.run.store import MANIFEST, Run
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import Outcome

UNREADABLE_LIMIT = 0.02
"""The largest share of unparsed, and of truncated, replies that an entry may have."""


@dataclass(frozen=True, slots=True)
class Added:
    """What was entered, and where."""

    board: Path
    answers: Path
    model: str
    n: int
    correct: int


def add_run(
    run: Run,
    directory: Path,
    *,
    state: Literal["reproduced", "ours"] = "ours",
    name: str = "",
    revision: str = "",
    notes: tuple[str, ...] = (),
    source_url: str = "",
    limit: float = UNREADABLE_LIMIT,
) -> Added:
    """Enter a run into the board of its benchmark; a new board is begun from the card.

    Raises UsageError or DataError, with the reason, for a run with errors or open questions,
    without a manifest, of another revision or split, with other counts than the board's or the
    card's, with too many unparsed or truncated replies, with another prompt than the board's
    and no note about it, or that is entered already.
    """
    check_manifest(run)
    summary = _recomputed(run, limit)
    path = directory / f"{run.manifest['benchmark']['name']}.yaml"
    text, board = _board(path, run, summary)
    _fits(board, run, summary)
    if _changed_prompt(board, run.manifest) and not notes:
        raise UsageError(
            f"{run.path} used the prompt {_prompt(run.manifest['prompt'])!r}, this board's is "
            f"{_prompt(board.prompt.model_dump() if board.prompt else {})!r}: say why with --note"
        )
    if summary["measure"] != "accuracy":
        notes = (*notes, f"Open questions: right means {summary['measure']}.")
    entry, lines = _entry(run, summary, state, name, revision, notes, source_url)
    block = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=96)
    indented = "".join(f"  {line}\n" for line in block.splitlines())
    answers = directory / entry["answers"]
    if answers.exists():
        raise UsageError(f"{run.path} is entered already: {answers} is there")
    _write_checked(path, text + indented, answers, lines)
    return Added(path, answers, entry["model"], summary["n"], summary["correct"])


def _recomputed(run: Run, limit: float) -> dict[str, Any]:
    """The summary as the records give it; refuses what is no result."""
    try:
        summary = summarise(run.questions, run.records, manifest=run.manifest)
    except ValueError as error:
        raise DataError(f"{run.path}: {error}") from error
    if not summary["complete"]:
        raise UsageError(
            f"{run.path} is incomplete: {summary['unanswered']} of {summary['questions']} "
            f"questions have no answer ({summary['errors']} errors); repeat its command first"
        )
    if not summary["n"]:
        raise UsageError(f"{run.path} has no questions")
    told = run.summary.get("correct")
    if told is not None and told != summary["correct"]:
        raise DataError(
            f"{run.path}: summary.json says {told} correct, the records give "
            f"{summary['correct']} (was a file changed by hand?)"
        )
    keys = {key.id: key for key in run.questions}
    for record in run.records:
        answer = keys[record.question_id].answer
        if answer and (record.letter == answer) != (record.outcome is Outcome.CORRECT):
            raise DataError(
                f"{run.path}: question {record.question_id!r} is {record.outcome.value}, but "
                f"{record.letter!r} was given and {answer!r} is right"
            )
    for outcome in (Outcome.UNPARSED, Outcome.TRUNCATED):
        count = summary["outcomes"][outcome.value]
        if count > limit * summary["n"]:
            raise UsageError(
                f"{run.path}: {count}/{summary['n']} replies are {outcome.value}, more than "
                f"{100 * limit:g} %: that measures the set-up, not the model"
            )
    return summary


def _board(path: Path, run: Run, summary: Mapping[str, Any]) -> tuple[str, Board]:
    """The board's text and content; for a benchmark without a board, a new one from its card."""
    if path.is_file():
        board = load_board(path)
        text = path.read_text("utf-8")
        if not text.endswith("\n"):
            text += "\n"
        if board.entries and not text.rstrip().rpartition("\nentries:")[1]:
            raise DataError(f"{path}: `entries:` must be the last part, in block style")
        return text.replace("\nentries: []\n", "\nentries:\n"), board
    benchmark = run.manifest["benchmark"]
    counts = {name: row["n"] for name, row in summary["by_dimension"].items()}
    counts = _card_counts(benchmark["name"], benchmark["split"]) or counts
    head = {
        "benchmark": benchmark["name"],
        **_card_title(benchmark["name"]),
        "split": benchmark["split"],
        "dimensions": counts,
    }
    if summary["chance"]:
        head["chance"] = summary["chance"]["accuracy"]
    prompt = run.manifest["prompt"]
    if prompt.get("style") and prompt.get("sha256"):
        head["prompt"] = {"style": prompt["style"], "sha256": prompt["sha256"]}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=96) + "entries:\n"
    return text, make_board(head, f"{run.path}: no board can be made of it")


def _card_counts(name: str, split: str) -> dict[str, int]:
    """Questions per dimension as the built-in card states them; empty if it does not."""
    from scalevqa_eval.data import list_cards, load_card

    if name not in list_cards():
        return {}
    card = load_card(name)
    stated = card.splits.get(split)
    return dict(stated.dimensions) if stated is not None else {}


def _card_title(name: str) -> dict[str, str]:
    from scalevqa_eval.data import list_cards, load_card

    if name not in list_cards():
        return {"title": name}
    card = load_card(name)
    return {"title": card.title or name, "description": " ".join(card.description.split())}


def _fits(board: Board, run: Run, summary: Mapping[str, Any]) -> None:
    benchmark = run.manifest["benchmark"]
    if benchmark["split"] != board.split:
        raise UsageError(
            f"{run.path} is on split {benchmark['split']!r}, this board on {board.split!r}"
        )
    if board.asked_revision not in ("", benchmark["revision"]):
        raise UsageError(
            f"{run.path} is on revision {benchmark['revision']!r} of {board.benchmark}, this "
            f"board on {board.asked_revision!r}: they are not the same questions"
        )
    card = _card_counts(board.benchmark, board.split)
    found = {name: row["n"] for name, row in summary["by_dimension"].items()}
    if unknown := found.keys() - board.dimensions.keys():
        raise UsageError(f"{run.path} has a dimension {min(unknown)!r} that the board has not")
    absent = summary["not_applicable"] if run.condition != FULL else 0
    for name, wanted in {**board.dimensions, **card}.items():
        n = found.get(name, 0)
        if n > wanted or (n < wanted and not absent):
            raise UsageError(
                f"{run.path} has {n} questions in {name}, the card and the board have {wanted} "
                "(was it made with --limit, or of another file?)"
            )
    short = sum(board.dimensions.values()) - sum(found.values())
    if absent and short != absent:
        raise UsageError(
            f"{run.path}: {short} questions are missing, {absent} did not apply to the condition"
        )


def _changed_prompt(board: Board, manifest: Mapping[str, Any]) -> bool:
    if board.prompt is None:
        return False
    return bool(manifest["prompt"].get("sha256") != board.prompt.sha256)


def _prompt(prompt: Mapping[str, Any]) -> str:
    """A prompt's style and the beginning of its hash."""
    return f"{prompt.get('style', '')} {str(prompt.get('sha256', ''))[:12]}".strip()


def _entry(
    run: Run,
    summary: Mapping[str, Any],
    state: str,
    name: str,
    revision: str,
    notes: tuple[str, ...],
    source_url: str,
) -> tuple[dict[str, Any], str]:
    manifest = run.manifest
    sha256 = hashlib.sha256((run.path / MANIFEST).read_bytes()).hexdigest()
    lines = to_lines(run.questions, run.records)
    versions = manifest.get("versions")
    version = versions.get("scalevqa-eval", "") if isinstance(versions, Mapping) else ""
    model = name or manifest["model"]["name"]
    file = slug(f"{slug(model)[:40]}-{slug(run.condition)[:24]}-{sha256[:12]}")
    entry: dict[str, Any] = {
        "model": model,
        "revision": revision,
        "state": state,
        "condition": run.condition,
        "prompt": _prompt(manifest["prompt"]),
        "harness": f"scalevqa-eval {version}".strip(),
        "source": {"text": "run of this harness", "url": source_url, "manifest": sha256},
        "date": str(manifest.get("started", ""))[:10],
        "results": {
            dimension: {"n": row["n"], "correct": row["correct"]}
            for dimension, row in summary["by_dimension"].items()
        },
        "notes": list(notes),
        "benchmark_revision": manifest["benchmark"]["revision"],
        "answers": f"answers/{run.manifest['benchmark']['name']}/{file}.jsonl",
        "answers_sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
    entry["source"] = {key: value for key, value in entry["source"].items() if value}
    return {key: value for key, value in entry.items() if value}, lines


def _write_checked(path: Path, text: str, answers: Path, lines: str) -> None:
    """Write the answers and the board; if the board is then faulty, neither stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trial = path.parent / f".{path.stem}.trial" / path.name
    trial.parent.mkdir(exist_ok=True)
    try:
        trial.write_text(text, "utf-8")
        load_board(trial)
        answers.parent.mkdir(parents=True, exist_ok=True)
        answers.write_text(lines, "utf-8")
        trial.replace(path)
    except DataError as error:
        raise DataError(str(error).replace(str(trial), str(path))) from error
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror}") from error
    finally:
        trial.unlink(missing_ok=True)
        trial.parent.rmdir()
