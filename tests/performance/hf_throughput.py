"""Tokens per second of hf/ against a loop written by hand, on the same prompts.

    PY=$(scripts/setup-engines | tail -n 1)
    $PY tests/performance/hf_throughput.py

The loop has every advantage: it knows all prompts beforehand, sorts them by length, and cuts them
into batches of exactly the right size. hf/ gets them as the runner gives them, one coroutine
each. Both decode the images, use the checkpoint's processor and generate greedily; they take
turns, and medians are printed. On a busy machine, look at the ratio of CPU seconds too.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "engines"))


def by_hand(checkpoint: str, prompts: Sequence[Any], size: int) -> Callable[[], int]:
    """The loop that one would write; returns what runs it and counts new tokens."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint)
    processor.tokenizer.padding_side = "left"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype="auto").to(device)
    model.eval()
    ordered = sorted(prompts, key=lambda prompt: len(prompt.user_text))
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]

    def texts(batch: Sequence[Any]) -> list[str]:
        conversations = [
            [
                {"role": "system", "content": [{"type": "text", "text": prompt.system}]},
                {
                    "role": "user",
                    "content": [
                        *({"type": "image"} for _ in prompt.images),
                        {"type": "text", "text": prompt.user_text},
                    ],
                },
            ]
            for prompt in batch
        ]
        rendered: list[str] = processor.apply_chat_template(
            conversations, add_generation_prompt=True, tokenize=False
        )
        return rendered

    def run() -> int:
        made = 0
        for batch in batches:
            images = [[Image.open(io.BytesIO(p.load())) for p in prompt.images] for prompt in batch]
            inputs = processor(
                text=texts(batch), images=images, padding=True, return_tensors="pt"
            ).to(device, model.dtype)
            with torch.inference_mode():
                output = model.generate(
                    **inputs,
                    max_new_tokens=batch[0].sampling.max_tokens,
                    do_sample=False,
                    repetition_penalty=1.0,
                )
            new = output[:, inputs["input_ids"].shape[1] :]
            pad = model.generation_config.pad_token_id
            made += int((new != pad).sum())
            processor.batch_decode(new, skip_special_tokens=True)
        return made

    return run


def ours(checkpoint: str, prompts: Sequence[Any], size: int) -> Callable[[], int]:
    """The same through hf/, with as many prompts waiting as the model asks for."""
    from scalevqa_eval.models import load_model

    model = load_model(f"hf/{checkpoint}", batch_size=size)

    async def work() -> int:
        places = asyncio.Semaphore(model.capabilities.concurrency)

        async def one(prompt: Any) -> int:
            async with places:
                reply = await model.reply(prompt)
            return reply.usage.completion_tokens or 0

        return sum(await asyncio.gather(*map(one, prompts)))

    return lambda: asyncio.run(work())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--model", default="", help="a checkpoint instead of a small random one")
    options = parser.parse_args()

    import tiny_models
    from engine_prompts import make_prompt, picture

    draw = random.Random(0)
    prompts = [
        make_prompt(
            number,
            [picture(number // 5 * 3 + i, options.side, options.side) for i in range(3)],
            text="Which finding is shown? " + "detail " * draw.randrange(60),
            max_tokens=options.tokens,
        )
        for number in range(options.questions)
    ]
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = options.model or str(
            tiny_models.qwen25_vl(
                Path(directory) / "model", hidden_size=256, intermediate_size=512,
                num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
                initializer_range=0.05,
            )
        )  # fmt: skip
        contenders = {
            "by hand": by_hand(checkpoint, prompts, options.batch_size),
            "hf/": ours(checkpoint, prompts, options.batch_size),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        cpu: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(options.rounds + 1):  # the first warms up
            for name, run in contenders.items():
                started, used = time.perf_counter(), time.process_time()
                tokens = run()
                if number:
                    rates[name].append(tokens / (time.perf_counter() - started))
                    cpu[name].append(tokens / (time.process_time() - used))
        for name in contenders:
            print(f"{name:8} {statistics.median(rates[name]):8.1f} tokens/s "
                  f"{statistics.median(cpu[name]):8.1f} tokens/CPU s   rounds: "
                  + " ".join(f"{rate:.1f}" for rate in rates[name]))  # fmt: skip
        for what, found in (("wall", rates), ("CPU", cpu)):
            ratio = statistics.median(found["hf/"]) / statistics.median(found["by hand"])
            print(f"hf/ reaches {ratio:.1%} of the loop by hand ({what} time)")


if __name__ == "__main__":
    main()
