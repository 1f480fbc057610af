"""A server under guard ends when the one that wanted it is gone, however it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scalevqa_eval.models.local import guard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

GUARD = str(Path(guard.__file__))
# A server that has a child of its own; prints both ids.
SERVER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
# A parent that starts the guard and waits to be killed.
PARENT = f"""
import subprocess, sys, time
server = [sys.executable, "-c", {SERVER!r}]
held = subprocess.Popen([sys.executable, {GUARD!r}, *server], stdin=subprocess.PIPE,
                        start_new_session=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def gone(*pids: int, within: float = 30.0) -> bool:
    deadline = time.monotonic() + within
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def start(*command: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A process, and the ids of the server and its child that it (indirectly) started."""
    process = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    return process, pids


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def test_server_and_its_children_end_when_the_pipe_closes() -> None:
    process, pids = start(GUARD, sys.executable, "-c", SERVER)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(30)
    assert gone(*pids)
    end(process)


def test_nothing_is_left_after_kill_9_of_the_parent() -> None:
    process, pids = start("-c", PARENT)
    process.kill()
    assert gone(*pids)
    end(process)


def test_ctrl_c_and_terms_do_not_reach_the_server() -> None:
    process, pids = start(GUARD, sys.executable, "-c", SERVER)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert all(map(alive, pids))
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert gone(*pids)
    end(process)


def test_server_ends_with_a_killed_guard() -> None:
    process, pids = start(GUARD, sys.executable, "-c", SERVER)
    process.kill()
    assert gone(pids[0])
    os.kill(pids[1], signal.SIGKILL)  # a child of the server that nobody guards any more
    end(process)


def test_status_of_a_server_that_ends_by_itself() -> None:
    command = [sys.executable, GUARD, sys.executable, "-c", "raise SystemExit(7)"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.wait(30) == 7
    end(process)
