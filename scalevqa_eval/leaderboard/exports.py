"""A standing for other programs: CSV, JSON, and the hub's `.eval_results`."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import yaml

from scalevqa_eval.leaderboard.entries import slug
from scalevqa_eval.leaderboard.standing import Cell, Line, Standing
from scalevqa_eval.leaderboard.tables import entry_name, number, span
from scalevqa_eval.pages import csv_text
from scalevqa_eval.statistics import Interval

_COLUMNS = (
    "benchmark", "split", "model", "revision", "state", "condition", "prompt", "harness", "date",
    "source", "dimension", "n", "correct", "percent", "low", "high", "method", "rank", "rank_low",
    "rank_high",
)  # fmt: skip


def to_csv(standing: Standing) -> str:
    """One row per entry and dimension (and `overall`); texts cannot become formulas."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in (*standing.lines, *standing.others):
        entry, place = line.entry, line.rank_interval
        texts: tuple[str, ...] = (
            standing.board.benchmark,
            standing.board.split,
            entry.model,
            entry.revision,
        )
        texts += (entry.state, entry.condition, entry.prompt, entry.harness, entry.date)
        texts += (entry.source.text,)
        for name, cell in (*line.dimensions.items(), ("overall", line.overall)):
            n, correct = (cell.count.n, cell.count.correct) if cell.count else ("", "")
            i = cell.interval
            ends = (f"{100 * i.low:.2f}", f"{100 * i.high:.2f}", i.method) if i else ("", "", "")
            value = cell.printed or f"{100 * cell.share:.2f}"
            rank: tuple[Any, ...] = ("", "", "")
            if name == "overall":
                rank = (line.rank or "", place.low if place else "", place.high if place else "")
            row = (*map(csv_text, texts), csv_text(name), n, correct, value, *ends, *rank)
            writer.writerow(row)
    return stream.getvalue()


def to_json(standing: Standing) -> str:
    """Everything that the pages show, for programs."""
    board = standing.board
    value = {
        "benchmark": board.benchmark,
        "title": board.title,
        "split": board.split,
        "revision": board.revision,
        "dimensions": board.dimensions,
        "chance": board.chance,
        "notes": list(board.notes),
        "text_only": [
            {**probe.model_dump(mode="json"), "total": _share(Cell(
                probe.total.correct / probe.total.n, probe.total, interval))}
            for probe, interval in standing.text_only
        ],
        "entries": [_line_json(line) for line in (*standing.lines, *standing.others)],
    }  # fmt: skip
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _line_json(line: Line) -> dict[str, Any]:
    entry, rank, gain = line.entry, line.rank_interval, line.gain
    about_entry = entry.model_dump(mode="json", exclude={"results", "answers_sha256"})
    return {
        **about_entry,
        "rank": line.rank,
        "rank_interval": [rank.low, rank.high] if rank else None,
        "rank_method": rank.method if rank else None,
        "overall": _share(line.overall),
        "macro": _share(line.macro) if line.macro else None,
        "by_dimension": {name: _share(cell) for name, cell in line.dimensions.items()},
        "visual_gain": {
            "value": round(gain.value, 6),
            "ci": _ends(gain.interval),
            "blind": gain.blind.model_dump(),
        }
        if gain
        else None,
    }


def _share(cell: Cell) -> dict[str, Any]:
    return {
        "n": cell.count.n if cell.count else None,
        "correct": cell.count.correct if cell.count else None,
        "accuracy": round(cell.share, 6),
        "ci": _ends(cell.interval),
        "ci_method": cell.interval.method if cell.interval else None,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 6), round(interval.high, 6)]


def to_eval_results(standing: Standing) -> dict[str, str]:
    """File name → text of a model repository's `.eval_results/BENCHMARK.yaml`, one per model.

    Empty if the benchmark's hub dataset is not known. Values are percentages; k/n and interval
    stand in the notes. Format: huggingface_hub.EvalResultEntry.
    """
    board = standing.board
    if board.hub is None:
        return {}
    files: dict[str, list[dict[str, Any]]] = {}
    for line in standing.lines:
        cells = {"overall": line.overall, **line.dimensions}
        name = base = slug(entry_name(line.entry))
        number = 2
        while f"{name}.yaml" in files:
            name, number = f"{base}-{number}", number + 1
        files[f"{name}.yaml"] = [_result(standing, line, k, v) for k, v in cells.items()]
    return {
        name: yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=1000)
        for name, rows in sorted(files.items())
    }


def _result(standing: Standing, line: Line, dimension: str, cell: Cell) -> dict[str, Any]:
    board, entry = standing.board, line.entry
    assert board.hub is not None
    dataset: dict[str, Any] = {"id": board.hub.dataset, "task_id": slug(dimension).lower()}
    if board.hub.revision:
        dataset["revision"] = board.hub.revision
    if cell.count and cell.interval:
        note = f"{number(cell.count.correct)}/{cell.count.n}, 95 % {span(cell.interval)}"
    else:
        note = "percentage as printed, no k/n"
    row: dict[str, Any] = {
        "dataset": dataset,
        "value": float(cell.printed) if cell.printed else round(100 * cell.share, 2),
    }
    if len(entry.date) == 10:
        row["date"] = f"{entry.date}T00:00:00Z"
    if entry.source.url:
        row["source"] = {"url": entry.source.url, "name": entry.source.text}
    row["notes"] = f"{note}; split {board.split}; {entry.state}; prompt: {entry.prompt or '?'}"
    return row
