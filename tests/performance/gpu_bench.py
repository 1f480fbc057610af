"""Tokens per second and cache shares on a GPU, with random weights of Qwen2.5-VL-7B's shape.

    python tests/performance/gpu_bench.py                       # on a machine with a GPU
    python tests/performance/gpu_bench.py --shape tiny --sets 4   # anywhere, to try it

Needs `scalevqa-eval[hf]`, and `scalevqa-eval[vllm]` for the vLLM part (left out where vLLM is not
installed). No download: weights are drawn, the tokenizer is built here and filled up to the real
vocabulary's size, so that the output layer has its real cost. Random weights cost what trained
ones do, but their replies mean nothing and never end early: each has exactly --tokens tokens.

First hf/ at several batch sizes, then vllm/ in dataset order with images last and as the harness
asks. Prints the GPU's name, peak memory, prompt and new tokens per second, the share of prompt
tokens from the prefix cache, and seconds per 1,005 questions.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "engines")]

# Of the published configuration of Qwen2.5-VL-7B-Instruct.
REAL_7B: dict[str, Any] = {
    "text": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "max_position_embeddings": 128000, "initializer_range": 0.02,
    },
    "vision": {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "fullatt_block_indexes": [7, 15, 23, 31], "initializer_range": 0.02,
    },
    "sections": [16, 24, 24],
    "pixels": 1280 * 28 * 28,
}  # fmt: skip


def device_name() -> str:
    import torch

    if not torch.cuda.is_available():
        return "CPU"
    return f"{torch.cuda.get_device_name()} x{torch.cuda.device_count()}"


def report(name: str, replies: list[Any], seconds: float) -> None:
    prompt = sum(reply.usage.prompt_tokens for reply in replies)
    cached = sum(reply.usage.cached_tokens or 0 for reply in replies)
    new = sum(reply.usage.completion_tokens for reply in replies)
    print(f"{name:36} {prompt / seconds:9,.0f} {new / seconds:8,.0f} {cached / prompt:8.1%} "
          f"{prompt - cached:10,} {seconds / len(replies) * 1005:8.0f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=("7b", "tiny"), default="7b")
    parser.add_argument("--sets", type=int, default=24, help="image sets of 5 questions")
    parser.add_argument("--side", type=int, default=672, help="pixels of an image's side")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch-sizes", default="8,32")
    parser.add_argument("--skip", default="", help="hf or vllm")
    options = parser.parse_args()

    import tiny_models
    from engine_cache import ask, forget
    from engine_prompts import make_prompt, picture

    from scalevqa_eval.models import load_model

    numbers = [(s, q) for s in range(options.sets) for q in range(5)]
    mixed = list(numbers)
    random.Random(0).shuffle(mixed)

    def prompt(place: tuple[int, int], images_last: bool = False) -> Any:
        images = [picture(place[0] * 3 + i, options.side, options.side) for i in range(3)]
        text = f"Question {place[1]} about slide {place[0]}: which of the findings is shown?"
        return make_prompt(
            sum(place), images, text=text, images_last=images_last, max_tokens=options.tokens
        )

    print(f"{device_name()}; shape {options.shape}; {options.sets} image sets x 5 questions, "
          f"3 images of {options.side} px, {options.tokens} new tokens")  # fmt: skip
    print(f"{'':36} {'prompt/s':>9} {'new/s':>8} {'cached':>8} {'computed':>10} {'s/1005':>8}")
    with tempfile.TemporaryDirectory() as directory:
        shape = REAL_7B if options.shape == "7b" else None
        started = time.perf_counter()
        checkpoint = tiny_models.qwen25_vl_shaped(Path(directory) / "model", shape)
        print(f"(checkpoint made in {time.perf_counter() - started:.0f} s)", flush=True)

        async def hf() -> None:
            for size in map(int, options.batch_sizes.split(",")):
                model: Any = load_model(f"hf/{checkpoint}", batch_size=size)
                await model.start()
                warm = [prompt(place) for place in numbers[:size]]
                await ask(model, warm, size)
                replies, seconds = await ask(model, [prompt(p) for p in numbers], 3 * size)
                report(f"hf/ batch_size={size}", replies, seconds)
                await model.aclose()
                del model
                gc.collect()

        async def vllm() -> None:
            model: Any = load_model(
                f"vllm/{checkpoint}",
                limit_mm_per_prompt=3,
                max_model_len=8192 if options.shape == "7b" else 4096,
                enforce_eager=options.shape == "tiny",
            )  # fmt: skip
            await model.start()
            await ask(model, [prompt(place) for place in numbers[:8]], 8)
            for name, prompts in {
                "vllm/ dataset order, images last": [prompt(p, True) for p in mixed],
                "vllm/ by image set (ours)": [prompt(p) for p in numbers],
            }.items():
                forget(model)
                replies, seconds = await ask(model, prompts, 64)
                report(name, replies, seconds)
            await model.aclose()

        if options.skip != "hf":
            asyncio.run(hf())
            peak_memory()
        if options.skip != "vllm" and find_spec("vllm"):
            asyncio.run(vllm())


def peak_memory() -> None:
    import torch

    if torch.cuda.is_available():
        print(f"(peak GPU memory of hf/: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB)")


if __name__ == "__main__":
    main()
