"""Run a coroutine from ordinary code: in scripts, in threads and in notebooks alike.

All coroutines of the package run on one event loop in one background thread. So connections and
engines, which belong to the loop they were opened in, stay usable from one call to the next, and
a notebook's own running loop is no obstacle.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

T = TypeVar("T")

_lock = threading.Lock()
# By process: a forked child inherits its parent's portal, but not the thread behind it.
_portals: dict[int, tuple[threading.Thread, BlockingPortal]] = {}


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _portal() -> BlockingPortal:
    import anyio
    from anyio.from_thread import BlockingPortal

    ready: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    with _lock:
        thread, portal = _portals.get(os.getpid(), (None, None))
        if thread is None or portal is None or not thread.is_alive():
            thread = threading.Thread(target=anyio.run, args=(serve,), name="scalevqa", daemon=True)
            thread.start()
            portal = ready.result()
            _portals[os.getpid()] = thread, portal
        return portal


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine; Ctrl-C cancels it and is raised again once it has cleaned up."""
    ended = threading.Event()

    async def guarded() -> T:
        try:
            return await work
        finally:
            ended.set()

    future: Future[T] = _portal().start_task_soon(guarded)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        ended.wait()
        raise
