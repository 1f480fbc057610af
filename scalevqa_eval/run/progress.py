"""Where an evaluation is, and how that is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scalevqa_eval.pages import one_line

_BAR_SECONDS, _LINE_SECONDS = 0.1, 10.0


@dataclass(slots=True)
class Progress:
    """Where an evaluation is: one object, updated in place and handed on after each question.

    `kept` questions were answered by an earlier call. `cost` is in US dollars, None once a
    reply had no known price. `concurrency` is how many prompts may be under way now. `retrying`
    says why a question is being asked once more, "" when a reply has come since.
    """

    total: int = 0
    kept: int = 0
    answered: int = 0
    errors: int = 0
    from_cache: int = 0
    cost: float | None = 0.0
    concurrency: int = 0
    retrying: str = ""
    last_error: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.kept + self.answered + self.errors

    @property
    def rate(self) -> float:
        """Questions that this call ended, a second."""
        return (self.done - self.kept) / max(1e-9, time.monotonic() - self.started)


@dataclass(slots=True)
class Reporter:
    """What an evaluation tells while it works; nothing by default, warnings as Python's."""

    update: Callable[[Progress], None] = lambda progress: None
    warn: Callable[[str], None] = warnings.warn


@contextmanager
def shown(title: str) -> Iterator[Reporter]:
    """Show an evaluation on stderr (or in a notebook) while the block runs."""
    from scalevqa_eval.pages.terminal import console

    terminal = console(err=True)

    def say(text: str) -> None:
        terminal.print(one_line(text), soft_wrap=True)

    def warn(message: str) -> None:
        say(f"Warning: {message}")

    if not (terminal.is_terminal or terminal.is_jupyter):
        say(f"{title}: preparing")
        yield Reporter(_sparingly(lambda now: say(f"{title}: {_line(now)}"), _LINE_SECONDS), warn)
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=terminal,
        transient=True,
    ) as bar:
        task = bar.add_task(one_line(title), total=None, note="preparing")

        def update(now: Progress) -> None:
            bar.update(task, completed=now.done, total=now.total, note=_note(now))

        yield Reporter(_sparingly(update, _BAR_SECONDS), warn)


def _sparingly(show: Callable[[Progress], None], seconds: float) -> Callable[[Progress], None]:
    """Show at most so often, but at once when all is done and when a question first fails."""
    due, troubled = 0.0, False

    def update(now: Progress) -> None:
        nonlocal due, troubled
        first_trouble = bool(now.retrying) and not troubled
        troubled = troubled or first_trouble
        clock = time.monotonic()
        if clock >= due or first_trouble or now.done == now.total:
            due = clock + seconds
            show(now)

    return update


def _line(now: Progress) -> str:
    left = f", {(now.total - now.done) / now.rate:.0f} s left" if now.rate else ""
    return f"{now.done}/{now.total} ({_note(now)}{left})"


def _note(now: Progress) -> str:
    """Rate, errors, cost and what is being tried again, in one short text."""
    parts = [f"{now.rate:.1f}/s"]
    if now.errors:
        parts.append(f"{now.errors} errors")
    if now.cost:
        parts.append(f"${now.cost:.2f}")
    if now.retrying:
        parts.append(f"retrying: {one_line(now.retrying)[:80]}")
    return ", ".join(parts)
