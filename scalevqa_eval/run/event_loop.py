"""Run a coroutine from ordinary code: in scripts, in threads and in notebooks alike.

All coroutines of the package run on one event loop in one background thread. So connections and
engines, which belong to the loop they were opened in, stay usable from one call to the next, and
a notebook's own running loop is no obstacle.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

# By process: a forked child inherits its parent's loop, but not the thread that runs it.
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def _loop() -> asyncio.AbstractEventLoop:
    process = os.getpid()
    if process not in _loops:
        made = asyncio.new_event_loop()
        if _loops.setdefault(process, made) is made:  # no other thread was faster
            threading.Thread(target=made.run_forever, name="scalevqa", daemon=True).start()
        else:
            made.close()
    return _loops[process]


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine; Ctrl-C cancels it and is raised again once it has cleaned up."""
    result: Future[T] = Future()

    async def kept() -> None:
        try:
            result.set_result(await work)
        except BaseException as error:  # SystemExit as well, which would end the loop
            result.set_exception(error)

    task = asyncio.run_coroutine_threadsafe(kept(), _loop())
    try:
        return result.result()
    except KeyboardInterrupt:
        task.cancel()
        wait([result])
        raise
