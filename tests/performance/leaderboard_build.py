"""How long a board of many runs takes: 100 runs of 10,000 records each, entered and built.

    python tests/performance/leaderboard_build.py [--runs 100] [--questions 10000]

Prints seconds and peak memory of `leaderboard build` and `leaderboard check`, each in a process
of its own. The aim is a build in under 60 s on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

DIMENSIONS = ("Correspondence", "Confirmation", "Localization", "Explanation", "Diagnosis")


def write_boards(directory: Path, runs: int, questions: int) -> None:
    """A board with answers as `leaderboard add` writes them; 250 slides, accuracies 0.2 to 0.9."""
    answers = directory / "answers" / "large"
    answers.mkdir(parents=True)
    entries = []
    for number in range(runs):
        draw = random.Random(number)
        share = 0.2 + 0.7 * number / runs
        lines, counts = [], {name: [0, 0] for name in DIMENSIONS}
        for i in range(questions):
            right, name = draw.random() < share, DIMENSIONS[i % 5]
            counts[name][0] += 1
            counts[name][1] += right
            row = {
                "id": f"question-{i}", "dimension": name, "slide": f"slide-{i % 250}",
                "answer": "A", "letter": "A" if right else "B",
                "outcome": "correct" if right else "wrong",
            }  # fmt: skip
            lines.append(json.dumps(row, separators=(",", ":")) + "\n")
        text = "".join(lines)
        (answers / f"run-{number}.jsonl").write_text(text)
        entries.append(
            {
                "model": f"model {number}", "state": "ours", "source": {"text": "a run"},
                "date": "2026-11-21", "answers": f"answers/large/run-{number}.jsonl",
                "answers_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "results": {k: {"n": n, "correct": c} for k, (n, c) in counts.items()},
            }
        )  # fmt: skip
    board = {
        "benchmark": "large", "title": "Large", "split": "test",
        "dimensions": {name: entries[0]["results"][name]["n"] for name in DIMENSIONS},  # type: ignore[index]
        "entries": entries,
    }  # fmt: skip
    (directory / "large.yaml").write_text(yaml.safe_dump(board, sort_keys=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--questions", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        write_boards(directory, arguments.runs, arguments.questions)
        print(f"{arguments.runs} runs x {arguments.questions} records")
        for step in ("build", "check"):
            command = [sys.executable, "-m", "scalevqa_eval", "leaderboard", step]
            started = time.perf_counter()
            subprocess.run([*command, "--directory", place], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                f"{step}: {seconds:.1f} s wall, peak {used.ru_maxrss / 1024:.0f} MB "
                f"(CPU so far {used.ru_utime + used.ru_stime:.1f} s)"
            )


if __name__ == "__main__":
    main()
