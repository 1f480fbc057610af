"""Looks at processes, for tests of what engines leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent


def descendants(pid: int) -> dict[int, str]:
    """Living processes below `pid`, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
    found: dict[int, str] = {}
    below = [pid]
    for one in below:
        children = [child for child, parent in parents.items() if parent == one]
        below += children
        found |= {child: command(child) for child in children}
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def find(pid: int, text: str) -> list[int]:
    """Descendants of `pid` whose command line holds `text`."""
    return [child for child, line in descendants(pid).items() if text in line]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def run_python(code: str, log: Path) -> subprocess.Popen[bytes]:
    """A script of its own that can import this directory; its output goes to `log`."""
    script = log.with_suffix(".py")
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{code}")
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, str(script)], stdout=output, stderr=subprocess.STDOUT
        )
