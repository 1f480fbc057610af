"""Ends processes that must not outlive the one that wants them. A program of its own.

    python guard.py COMMAND ARGUMENT…      run a server, and stop it when the parent is gone
    python guard.py --watch                stop the processes whose ids are written to it

The parent holds the other end of this program's standard input. When that closes (the parent
closed it, ended, crashed or was killed with -9) the processes and all that they started are
stopped: first asked to (SIGTERM), then killed. Linux also tells a server if this program is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_POLL = 0.25
_GRACE = 15.0  # seconds between asking a server and killing it
_WATCH_GRACE = 3.0  # the same for watched processes, which nobody waits for
_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """Run `command` until it ends or the parent is gone; returns its exit status."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # only the end of standard input counts
    parent = os.getppid()
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_guard
    )
    while server.poll() is None and os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], _POLL)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            break
    _stop(server)
    return server.wait()


def watch() -> int:
    """Read process ids, one a line, until the parent is gone; then stop those still there."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    born: dict[int, str] = {}
    for line in sys.stdin:
        if line.strip().isdecimal():
            born[int(line)] = _birth(int(line))
    every = [pid for pid in born if born[pid] and _birth(pid) == born[pid]]
    for pid in every:  # grows while it is walked: children, their children, …
        every += [child for child in _children(pid) if child not in every]
    born |= {pid: _birth(pid) for pid in every if pid not in born}
    for number, seconds in ((signal.SIGTERM, _WATCH_GRACE), (signal.SIGKILL, 1.0)):
        for pid in every:
            if _birth(pid) == born[pid]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(_birth(pid) == born[pid] for pid in every):
            time.sleep(_POLL / 5)
    return 0


def _birth(pid: int) -> str:
    """When a process began, which tells it from a later one of the same id; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:  # noqa: PTH123
            return [int(child) for child in children.read().split()]
    except (OSError, ValueError):
        return []


def _die_with_guard() -> None:
    for restored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(restored, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask the server's process group to end; kill what is left of it."""
    if server.poll() is None:
        _signal_group(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while server.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL / 5)
    _signal_group(server.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    raise SystemExit(watch() if sys.argv[1:] == ["--watch"] else main(sys.argv[1:]))
