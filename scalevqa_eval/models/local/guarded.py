"""Runs a module as a server that must not outlive the process that wants it. A program of its own.

    python -P guarded.py MODULE ARGUMENT…

The one that wants the server made it the leader of a process group and holds the other end of its
standard input. When that closes (closed, ended, crashed or killed with -9), the group is asked to
end (SIGTERM), and killed if it does not. What the server started ends with it.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
import threading
import time

_GRACE = 15.0  # seconds between asking the group to end and killing it


def watch() -> None:
    """Wait for the end of standard input, then end the group that this process leads."""
    while os.read(0, 4096):  # not sys.stdin: its lock would be held in forked processes
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(_GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    atexit.register(os.killpg, 0, signal.SIGKILL)
    threading.Thread(target=watch, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
