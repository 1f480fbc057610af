"""Power and false-positive rate of the audit's verdict on planted leaks.

    python tests/performance/audit_power.py --leak none --n 300 --datasets 200 --jobs 2
    python tests/performance/audit_power.py --n 1000 --datasets 40      # every leak, strength 0.10
    python tests/performance/audit_power.py --summary                    # what is there so far

Each audit adds one line to the file given by --results, and what is there already is not done
again: the same command continues. Prints how many of the datasets were called leaky, clean and
undecided, with Wilson intervals.
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

OPTIONS = {"4": (4,), "mixed": (3, 4, 5, 6), "2": (2,)}


def one(job: dict[str, Any]) -> dict[str, Any]:
    from planted import plant

    from scalevqa_eval.audit.assemble import audit

    benchmark = plant(
        job["leak"], job["n"], strength=job["strength"], seed=job["seed"],
        options=OPTIONS[job["options"]], slides=job["slides"],
    )  # fmt: skip
    report = audit(
        benchmark, permutations=job["permutations"], seeds=job["fold_seeds"],
        seed=job["seed"], workers=1, look_at_data=False,
    )  # fmt: skip
    best = report.text_only.best
    return {
        **job,
        "verdict": report.verdict,
        "whole_file": report.whole_file[0].verdict,
        "p": report.text_only.p_value,
        "position_p": report.position.p_adjusted[""],
        "best": best.name,
        "accuracy": best.accuracy,
        "largest": report.text_only.largest_leak,
    }


def key(job: dict[str, Any]) -> str:
    names = ("leak", "n", "strength", "options", "slides", "permutations", "fold_seeds", "seed")
    return json.dumps([job[name] for name in names])


def summarise(rows: list[dict[str, Any]]) -> None:
    from scalevqa_eval.statistics import wilson

    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        group = (row["leak"], row["n"], row["strength"], row["options"], row["slides"])
        groups.setdefault(group, []).append(row)
    print(f"{'leak':10} {'n':>5} {'str.':>5} {'K':>5} {'slides':>6}   called leaky          clean  "
          "undecided")  # fmt: skip
    for group in sorted(groups, key=str):
        rows_ = groups[group]
        # What is common in the file, and siblings' cues, are there for who has the whole file.
        key_ = "whole_file" if group[0] in ("diagnosis", "sibling") else "verdict"
        count = Counter(row[key_] for row in rows_)
        limits = wilson(count["leaky"], len(rows_))
        leak, n, strength, options, slides = group
        print(
            f"{leak:10} {n:5} {strength:5} {options:>5} {slides or 'n/25':>6}   "
            f"{count['leaky']:3}/{len(rows_):<3} {limits.low:.2f}–{limits.high:.2f}   "
            f"{count['clean']:8} {count['undecided']:8}"
        )


def main() -> None:
    from planted import LEAKS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leak", action="append", choices=LEAKS)
    parser.add_argument("--n", action="append", type=int)
    parser.add_argument("--strength", type=float, default=0.10)
    parser.add_argument("--options", choices=OPTIONS, default="4")
    parser.add_argument("--slides", type=int)
    parser.add_argument("--datasets", type=int, default=20)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--fold-seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("audit_power.jsonl"))
    parser.add_argument("--summary", action="store_true")
    chosen = parser.parse_args()
    rows = []
    if chosen.results.exists():
        rows = [json.loads(line) for line in chosen.results.read_text().splitlines()]
    if not chosen.summary:
        known = {key(row) for row in rows}
        jobs = [
            {"leak": leak, "n": n, "strength": chosen.strength if leak != "none" else 0.0,
             "options": chosen.options, "slides": chosen.slides,
             "permutations": chosen.permutations, "fold_seeds": chosen.fold_seeds, "seed": seed}
            for n in chosen.n or (100, 300, 1000, 4000)
            for leak in chosen.leak or LEAKS
            for seed in range(chosen.datasets)
        ]  # fmt: skip
        jobs = [job for job in jobs if key(job) not in known]
        with (
            ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn")) as pool,
            chosen.results.open("a") as file,
        ):
            for done in as_completed([pool.submit(one, job) for job in jobs]):
                row = done.result()
                rows.append(row)
                file.write(json.dumps(row) + "\n")
                file.flush()
    summarise(rows)


if __name__ == "__main__":
    main()
