"""How much of the prompts vLLM computes: in dataset order with images last, and as we ask.

    PY=$(scripts/setup-engines | tail -n 1)
    VLLM_CPU_KVCACHE_SPACE=1 $PY tests/performance/engine_cache.py

Scale-VQA has 5 questions about each set of 3 images, and its files hold them in mixed order.
All runs go through one real vLLM server, whose caches are emptied in between, with the same
questions, 16 at once. Printed are prompt tokens, those served from the prefix cache, those that
were computed, and how many images the vision encoder was given (counted in the worker).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engines")]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])  # for vLLM's worker
os.environ["VLLM_SERVER_DEV_MODE"] = "1"  # its caches can be emptied, its worker be asked


class EncodedImages:
    """Mixed into vLLM's worker: counts the images that the vision encoder is given."""

    def count_images(self) -> int:
        """Images encoded since the last call; counting begins with the first one."""
        model: Any = self.model_runner.model  # type: ignore[attr-defined]
        if not hasattr(model, "encoded_images"):
            real = model.embed_multimodal

            def counting(**inputs: Any) -> Any:
                found = real(**inputs)
                model.encoded_images += len(found)
                return found

            model.embed_multimodal = counting
            model.encoded_images = 0
        counted, model.encoded_images = model.encoded_images, 0
        return int(counted)


async def ask(model: Any, prompts: Sequence[Any], at_once: int) -> tuple[list[Any], float]:
    """Replies in order, with so many prompts under way, and the seconds it took."""
    places = asyncio.Semaphore(at_once)

    async def one(prompt: Any) -> Any:
        async with places:
            return await model.reply(prompt)

    started = time.perf_counter()
    tasks = [asyncio.create_task(one(prompt)) for prompt in prompts]
    return list(await asyncio.gather(*tasks)), time.perf_counter() - started


def call(model: Any, path: str, body: Any = None) -> Any:
    """What the server's endpoints for developers answer (VLLM_SERVER_DEV_MODE)."""
    request = urllib.request.Request(
        model.server.address + path,
        json.dumps(body or {}).encode(),
        {"Authorization": f"Bearer {model.server.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        text = response.read()
    return json.loads(text) if text else None


def count_images(model: Any) -> int:
    return int(call(model, "/collective_rpc", {"method": "count_images"})["results"][0])


def forget(model: Any) -> None:
    """Empty all of the server's caches, and the harness's note of what was shown."""
    for cache in ("prefix", "mm", "encoder"):
        call(model, f"/reset_{cache}_cache")
    model._shown.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--side", type=int, default=448, help="pixels of an image's side")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--model", default="", help="a checkpoint instead of the tiny one")
    options = parser.parse_args()

    import tiny_models
    from engine_prompts import OPTIONS, make_prompt, picture

    from scalevqa_eval.models import load_model

    numbers = [(s, q) for s in range(options.sets) for q in range(5)]

    def prompt(place: tuple[int, int], images_last: bool) -> Any:
        images = [picture(place[0] * 3 + i, options.side, options.side) for i in range(3)]
        text = f"Question {place[1]} about slide {place[0]}: which of the findings is shown?"
        return make_prompt(sum(place), images, text=text, images_last=images_last, max_tokens=8)

    mixed = list(numbers)
    random.Random(0).shuffle(mixed)
    runs = {
        "dataset order, images last": [prompt(place, True) for place in mixed],
        "dataset order, images first": [prompt(place, False) for place in mixed],
        "by image set, images first (ours)": [prompt(place, False) for place in numbers],
    }
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = options.model or str(tiny_models.qwen25_vl(Path(directory) / "tiny"))
        given: dict[str, Any] = {"limit_mm_per_prompt": 3, "max_model_len": 4096}
        if not options.model:
            given |= {"dtype": "float32", "enforce_eager": True}
        extension = {"worker_extension_cls": "engine_cache.EncodedImages", "max_num_seqs": 16}
        model: Any = load_model(f"vllm/{checkpoint}", engine_args=extension, **given)

        async def measure() -> None:
            await model.start()
            count_images(model)
            print(f"{options.sets} image sets x 5 questions, 3 images of {options.side} px, "
                  f"{options.at_once} at once, {len(OPTIONS)} options")  # fmt: skip
            print(f"{'':34} {'prompt':>8} {'cached':>8} {'computed':>9} {'images':>7} {'s':>6}")
            computed: list[int] = []
            for name, prompts in runs.items():
                forget(model)
                replies, seconds = await ask(model, prompts, options.at_once)
                images = count_images(model)
                total = sum(reply.usage.prompt_tokens for reply in replies)
                cached = sum(reply.usage.cached_tokens for reply in replies)
                computed.append(total - cached)
                print(f"{name:34} {total:8,} {cached / total:8.1%} {total - cached:9,} "
                      f"{images:7,} {seconds:6.1f}")  # fmt: skip
            print(f"{computed[0] / computed[-1]:.2f}x fewer prompt tokens computed; "
                  f"{3 * options.sets} different images")  # fmt: skip
            await model.aclose()

        asyncio.run(measure())


if __name__ == "__main__":
    main()
