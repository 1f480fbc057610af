"""Progress of long work: a bar on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from scalevqa_eval.run.result import Progress

_PLAIN_SECONDS = 10.0


class Shown(Protocol):
    def update(self, progress: Progress) -> None: ...
    def warn(self, message: str) -> None: ...


@contextmanager
def shown(title: str) -> Iterator[Shown]:
    """Show an evaluation while the block runs."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.print(f"{title}: preparing", markup=False, soft_wrap=True)
        yield _Lines(console, title)
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as bar:
        yield _Live(bar, bar.add_task(title, total=None, note="preparing"))


def note(progress: Progress) -> str:
    """Rate, errors and cost in one short text."""
    seconds = max(1e-9, time.monotonic() - progress.started)
    parts = [f"{(progress.done - progress.kept) / seconds:.1f}/s"]
    if progress.errors:
        parts.append(f"{progress.errors} errors")
    if progress.cost:
        parts.append(f"${progress.cost:.2f}")
    return ", ".join(parts)


class _Live:
    def __init__(self, bar: Bar, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def update(self, progress: Progress) -> None:
        self._bar.update(
            self._task, completed=progress.done, total=progress.total, note=note(progress)
        )

    def warn(self, message: str) -> None:
        self._bar.console.print(f"Warning: {message}", markup=False)


class _Lines:
    def __init__(self, console: object, title: str) -> None:
        from rich.console import Console

        assert isinstance(console, Console)
        self._console = console
        self._title = title
        self._next = 0.0

    def update(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.done == progress.total
        if now < self._next and not finished:
            return
        self._next = now + _PLAIN_SECONDS
        rate = (progress.done - progress.kept) / max(1e-9, now - progress.started)
        left = f", {(progress.total - progress.done) / rate:.0f} s left" if rate else ""
        text = f"{self._title}: {progress.done}/{progress.total} ({note(progress)}{left})"
        self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        self._console.print(f"Warning: {message}", markup=False, soft_wrap=True)
