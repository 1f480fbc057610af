"""Boards → files, byte for byte the same from the same data; and the check that they still are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.board import load_boards
from scalevqa_eval.leaderboard.page import to_html
from scalevqa_eval.leaderboard.standing import Standing, work_out
from scalevqa_eval.leaderboard.tables import to_csv, to_eval_results, to_json, to_markdown

EVAL_RESULTS = "eval_results"


def build(directory: Path) -> dict[str, str]:
    """All pages of a directory of boards: relative file name → text. Writes nothing.

    Raises DataError for a faulty board or answers that contradict it.
    """
    return pages([work_out(board, directory) for board in load_boards(directory)])


def pages(standings: list[Standing]) -> dict[str, str]:
    """Relative file name → text."""
    files: dict[str, str] = {}
    for standing in standings:
        name = standing.board.benchmark
        files[f"{name}.md"] = to_markdown(standing)
        files[f"{name}.csv"] = to_csv(standing)
        files[f"{name}.json"] = to_json(standing)
        for file, text in to_eval_results(standing).items():
            files[f"{EVAL_RESULTS}/{name}/{file}"] = text
    files["index.html"] = to_html(sorted(standings, key=_prominence))
    return files


def _prominence(standing: Standing) -> tuple[int, str]:
    """Boards with more counted entries come first on the page."""
    counted = sum(line.overall.count is not None for line in standing.lines)
    return -counted, standing.board.benchmark


def write(files: Mapping[str, str], output: Path) -> list[Path]:
    """Write pages below `output`, with line feeds on every system. Returns the paths."""
    paths = [output / name for name in sorted(files)]
    for path, text in zip(paths, (files[name] for name in sorted(files)), strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise DataError(f"{path} could not be written: {error.strerror}") from error
    return paths


def check(directory: Path) -> tuple[int, int, list[str]]:
    """Recompute every entry that has answers, and compare the pages with a fresh build.

    Returns how many entries there are, how many were recomputed, and the problems in words
    (the first of each board, a file left behind by an entry, a page that is not as built). Raises
    DataError if a board cannot be read at all.
    """
    boards = load_boards(directory)
    entries = [entry for board in boards for entry in board.entries]
    answered = [entry.answers for entry in entries if entry.answers]
    standings, problems = [], []
    for board in boards:
        try:
            standings.append(work_out(board, directory))
        except DataError as error:
            problems.append(f"{board.benchmark}: {error}")
    if not problems:
        problems = _differences(pages(standings), answered, directory)
    return len(entries), len(answered), problems


def _differences(files: Mapping[str, str], answers: Sequence[str], directory: Path) -> list[str]:
    """How the files of a directory differ from what its boards give."""
    wanted = {directory / name for name in (*files, *answers)}
    there = (p for name in (EVAL_RESULTS, "answers") for p in (directory / name).rglob("*"))
    problems = [
        f"{path.relative_to(directory)} belongs to no entry: remove it"
        for path in sorted(there)
        if path.is_file() and path not in wanted
    ]
    for name, text in files.items():
        path = directory / name
        if not path.is_file():
            problems.append(f"{name} is missing: run scalevqa leaderboard build")
        elif path.read_bytes() != text.encode():
            problems.append(f"{name} is not what the data give: run scalevqa leaderboard build")
    return problems
