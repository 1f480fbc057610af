"""Run a coroutine from ordinary code, in scripts and in notebooks alike.

All coroutines of the package run on one event loop in one background thread. So connections and
engines, which belong to the loop they were opened in, stay usable from one call to the next, and
a notebook's own running loop is no obstacle.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_orphans: list[asyncio.AbstractEventLoop] = []


def _forget_loop() -> None:
    """A forked child inherits the loop but not the thread that runs it: it gets a loop of its own.

    The old one is kept from being collected, as its sockets belong to the parent.
    """
    global _lock, _loop
    _lock = threading.Lock()
    if _loop is not None:
        _orphans.append(_loop)
        _loop = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loop)


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_loop.run_forever, name="scalevqa", daemon=True)
            thread.start()
        return _loop


def run_blocking(main: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine; Ctrl-C cancels it and is raised again once it has cleaned up."""
    loop = _background_loop()
    done = threading.Event()
    results: list[T] = []
    failures: list[BaseException] = []
    tasks: list[asyncio.Task[None]] = []

    async def guarded() -> None:
        try:
            results.append(await main)
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    def start() -> None:
        tasks.append(loop.create_task(guarded()))

    loop.call_soon_threadsafe(start)
    try:
        done.wait()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
        done.wait()
        raise
    if failures:
        raise failures[0]
    return results[0]
