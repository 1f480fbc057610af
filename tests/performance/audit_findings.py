"""How long the audit's look at the data takes, by number of questions.

    python tests/performance/audit_findings.py [33000 ...]

Made-up questions; `medoid` has options that differ in one word each, so that many texts look alike.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from scalevqa_eval.audit.dataset import examine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audit"))


def main() -> None:
    from planted import plant

    sizes = [int(argument) for argument in sys.argv[1:]] or [1_000, 3_300, 10_000, 33_000]
    print(f"{'texts':8s} {'questions':>9s} {'wall s':>7s} {'processor s':>11s} {'peak MiB':>8s}")
    for leak in ("none", "medoid"):
        for n in sizes:
            benchmark = plant(leak, n)
            wall, processor = time.perf_counter(), time.process_time()
            examine(benchmark)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{leak:8s} {n:9,d} {wall:7.1f} {processor:11.1f} {peak:8,d}", flush=True)


if __name__ == "__main__":
    main()
