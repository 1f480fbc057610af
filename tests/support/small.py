"""Small real things for tests: a benchmark with pictures, and models written in a few lines."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from scalevqa_eval.types import SCALES, Benchmark, Capabilities, Prompt, Question, Reply, View

DIMENSIONS = ("Correspondence", "Diagnosis")


def picture(path: Path, seed: int, size: tuple[int, int] = (16, 12)) -> None:
    """A JPEG of noise that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = random.Random(seed).randbytes(size[0] * size[1] * 3)
    Image.frombytes("RGB", size, data).save(path, quality=95)


def benchmark(root: Path, sets: int = 4, each: int = 3, views: int = 2) -> Benchmark:
    """`sets` image sets with `each` questions, dealt so that a set's questions are apart."""
    questions = []
    for number in range(sets * each):
        place = number % sets
        shown = tuple(
            View(scale, f"s{place}/{scale}.jpg", f"{10 * (i + 1)}x")
            for i, scale in enumerate(SCALES[:views])
        )
        questions.append(
            Question(
                id=f"q{number}",
                text=f"What is seen in place {place}, number {number}?",
                options={"A": "gland", "B": f"stroma {number}", "C": "necrosis", "D": "fat"},
                answer="ABCD"[number % 4],
                views=shown,
                dimension=DIMENSIONS[number % 2],
                slide=f"slide{place % 3}",
                split="test",
            )
        )
    for place in range(sets):
        for i, scale in enumerate(SCALES[:views]):
            picture(root / f"s{place}/{scale}.jpg", seed=place * 10 + i)
    return Benchmark("small", "r1", "test", tuple(questions), root, DIMENSIONS)


class Scripted:
    """A model whose replies a test writes; it keeps the prompts in the order they came."""

    name = "test/scripted"

    def __init__(
        self,
        answer: Callable[[Prompt], Awaitable[Reply] | Reply],
        capabilities: Capabilities | None = None,
    ) -> None:
        self.answer = answer
        self.capabilities = capabilities or Capabilities(concurrency=4)
        self.identity: Mapping[str, Any] = {"version": 1}
        self.prompts: list[Prompt] = []
        self.closed = 0

    async def reply(self, prompt: Prompt) -> Reply:
        self.prompts.append(prompt)
        given = self.answer(prompt)
        return given if isinstance(given, Reply) else await given

    async def aclose(self) -> None:
        self.closed += 1


def tagged(letter: str) -> Reply:
    return Reply(f"<think>seen</think> <answer>{letter}</answer>")


def always(letter: str) -> Scripted:
    return Scripted(lambda prompt: tagged(letter))


def scale_vqa_file(path: Path, questions: Benchmark) -> Path:
    """Write questions as a file in the Scale-VQA format, images beside it."""
    names = dict(zip(DIMENSIONS, ("type_A", "type_E"), strict=True))
    rows = [
        {
            "No": number,
            "question": question.text,
            "options": dict(question.options),
            "answer": question.answer,
            "rationale": "",
            "image_path": {f"{view.scale}_mag": view.image for view in question.views},
            "extra_info": {
                "wsi_name": question.slide,
                "path_id": f"p{number}",
                "question_type": names[question.dimension],
            },
        }
        for number, question in enumerate(questions.questions)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path
