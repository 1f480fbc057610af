"""What many questions cost: wall and CPU seconds, and the largest resident memory.

    python tests/performance/scale.py [--questions 300000] [--remote 33000] [--concurrency 64]

`baseline/first` answers all questions; `openai/` asks a loopback server in a process of its own,
each question with three images of 4 kB out of 600; `resume` is the same call once more, when all
is answered. Each row is a fresh process; what holding the questions takes alone stands in
brackets.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scalevqa_eval import Benchmark, Question, View, evaluate, load_model

IMAGES = 600


def draw(folder: Path) -> None:
    from PIL import Image

    rng = random.Random(0)
    for number in range(IMAGES):
        noise = Image.frombytes("RGB", (40, 40), rng.randbytes(40 * 40 * 3))
        noise.save(folder / f"{number:03d}.jpg", quality=95)


def questions(folder: Path, count: int) -> Benchmark:
    """`count` questions, five on each place of three views; every text is one of its own."""

    def question(number: int) -> Question:
        place = number // 5
        views = tuple(
            View(scale, f"{(3 * place + offset) % IMAGES:03d}.jpg")
            for offset, scale in enumerate(("low", "mid", "high"))
        )
        options = {
            letter: f"statement {letter} on nuclei, stroma and vessels, number {number}"
            for letter in "ABCD"
        }
        text = f"Which statement fits place {place}, seen at three magnifications? ({number})"
        return Question(f"q{number}", text, options, "ABCD"[number % 4], views, slide=f"s{place}")

    return Benchmark("scale", "1", "test", tuple(map(question, range(count))), folder)


def child(model: str, url: str, work: Path, count: int, concurrency: int) -> None:
    asked = questions(work / "images", count)
    held = peak()
    opened = load_model(model, base_url=url) if url else load_model(model)
    started, before = time.perf_counter(), cpu()
    done = evaluate(opened, asked, output=work / model, cache=False, max_concurrency=concurrency)
    wall, used = time.perf_counter() - started, cpu() - before
    assert done.complete
    assert done.summary["n"] == count
    print(json.dumps({"wall": wall, "cpu": used, "peak": peak(), "held": held}))


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row(title: str, model: str, url: str, work: str, count: int, concurrency: int) -> None:
    numbers = [str(count), str(concurrency)]
    command = [sys.executable, __file__, "--child", model, url, work, *numbers]
    environment = {**os.environ, "SCALEVQA_CACHE": f"{work}/cache"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{title:23} {count:7,} questions  {found['wall']:6.1f} s  CPU {found['cpu']:6.1f} s  "
        f"peak {found['peak']:5.0f} MB ({found['held']:.0f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=300_000)
    parser.add_argument("--remote", type=int, default=33_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--child", nargs=5, help="internal")
    options = parser.parse_args()
    if options.child:
        model, url, work, count, concurrency = options.child
        child(model, url, Path(work), int(count), int(concurrency))
        return
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "images").mkdir()
        draw(Path(work) / "images")
        numbers = options.questions, options.concurrency
        row("baseline/first", "baseline/first", "", work, *numbers)
        row("baseline/first, resume", "baseline/first", "", work, *numbers)
        command = [sys.executable, "-m", "scalevqa_eval.testing", "--drop-bodies"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            numbers = options.remote, options.concurrency
            row("openai/ on loopback", "openai/any", url, work, *numbers)
            row("openai/, resume", "openai/any", url, work, *numbers)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
