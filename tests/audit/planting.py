"""Small benchmarks for tests of the audit, and ways to write the same benchmark differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scalevqa_eval.types import LETTERS, Benchmark, Question, View


def benchmark(questions: Sequence[Question]) -> Benchmark:
    return Benchmark("small", "r", "test", tuple(questions))


def question(number: int, options: Sequence[str], right: int = 0, **others: object) -> Question:
    fields: dict[str, object] = {
        "id": f"q{number}",
        "text": f"What is seen at place {number % 7}?",
        "options": dict(zip(LETTERS, options, strict=False)),
        "answer": LETTERS[right],
        "views": (View("single", f"slide{number % 6}/image{number}.png"),),
        "dimension": "Finding",
        "slide": f"slide{number % 6}",
    }
    return Question(**{**fields, **others})  # type: ignore[arg-type]


def relettered(original: Question, rng: np.random.Generator) -> Question:
    """The same question with options in another order and under other letters."""
    letters = list(original.options)
    order = [letters[i] for i in rng.permutation(len(letters))]
    names = sorted(rng.permutation(list(LETTERS))[: len(letters)].tolist())
    renamed = dict(zip(order, names, strict=True))
    return replace(
        original,
        options={renamed[letter]: original.options[letter] for letter in order},
        answer=renamed[original.answer],
    )


def rewritten(original: Benchmark, seed: int) -> Benchmark:
    """The same benchmark: rows in another order, options too, letters renamed."""
    rng = np.random.default_rng(seed)
    questions = [relettered(original.questions[i], rng) for i in rng.permutation(len(original))]
    return replace(original, questions=tuple(questions))
