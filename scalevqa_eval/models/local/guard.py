"""Runs a server that must not outlive the process that wants it. A program of its own.

    python guard.py COMMAND ARGUMENT…

The one that wants the server holds the other end of this program's standard input. When that
closes (closed, ended, crashed or killed with -9), the server and all that it started are asked to
end (SIGTERM), then killed. Linux also tells the server if this program is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

_POLL = 0.25  # seconds between looks at the server
_GRACE = 15.0  # seconds between asking it to end and killing it
_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """Run `command` until it ends or the parent is gone; returns its exit status."""
    for ignored in _SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)  # only the end of standard input counts
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_in_server
    )
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], _POLL)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            break
    with contextlib.suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(_GRACE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)  # what is left of its group
    return server.wait()


def _in_server() -> None:
    for restored in _SIGNALS:
        signal.signal(restored, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
