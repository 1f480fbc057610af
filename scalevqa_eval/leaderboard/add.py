"""A run → an entry, if it can be trusted: complete, whole, of this benchmark, properly parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from scalevqa_eval.compare import original_letter
from scalevqa_eval.data import list_cards, load_card
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.leaderboard.board import FULL, Board, parse_board, slug
from scalevqa_eval.leaderboard.build import pages
from scalevqa_eval.leaderboard.standing import Answer, work_out
from scalevqa_eval.run import MANIFEST, Run, write_atomically
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import Outcome

UNREADABLE_LIMIT = 0.02
"""The largest share of unparsed, and of truncated, replies that an entry may have."""


@dataclass(frozen=True, slots=True)
class Details:
    """What the person who enters a run says about it; `name` replaces the model's."""

    state: Literal["reproduced", "ours"] = "ours"
    name: str = ""
    revision: str = ""
    notes: tuple[str, ...] = ()
    url: str = ""
    limit: float = UNREADABLE_LIMIT


@dataclass(frozen=True, slots=True)
class Added:
    """What was entered, and where."""

    board: Path
    answers: Path
    model: str
    n: int
    correct: int


def add_run(run: Run, directory: Path, details: Details = Details()) -> Added:
    """Enter a run into the board of its benchmark; a new board is begun from the card.

    Raises UsageError or DataError, with the reason, for a run with errors or open questions,
    without a manifest, of other questions, right answers, revision or split than the board's,
    with other counts than the board's or the card's, with too many unparsed or truncated
    replies, with another prompt than the board's and no note about it, that is entered already,
    or of which no page could be built. Then nothing is written.
    """
    summary = _recomputed(run, details.limit)
    path = directory / f"{run.manifest['benchmark']['name']}.yaml"
    text, board = _board(path, run, summary)
    _check_fits(board, run, summary)
    notes = list(details.notes)
    used, expected = run.manifest["prompt"], board.prompt
    if expected is not None and used.get("sha256") != expected.sha256 and not notes:
        raise UsageError(
            f"{run.path} used the prompt {_prompt(used)!r}, this board's is "
            f"{_prompt(expected.model_dump())!r}: say why with --note"
        )
    if summary["measure"] != "accuracy":
        notes.append(f"Open questions: right means {summary['measure']}.")
    lines = _answer_lines(run)
    entry = _entry(run, summary, details, notes, lines)
    answers = directory / entry["answers"]
    if answers.exists():
        raise UsageError(f"{run.path} is entered already: {answers} is there")
    block = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=96)
    text += "".join(f"  {line}\n" for line in block.splitlines())
    _write_checked(path, text, answers, lines)
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
        text = path.read_text("utf-8").rstrip("\n") + "\n"
        board = parse_board(text, path)
        if board.entries and not text.rpartition("\nentries:")[1]:
            raise DataError(f"{path}: `entries:` must be the last part, in block style")
        return text.replace("\nentries: []\n", "\nentries:\n"), board
    benchmark, prompt = run.manifest["benchmark"], run.manifest["prompt"]
    name, split = benchmark["name"], benchmark["split"]
    head: dict[str, Any] = {"benchmark": name, "title": name}
    if name in list_cards():
        card = load_card(name)
        about = " ".join(card.description.split())
        head = {"benchmark": name, "title": card.title or name, "description": about}
    found = {key: row["n"] for key, row in summary["by_dimension"].items()}
    head |= {"split": split, "dimensions": _card_counts(name, split) or found}
    if summary["chance"]:
        head["chance"] = summary["chance"]["accuracy"]
    if prompt.get("style") and prompt.get("sha256"):
        head["prompt"] = {"style": prompt["style"], "sha256": prompt["sha256"]}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=96) + "entries:\n"
    try:
        return text, parse_board(text.replace("entries:\n", "entries: []\n"), path)
    except DataError as error:
        raise DataError(f"{run.path}: no board can be made of it: {error}") from error


def _card_counts(name: str, split: str) -> dict[str, int]:
    """Questions per dimension as the built-in card states them; empty if it does not."""
    stated = load_card(name).splits.get(split) if name in list_cards() else None
    return dict(stated.dimensions) if stated is not None else {}


def _check_fits(board: Board, run: Run, summary: Mapping[str, Any]) -> None:
    """Raises UsageError unless a run has the split, revision and counts of a board."""
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
    found = {name: row["n"] for name, row in summary["by_dimension"].items()}
    if unknown := found.keys() - board.dimensions.keys():
        raise UsageError(f"{run.path} has a dimension {min(unknown)!r} that the board has not")
    absent = summary["not_applicable"] if run.condition != FULL else 0
    card = _card_counts(board.benchmark, board.split)
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


def _prompt(prompt: Mapping[str, Any]) -> str:
    """A prompt's style and the beginning of its hash."""
    return f"{prompt.get('style', '')} {str(prompt.get('sha256', ''))[:12]}".strip()


def _answer_lines(run: Run) -> str:
    """The answers file of a run, in the order of its questions."""
    records = {record.question_id: record for record in run.records}
    lines = []
    for key in run.questions:
        record = records[key.id]
        try:
            answer = Answer(
                id=key.id,
                dimension=key.dimension,
                slide=key.slide,
                answer=original_letter(run, key, key.answer) or "",
                letter=original_letter(run, key, record.letter),
                outcome=record.outcome.value,  # type: ignore[arg-type]
            )
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise DataError(f"{run.path}: {message}") from error
        lines.append(answer.model_dump_json() + "\n")
    return "".join(lines)


def _entry(
    run: Run, summary: Mapping[str, Any], details: Details, notes: list[str], lines: str
) -> dict[str, Any]:
    manifest, benchmark = run.manifest, run.manifest["benchmark"]
    sha256 = hashlib.sha256((run.path / MANIFEST).read_bytes()).hexdigest()
    versions = manifest.get("versions")
    version = versions.get("scalevqa-eval", "") if isinstance(versions, Mapping) else ""
    model = details.name or manifest["model"]["name"]
    file = slug(f"{slug(model)[:40]}-{slug(run.condition)[:24]}-{sha256[:12]}")
    source = {"text": "run of this harness", "url": details.url, "manifest": sha256}
    entry: dict[str, Any] = {
        "model": model,
        "revision": details.revision,
        "state": details.state,
        "condition": run.condition,
        "prompt": _prompt(manifest["prompt"]),
        "harness": f"scalevqa-eval {version}".strip(),
        "source": {key: value for key, value in source.items() if value},
        "date": str(manifest.get("started", ""))[:10],
        "results": {
            dimension: {"n": row["n"], "correct": row["correct"]}
            for dimension, row in summary["by_dimension"].items()
        },
        "notes": notes,
        "benchmark_revision": benchmark["revision"],
        "questions": manifest.get("questions", ""),
        "answers": f"answers/{benchmark['name']}/{file}.jsonl",
        "answers_sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }
    return {key: value for key, value in entry.items() if value}


def _write_checked(path: Path, text: str, answers: Path, lines: str) -> None:
    """Write the answers and the board, if its pages can be built of them; else neither."""
    board = parse_board(text, path)
    try:
        answers.parent.mkdir(parents=True, exist_ok=True)
        answers.write_text(lines, "utf-8")
        pages([work_out(board, path.parent)])
        write_atomically(path, [text.encode()])
    except BaseException as error:
        answers.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"{answers} could not be written: {error.strerror}") from error
        raise
