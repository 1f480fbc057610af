"""Boards → files, byte for byte the same from the same data; and the check that they still are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.exports import to_csv, to_eval_results, to_json
from scalevqa_eval.leaderboard.loading import load_boards
from scalevqa_eval.leaderboard.page import to_html
from scalevqa_eval.leaderboard.standing import Standing, checked_answers, work_out
from scalevqa_eval.leaderboard.tables import to_markdown

EVAL_RESULTS = "eval_results"


def build(directory: Path) -> dict[str, str]:
    """All pages of a directory of boards: relative file name → text. Writes nothing.

    Raises DataError for a faulty board or answers that contradict it.
    """
    standings = [work_out(board, directory) for board in load_boards(directory)]
    files: dict[str, str] = {}
    for standing in standings:
        name = standing.board.benchmark
        files[f"{name}.md"] = to_markdown(standing)
        files[f"{name}.csv"] = to_csv(standing)
        files[f"{name}.json"] = to_json(standing)
        for file, text in to_eval_results(standing).items():
            files[f"{EVAL_RESULTS}/{name}/{file}"] = text
    standings.sort(key=_prominence)
    files["index.html"] = to_html(standings)
    return files


def _prominence(standing: Standing) -> tuple[int, str]:
    """Boards with more counted entries come first on the page."""
    counted = sum(line.overall.count is not None for line in standing.lines)
    return -counted, standing.board.benchmark


def write(files: Mapping[str, str], output: Path) -> list[Path]:
    """Write pages below `output`, with line feeds on every system. Returns the paths."""
    paths = []
    for name, text in sorted(files.items()):
        path = output / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise DataError(f"{path} could not be written: {error.strerror}") from error
        paths.append(path)
    return paths


def check(directory: Path) -> tuple[int, int, list[str]]:
    """Recompute every entry that has answers, and compare the pages with a fresh build.

    Returns how many entries there are, how many were recomputed, and the problems in words
    (one question of difference is one, a file left behind by an entry another). Raises DataError
    if a board cannot be read at all.
    """
    entries = recomputed = 0
    problems: list[str] = []
    for board in load_boards(directory):
        for entry in board.entries:
            entries += 1
            if entry.answers is None:
                continue
            try:
                checked_answers(entry, directory)
            except DataError as error:
                problems.append(f"{board.benchmark}: {error}")
            recomputed += 1
    if problems:
        return entries, recomputed, problems
    files = build(directory)
    pages = {path for path in (directory / EVAL_RESULTS).rglob("*") if path.is_file()}
    kept = {path for path in (directory / "answers").rglob("*") if path.is_file()}
    entered = {
        directory / entry.answers
        for board in load_boards(directory)
        for entry in board.entries
        if entry.answers
    }
    for path in sorted((pages - {directory / name for name in files}) | (kept - entered)):
        problems.append(f"{path.relative_to(directory)} belongs to no entry: remove it")
    for name, text in files.items():
        path = directory / name
        if not path.is_file():
            problems.append(f"{name} is missing: run scalevqa leaderboard build")
        elif path.read_bytes() != text.encode():
            problems.append(f"{name} is not what the data give: run scalevqa leaderboard build")
    return entries, recomputed, problems
