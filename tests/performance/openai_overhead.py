"""What sending 1,005 questions with three 400 kB images costs, against a bare aiohttp client.

    python tests/performance/openai_overhead.py [--questions 1005] [--concurrency 64] [--rounds 3]

A loopback server in a process of its own waits 0.2 s before each answer. Each client is a fresh
process: `harness` is `evaluate` with everything that a run does (image checks, records, reply
cache, summary); `adapter` is `openai/` of this package alone; `bare` is aiohttp, reading the same
files, building the same bodies and sending them; `resend` is aiohttp sending one ready body again
and again, the least that any client can cost. Clients take turns, and the medians are printed:
CPU seconds (user and system, without imports), wall seconds, and the largest resident memory.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TEXT = "Which statement fits all three pictures?\n" + "\n".join(
    f"({letter}) the {letter.lower()}-th of four statements about the same tissue"
    for letter in "ABCD"
)
Ask = Callable[[int], Awaitable[None]]


IMAGES = 150


def paths(folder: Path, number: int) -> list[Path]:
    return [folder / f"{(3 * number + offset) % IMAGES:03d}.jpg" for offset in range(3)]


def draw(folder: Path, questions: int) -> None:
    """Pictures of 400 kB that differ, under as many names as the questions show."""
    from PIL import Image

    rng = random.Random(0)
    for number in range(IMAGES):
        noise = Image.frombytes("RGB", (405, 405), rng.randbytes(405 * 405 * 3))
        noise.save(folder / f"{number:03d}.jpg", quality=95, subsampling=0)
    shown = folder / "shown"
    shown.mkdir()
    for number in range(3 * questions):
        os.link(folder / f"{number % IMAGES:03d}.jpg", shown / f"{number}.jpg")


def harness(url: str, folder: Path, questions: int, concurrency: int) -> dict[str, float]:
    from scalevqa_eval import evaluate
    from scalevqa_eval.models import load_model
    from scalevqa_eval.types import SCALES, Benchmark, Question, View

    def question(number: int) -> Question:
        views = tuple(View(SCALES[i], f"{3 * number + i}.jpg") for i in range(3))
        options = {letter: f"statement {letter}" for letter in "ABCD"}
        # Each with a text of its own: the reply cache would answer what was asked before.
        text = f"{TEXT}\n({number})"
        return Question(f"q{number}", text, options, "A", views, slide=f"s{number // 3}")

    asked = Benchmark("load", "1", "test", tuple(map(question, range(questions))), folder / "shown")
    model = load_model("openai/any", base_url=url)
    with tempfile.TemporaryDirectory() as work:
        os.environ["SCALEVQA_CACHE"] = f"{work}/cache"
        before, started = cpu(), time.perf_counter()
        done = evaluate(model, asked, output=f"{work}/runs", max_concurrency=concurrency)
        assert done.complete
        assert not any(record.cached for record in done.runs["full"].records)
        return figures(before, started)


async def in_parallel(ask: Ask, questions: int, concurrency: int) -> None:
    numbers = iter(range(questions))

    async def worker() -> None:
        for number in numbers:
            await ask(number)

    await asyncio.gather(*(worker() for _ in range(concurrency)))


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def figures(cpu_before: float, started: float) -> dict[str, float]:
    return {
        "cpu": cpu() - cpu_before,
        "wall": time.perf_counter() - started,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def measure(ask: Ask, questions: int, concurrency: int) -> dict[str, float]:
    before, started = cpu(), time.perf_counter()
    await in_parallel(ask, questions, concurrency)
    return figures(before, started)


async def adapter(url: str, folder: Path, questions: int, concurrency: int) -> dict[str, float]:
    from scalevqa_eval.models import load_model
    from scalevqa_eval.types import ImagePart, Prompt, Sampling, TextPart

    model = load_model("openai/any", base_url=url)
    options = {letter: letter for letter in "ABCD"}

    def image(path: Path) -> ImagePart:
        name = hashlib.sha256(path.name.encode()).hexdigest()
        return ImagePart(path.name, "low", "image/jpeg", 1, 1, name, load=path.read_bytes)

    async def ask(number: int) -> None:
        images = [image(path) for path in paths(folder, number)]
        parts: tuple[TextPart | ImagePart, ...] = (*images, TextPart(TEXT))
        prompt = Prompt(str(number), "Look.", parts, Sampling(), TEXT, options, "all")
        assert (await model.reply(prompt)).text

    found = await measure(ask, questions, concurrency)
    await model.aclose()
    return found


def plain_body(files: list[Path]) -> bytes:
    content: list[dict[str, Any]] = []
    for path in files:
        data = base64.b64encode(path.read_bytes()).decode()
        url = {"url": f"data:image/jpeg;base64,{data}", "detail": "high"}
        content.append({"type": "image_url", "image_url": url})
    content.append({"type": "text", "text": TEXT})
    messages = [{"role": "system", "content": "Look."}, {"role": "user", "content": content}]
    return json.dumps({"model": "any", "messages": messages, "max_tokens": 4096}).encode()


async def bare(
    url: str, folder: Path, questions: int, concurrency: int, resend: bool = False
) -> dict[str, float]:
    import aiohttp

    ready = plain_body(paths(folder, 0)) if resend else b""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(number: int) -> None:
            # Bytes in a wrapper, as aiohttp warns of large bodies that are bare bytes.
            body = aiohttp.BytesPayload(ready or plain_body(paths(folder, number)))
            headers = {"Content-Type": "application/json", "Authorization": "Bearer unused"}
            async with session.post(f"{url}/chat/completions", data=body, headers=headers) as got:
                assert (await got.json())["choices"][0]["message"]["content"]

        return await measure(ask, questions, concurrency)


def client(kind: str, url: str, folder: Path, questions: int, concurrency: int) -> None:
    if kind == "harness":
        found = harness(url, folder, questions, concurrency)
    elif kind == "adapter":
        found = asyncio.run(adapter(url, folder, questions, concurrency))
    else:
        found = asyncio.run(bare(url, folder, questions, concurrency, kind == "resend"))
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=1005)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", nargs=3, metavar=("KIND", "URL", "FOLDER"), help="internal")
    options = parser.parse_args()
    if options.client:
        kind, url, folder = options.client
        client(kind, url, Path(folder), options.questions, options.concurrency)
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.questions)
        compare(options, folder)


def compare(options: argparse.Namespace, folder: str) -> None:
    command = [sys.executable, "-m", "scalevqa_eval.testing", "--latency", "0.2", "--drop-bodies"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    kinds = ("harness", "adapter", "bare", "resend")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    try:
        for _ in range(options.rounds):
            for kind in kinds:
                arguments = ["--client", kind, url, folder]
                numbers = ["--questions", str(options.questions)]
                numbers += ["--concurrency", str(options.concurrency)]
                done = subprocess.run(
                    [sys.executable, __file__, *arguments, *numbers],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                found[kind].append(json.loads(done.stdout))
    finally:
        server.terminate()
        server.wait()
    table = {
        kind: {
            name: statistics.median(run[name] for run in runs) for name in ("cpu", "wall", "rss")
        }
        for kind, runs in found.items()
    }
    print(f"{options.questions} questions x 3 images of 400 kB, {options.concurrency} at once")
    for kind, row in table.items():
        ratio = table["harness"]["cpu"] / row["cpu"]
        print(
            f"{kind:8} CPU {row['cpu']:6.2f} s   wall {row['wall']:6.2f} s   "
            f"memory {row['rss']:5.0f} MB   harness's CPU is {ratio:.2f}x"
        )


if __name__ == "__main__":
    main()
