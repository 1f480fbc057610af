"""Start-up times and the size of the core install.

    python tests/performance/startup.py            times, in the environment that runs it
    python tests/performance/startup.py --install  also installs the core into a new environment

Prints the median of 9 runs of each command after two warm-up runs, beside a bare `python -c pass`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def median_seconds(command: list[str], runs: int = 9) -> float:
    taken = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:])


def install_megabytes() -> float:
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        site = next(Path(place).glob("lib/python*/site-packages"))
        before = size(site)
        pip = [str(Path(place) / "bin/pip"), "install", "--quiet", str(ROOT)]
        subprocess.run(pip, check=True)
        return (size(site) - before) / 1e6


def size(directory: Path) -> int:
    return sum(p.lstat().st_size for p in directory.rglob("*") if p.is_file())


def main() -> None:
    python = sys.executable
    rows = {
        "python -c pass": [python, "-c", "pass"],
        "import scalevqa_eval": [python, "-c", "import scalevqa_eval"],
        "scalevqa --help": [str(Path(python).with_name("scalevqa")), "--help"],
        "scalevqa run --help": [str(Path(python).with_name("scalevqa")), "run", "--help"],
    }
    for name, command in rows.items():
        print(f"{name:<24} {median_seconds(command) * 1000:6.0f} ms")
    if "--install" in sys.argv:
        print(f"{'core install':<24} {install_megabytes():6.0f} MB")


if __name__ == "__main__":
    main()
