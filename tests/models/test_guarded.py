"""A server under guard ends when the one that wanted it is gone, however it went."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scalevqa_eval.models.local import guarded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A server that has a child of its own; prints both ids.
SERVER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
# One that wants it and waits to be killed.
PARENT = """
import subprocess, sys, time
held = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
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


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """`command(code)`: how a module of this code is run under guard."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def written(code: str) -> list[str]:
        (tmp_path / "a_server.py").write_text(code)
        return [sys.executable, "-P", guarded.__file__, "a_server"]

    return written


@pytest.mark.parametrize("how", ["pipe closes", "kill -9 of the parent"])
def test_server_and_its_children_end(command: Callable[[str], list[str]], how: str) -> None:
    parent = [] if how == "pipe closes" else [sys.executable, "-c", PARENT]
    process = subprocess.Popen(
        [*parent, *command(SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert all(map(alive, pids))
    if parent:
        process.kill()
    process.stdin.close()
    process.wait(30)
    process.stdout.close()
    assert len(pids) == 2
    assert gone(*pids)


def test_nothing_is_left_of_a_server_that_ends_by_itself(
    command: Callable[[str], list[str]],
) -> None:
    code = SERVER.replace("time.sleep(600)\n", "raise SystemExit(7)\n")
    process = subprocess.Popen(
        command(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    out, _ = process.communicate(timeout=30)
    assert gone(*map(int, out.split()))
