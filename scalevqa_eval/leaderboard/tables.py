"""A standing as words and as Markdown. All text of entries is escaped."""

from __future__ import annotations

import re

from scalevqa_eval.leaderboard.entries import Entry, TextOnly
from scalevqa_eval.leaderboard.standing import Cell, Line, Standing
from scalevqa_eval.statistics import Interval

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def markdown_text(text: str) -> str:
    """A text of an entry as plain Markdown on one line: no markup, links or HTML get through."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def number(count: float) -> str:
    """A count without a needless fraction: 344, or 344.33 where ties earned a share."""
    return f"{count:.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def span(interval: Interval | None) -> str:
    if interval is None:
        return "no interval"
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    if cell.printed:
        return f"{cell.printed} % (no k/n)"
    count = f"{number(cell.count.correct)}/{cell.count.n} = " if cell.count else ""
    return f"{count}{percent(cell.share)} {span(cell.interval)}"


def rank_text(line: Line) -> str:
    """`3 (2-4)`; without an interval the rank alone."""
    if line.rank is None:
        return "–"
    if line.rank_interval is None:
        return str(line.rank)
    return f"{line.rank} ({line.rank_interval.low}–{line.rank_interval.high})"


def gain_text(line: Line) -> str:
    if line.gain is None:
        return "–"
    interval = span(line.gain.interval) if line.gain.interval else "not paired"
    return f"{100 * line.gain.value:+.1f} {interval}"


def text_only_text(standing: Standing) -> str:
    """The strongest text-only result, `369/450 = 82.0 [78.2, 85.3] (val)`."""
    strongest = standing.strongest_text
    if strongest is None:
        return "–"
    probe, interval = strongest
    total = probe.total
    share = percent(total.correct / total.n)
    return f"{number(total.correct)}/{total.n} = {share} {span(interval)} ({probe.split})"


def to_markdown(standing: Standing) -> str:
    """The board as a Markdown page; texts of entries come out as plain text."""
    board, plain = standing.board, markdown_text
    out = [f"# {plain(board.title)}", ""]
    if board.description:
        out += [plain(board.description), ""]
    head = ["rank (95 %)", "model", "state", "all questions (micro)", "mean of dimensions (macro)"]
    head += [plain(name) for name in board.dimensions]
    head += ["text only (benchmark)", "visual gain"]
    out += [_row(head), _row(["---"] * len(head))]
    text = plain(text_only_text(standing))
    for line in standing.lines:
        cells = [rank_text(line), plain(entry_name(line.entry)), line.entry.state]
        cells += [_cell(line.overall), _cell(line.macro)]
        cells += [_cell(line.dimensions.get(name)) for name in board.dimensions]
        out.append(_row([*cells, text, gain_text(line)]))
    out += ["", f"Split {plain(board.split)}. {notes_on_numbers(standing)}", ""]
    if standing.others:
        out += ["## Other conditions", ""]
        head = ["condition", "model", "state", "all questions (micro)"]
        head += [plain(name) for name in board.dimensions]
        out += [_row(head), _row(["---"] * len(head))]
        for line in standing.others:
            cells = [plain(line.entry.condition), plain(entry_name(line.entry)), line.entry.state]
            cells += [_cell(line.overall)]
            cells += [_cell(line.dimensions.get(name)) for name in board.dimensions]
            out.append(_row(cells))
        out.append("")
    if standing.text_only:
        out += ["## What text alone reaches", ""]
        for probe, interval in standing.text_only:
            out.append(f"- {plain(text_probe(probe, interval))}")
        out.append("")
    out += ["## Sources and notes", ""]
    out += [f"- {plain(note)}" for note in board.notes]
    for line in (*standing.lines, *standing.others):
        out.append(f"- {plain(about(line.entry))}")
    return "\n".join(out) + "\n"


def text_probe(probe: TextOnly, interval: Interval) -> str:
    """One line about a text-only probe of the benchmark."""
    total = probe.total
    trained = f", trained on {probe.trained_on}" if probe.trained_on else ""
    parts = "; ".join(f"{name} {number(c.correct)}/{c.n}" for name, c in probe.results.items())
    source = probe.source.text.rstrip(".")
    return (
        f"{probe.probe}{trained}, on {probe.split}: {number(total.correct)}/{total.n} = "
        f"{percent(total.correct / total.n)} % {span(interval)} ({parts}). {source}."
        + "".join(f" {note}" for note in probe.notes)
    )


def about(entry: Entry) -> str:
    """One line with all that is known of an entry besides its numbers."""
    parts = [
        f"{entry_name(entry)} ({entry.state}, {entry.condition}, {entry.date}): {entry.source.text}"
    ]
    if entry.source.url:
        parts.append(entry.source.url)
    if entry.source.manifest:
        parts.append(f"manifest sha256 {entry.source.manifest}")
    if entry.prompt:
        parts.append(f"prompt: {entry.prompt}")
    if entry.harness:
        parts.append(f"harness: {entry.harness}")
    parts += [f"{name} as printed: {text}" for name, text in entry.slips.items()]
    parts += [entry.no_counts] if entry.no_counts else []
    return "; ".join([*parts, *entry.notes])


def notes_on_numbers(standing: Standing) -> str:
    """What the intervals and ranks of a board rest on, in a few sentences."""
    methods = sorted(
        {line.overall.interval.method for line in standing.lines if line.overall.interval}
    )
    ranks = sorted({line.rank_interval.method for line in standing.lines if line.rank_interval})
    said = ["Cells are k/n = percent [95 % interval]."]
    if methods:
        said.append(f"Intervals: {'; '.join(methods)}.")
    if ranks:
        said.append(f"Rank intervals: {'; '.join(ranks)}.")
    if any(line.entry.no_counts for line in standing.lines):
        said.append("Where no k/n is known the percentage is shown as printed, without interval.")
    if standing.board.chance is not None:
        said.append(f"Guessing reaches {percent(standing.board.chance)} %.")
    if not standing.text_only:
        said.append("What text alone reaches on this benchmark has not been entered.")
    return " ".join(said)


def entry_name(entry: Entry) -> str:
    """The model with its revision, if it has one."""
    return f"{entry.model} @ {entry.revision}" if entry.revision else entry.model


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
