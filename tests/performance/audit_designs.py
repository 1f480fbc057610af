"""Is the audit's verdict right for the designs that benchmarks have?

    python tests/performance/audit_designs.py                     # every design, 40 datasets
    python tests/performance/audit_designs.py grades --datasets 60 --jobs 2
    python tests/performance/audit_designs.py --summary           # what is there so far

Each audit adds one line to the file given by --results; what is there is not done again. Prints for
each design how many of the datasets had a right verdict, each verdict's count, false alarms with a
Wilson interval, and how often the printed 95 % interval of all probes combined covered: the
accuracy that a reader of the text truly has where that is known, else the mean over the datasets.
Exits 1 if more than 5 % are called leaky where that is wrong, or any clean where it is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audit"))


def one(job: dict[str, Any]) -> dict[str, Any]:
    from designs import DESIGNS

    from scalevqa_eval.audit.assemble import audit

    report = audit(
        DESIGNS[job["design"]].make(job["seed"]), permutations=job["permutations"], seeds=1,
        seed=job["seed"], workers=1, look_at_data=False,
    )  # fmt: skip
    whole = report.strata[0]
    shown = whole.probe("combined").share
    return {
        **job,
        "verdict": report.verdict,
        "whole_file": report.to_json()["parts"]["whole_file"],
        "p": whole.p_adjusted,
        "position_p": report.position.p_adjusted[""],
        "accuracy": shown.accuracy,
        "ci": shown.ci,
        "leak": shown.leak,
        "largest": whole.largest_leak,
        "shown_by": whole.shown_by,
    }


def summarise(rows: list[dict[str, Any]]) -> int:
    from designs import DESIGNS

    from scalevqa_eval.statistics import wilson

    bad = 0
    for name, design in DESIGNS.items():
        found = [row for row in rows if row["design"] == name]
        if not found:
            continue
        n = len(found)
        count = Counter(row["verdict"] for row in found)
        right = sum(row["verdict"] in design.right for row in found)
        leaky = 0 if "leaky" in design.right else count["leaky"]
        clean = 0 if "clean" in design.right else count["clean"]
        truth = design.chance
        if truth is None:
            truth = sum(row["accuracy"] for row in found) / n
        covered = sum(row["ci"][0] - 1e-9 <= truth <= row["ci"][1] + 1e-9 for row in found)
        limits = wilson(leaky or clean, n)
        bad += leaky > 0.05 * n or clean > 0
        print(f"{name:16} right {right}/{n}  false leaky {leaky}/{n}  false clean {clean}/{n} "
              f"({limits.low:.2f}–{limits.high:.2f})  covered {covered}/{n} at {truth:.3f}  "
              f"{dict(count)}")  # fmt: skip
    return int(bad > 0)


def main() -> int:
    from designs import DESIGNS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("designs", nargs="*", help=", ".join(DESIGNS))
    parser.add_argument("--datasets", type=int, default=40)
    parser.add_argument("--permutations", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("audit_designs.jsonl"))
    parser.add_argument("--summary", action="store_true")
    chosen = parser.parse_args()
    rows = []
    if chosen.results.exists():
        rows = [json.loads(line) for line in chosen.results.read_text().splitlines()]
    if not chosen.summary:
        known = {(row["design"], row["permutations"], row["seed"]) for row in rows}
        jobs = [
            {"design": name, "permutations": chosen.permutations, "seed": seed}
            for seed in range(chosen.datasets)
            for name in chosen.designs or DESIGNS
            if (name, chosen.permutations, seed) not in known
        ]
        with (
            ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn")) as pool,
            chosen.results.open("a") as file,
        ):
            for done in as_completed([pool.submit(one, job) for job in jobs]):
                rows.append(done.result())
                file.write(json.dumps(rows[-1]) + "\n")
                file.flush()
    return summarise(rows)


if __name__ == "__main__":
    sys.exit(main())
