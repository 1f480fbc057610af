"""Resident memory of hf/ over 1,000 questions about 200 image sets, asked through `evaluate`.

    PY=$(scripts/setup-engines | tail -n 1)
    $PY tests/performance/hf_memory.py

Prints the process's resident memory after every 100 questions, and the growth from the 200th
(when caches are full) to the last.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "engines")]


def resident() -> float:
    """Resident memory of this process in MB, without pages that are shared with files."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()

    import small
    import tiny_models

    from scalevqa_eval.models import load_model
    from scalevqa_eval.run import evaluate
    from scalevqa_eval.types import Sampling

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        os.environ["SCALEVQA_CACHE"] = str(root / "cache")
        benchmark = small.benchmark(root / "images", sets=options.questions // 5, each=5, views=3)
        for file in (root / "images").rglob("*.jpg"):
            small.picture(file, seed=hash(file.name) & 0xFFFF, size=(options.side, options.side))
        model = load_model(f"hf/{tiny_models.qwen25_vl(root / 'tiny')}")
        seen: list[tuple[int, float]] = []

        def watch(progress: Any) -> None:
            done = progress.answered
            if done and done % 100 == 0 and (not seen or seen[-1][0] < done):
                seen.append((done, resident()))
                print(f"{done:6} questions  {seen[-1][1]:8.1f} MB", flush=True)

        found = evaluate(
            model,
            benchmark,
            output=root / "runs",
            sampling=Sampling(max_tokens=options.tokens),
            progress=watch,
        )
        assert found.complete
        after = dict(seen)
        start = after[min(200, min(after))] if 200 not in after else after[200]
        print(f"growth from question 200 to {seen[-1][0]}: {seen[-1][1] - start:+.1f} MB")


if __name__ == "__main__":
    main()
