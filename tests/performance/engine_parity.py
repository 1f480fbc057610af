"""Do hf/ and vllm/ give the same replies? Tiny random checkpoints of many families, float32.

    PY=$(scripts/setup-engines | tail -n 1)
    $PY tests/performance/engine_parity.py [FAMILY …]

For each family: greedy replies of 16 tokens that are the same (40 questions about 8 image sets of
three images, 10 without images), the largest difference of a letter's log-probability and how many
letters it chooses alike (40 questions), and how many letters are alike under --letters-only (20).
A family that an engine cannot load prints the engine's reason. Nothing here needs a GPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "engines")]


def answers(name: str, options: dict[str, Any]) -> list[list[Any]]:
    """Replies or errors of one engine, for each kind of prompt."""
    from engine_prompts import ask_each, close, image_set_prompts, make_prompt

    from scalevqa_eval.models import load_model

    model = load_model(name, **options)
    try:
        return [
            ask_each(model, image_set_prompts(8)),
            ask_each(model, [make_prompt(number) for number in range(10)]),
            ask_each(model, image_set_prompts(8, logprobs=True)),
            ask_each(model, image_set_prompts(4, letters_only=True)),
        ]
    finally:
        close(model)


def same(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """How many replies are the same text."""
    pairs = list(zip(ours, theirs, strict=True))
    equal = sum(getattr(a, "text", None) == getattr(b, "text", "") for a, b in pairs)
    return f"{equal}/{len(pairs)}"


def furthest(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """The largest difference of a letter's log-probability, in nats."""
    gaps = [0.0]
    for a, b in zip(ours, theirs, strict=True):
        mine, other = getattr(a, "logprobs", None), getattr(b, "logprobs", None)
        if not mine or not other or mine.keys() != other.keys():
            return "missing"
        gaps += [abs(value - other[letter]) for letter, value in mine.items()]
    return f"{max(gaps):.5f}"


def main() -> None:
    import tiny_families
    import tiny_models
    from conftest import SETTINGS, TINY

    from scalevqa_eval.errors import ScaleVQAError

    os.environ.update(SETTINGS)
    build: dict[str, Any] = {
        "qwen25_vl": tiny_models.qwen25_vl, "qwen3_vl": tiny_models.qwen3_vl,
        "llava_chatml": tiny_models.llava, "text_only": tiny_models.text_only,
        **tiny_families.BUILD,
    }  # fmt: skip
    print("| family | replies | without images | log-prob. | letters by them | letters only | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for family in sys.argv[1:] or build:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as directory:
            checkpoint = Path(directory) / family
            build[family](checkpoint)
            try:
                ours = answers(f"hf/{checkpoint}", {})
                theirs = answers(f"vllm/{checkpoint}", {**TINY, "max_model_len": 4096})
            except ScaleVQAError as error:
                print(f"| {family} | {' '.join(str(error).split())} |||||", flush=True)
                continue
        for what, found in (("hf/", ours), ("vllm/", theirs)):
            failed = [reply for kind in found for reply in kind if isinstance(reply, Exception)]
            if failed:
                print(f"| {family} | {what}: {len(failed)} errors: {failed[0]!s:.300} |||||")
        print(
            f"| {family} | {same(ours[0], theirs[0])} | {same(ours[1], theirs[1])} "
            f"| {furthest(ours[2], theirs[2])} | {same(ours[2], theirs[2])} "
            f"| {same(ours[3], theirs[3])} | {time.perf_counter() - started:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
