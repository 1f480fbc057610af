"""Runs a server that must not outlive the process that wants it. A program of its own.

    python guard.py COMMAND ARGUMENT…

The parent holds the other end of this program's standard input. When that closes (the parent
closed it, ended, crashed or was killed with -9) the server and everything it started is stopped:
first asked to (SIGTERM), then killed. Linux also tells the server if this program is killed.
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
_GRACE = 15.0  # seconds between asking and killing
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
    raise SystemExit(main(sys.argv[1:]))
