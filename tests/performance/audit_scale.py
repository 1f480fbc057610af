"""Time and peak memory of an audit against the number of questions.

    python tests/performance/audit_scale.py 450 1000 3000 10000 33000

Made-up questions (a phrase is planted), 100 redraws, two workers. One process per size, so that
the peak memory is its own.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "audit"))


def one(n: int) -> tuple[float, float, float, float, str]:
    from planted import plant

    from scalevqa_eval.audit.assemble import audit

    benchmark = plant("phrase", n)
    started, cpu = time.perf_counter(), time.process_time()
    report = audit(
        benchmark, workers=2, look_at_data=False, progress=tick if "-v" in sys.argv else None
    )
    report.text()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = report.text_only
    figures = f"{report.verdict}, {text.best.name} {text.best.accuracy:.3f}, p {text.p_value:.4f}"
    return time.perf_counter() - started, time.process_time() - cpu, peak, text.chance, figures


def tick(text: str) -> None:
    print(f"    {time.process_time():8.1f} s CPU  {text}", flush=True)


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:] if text.isdigit()] or [450, 1000, 3000, 10000]
    print(f"{'questions':>9} {'seconds':>8} {'CPU s':>8} {'peak MiB':>9}", flush=True)
    for n in sizes:
        with get_context("fork").Pool(1) as pool:
            seconds, cpu, peak, _, figures = pool.apply(one, (n,))
        print(f"{n:9,} {seconds:8.1f} {cpu:8.1f} {peak:9.0f}  {figures}", flush=True)


if __name__ == "__main__":
    main()
