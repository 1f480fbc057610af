"""Sees to it that an engine's child processes go when this process goes, however it goes."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from scalevqa_eval.models.local import guard


class Watcher:
    """A small process that ends the children started inside `collecting` when this one is gone.

    vLLM's engine process survives a parent that was killed, and keeps the GPU's memory.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(Path(guard.__file__)), "--watch"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._told: set[int] = set()

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Children that `multiprocessing` starts meanwhile are the ones to end."""
        before = {child.pid for child in multiprocessing.active_children()}
        over = threading.Event()

        def collect() -> None:
            while not over.wait(0.2):
                self._tell(before)

        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._tell(before)

    def _tell(self, before: set[int | None]) -> None:
        found = {child.pid for child in multiprocessing.active_children()} - before - self._told
        for pid in found:
            if pid is not None and self._process.stdin is not None:
                self._told.add(pid)
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(f"{pid}\n".encode())
                    self._process.stdin.flush()

    def close(self) -> None:
        """End what is left of the children, now."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
