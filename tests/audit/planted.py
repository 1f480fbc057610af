"""Made-up benchmarks with a planted leak of known strength, to test the audit itself.

In each question one option is marked (it stands at some place, is longest, …). The right option is
the marked one with a probability such that choosing it is right with probability 1/K + strength;
else it is drawn uniformly. All texts are otherwise drawn independently of the right option, so
that nothing else gives it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from scalevqa_eval.types import LETTERS, Benchmark, Question, View

Leak = Literal["none", "position", "length", "medoid", "phrase", "diagnosis", "sibling"]
LEAKS: tuple[Leak, ...] = get_args(Leak)
PHRASE = "when seen as a whole"
DIMENSIONS = ("Finding", "Place", "Course")
QUESTIONS_PER_SET = 3

_ONSETS = "b br d dr f fl g gl k kr l m n p pl r s st t tr v z"
_NUCLEI = "a e i o u ai ou"
_ENDS = "l m n r s x ld nt rm sk"
_FREQUENT = 6


def plant(
    leak: Leak,
    n: int,
    *,
    strength: float = 0.10,
    seed: int = 0,
    options: Sequence[int] = (4,),
    slides: int | None = None,
) -> Benchmark:
    """A benchmark of `n` questions with one leak.

    `options` are the numbers of options to draw from; `slides` is the number of clusters (by
    default one for 25 questions, at least 5). The same arguments give the same benchmark. Raises
    ValueError if the strength cannot be had.
    """
    if leak not in LEAKS:
        raise ValueError(f"no such leak: {leak!r}; there are {', '.join(LEAKS)}")
    if not 0 <= strength <= 1 - 1 / min(options):
        raise ValueError(f"with {min(options)} options no leak is as strong as {strength}")
    rng = np.random.default_rng([seed, LEAKS.index(leak), n])
    words = _Words(rng)
    count = max(5, n // 25) if slides is None else slides
    questions = []
    for number in range(n):
        image_set = number // QUESTIONS_PER_SET
        questions.append(_question(leak, number, image_set, image_set % count, strength, options,
                                   words, rng))  # fmt: skip
    return Benchmark(
        name=f"planted-{leak}",
        revision=f"seed {seed}, strength {strength}",
        split="test",
        questions=tuple(questions),
        dimensions=DIMENSIONS,
    )


class _Words:
    """A lexicon of invented words, and what the questions of one image set have in common."""

    def __init__(self, rng: np.random.Generator) -> None:
        made = {_word(rng) for _ in range(900)}
        ordered = sorted(made)
        rng.shuffle(ordered)
        self.kinds, self.things = ordered[:60], ordered[60:160]
        self.places, self.states = ordered[160:200], ordered[200:240]
        self.wide, self.frequent = ordered[240:340], ordered[340 : 340 + _FREQUENT]
        self._rare = ordered[340 + _FREQUENT :]

    def fact(self, image_set: int) -> str:
        """Two words that stand for an image set; the same ones for each of its questions."""
        rare, size = self._rare, len(self._rare)
        return f"{rare[(7 * image_set) % size]} {rare[(11 * image_set + image_set // size) % size]}"


def _word(rng: np.random.Generator) -> str:
    syllables = int(rng.integers(2, 4))
    return "".join(
        str(rng.choice(part.split())) for _ in range(syllables) for part in (_ONSETS, _NUCLEI)
    ) + str(rng.choice(_ENDS.split()))


def _question(
    leak: Leak,
    number: int,
    image_set: int,
    slide: int,
    strength: float,
    sizes: Sequence[int],
    words: _Words,
    rng: np.random.Generator,
) -> Question:
    size = int(rng.choice(np.asarray(sizes)))
    marked = int(rng.integers(size))
    leaks = leak != "none" and rng.random() < strength / (1 - 1 / size)
    right = marked if leaks else int(rng.integers(size))
    text = f"Which of these fits the {_pick(rng, words.things)}?"
    if leak == "sibling":
        texts = [_statement(words, rng) for _ in range(size)]
        for k in range(size):
            # Each option names some image set's fact; the marked one that of its own set, which
            # the other questions about the same image name as well.
            other = image_set if k == marked else int(rng.integers(1_000, 100_000))
            texts[k] += f" with {words.fact(other)}"
    elif leak == "medoid":
        texts = _star(words, rng, size, marked)
    elif leak == "diagnosis":
        chosen = rng.permutation(len(words.wide))[:size]
        texts = [f"{words.wide[i]} {_pick(rng, words.states)}" for i in chosen]
        texts[marked] = f"{_pick(rng, words.frequent)} {_pick(rng, words.states)}"
    else:
        texts = [_statement(words, rng) for _ in range(size)]
        if leak == "length":
            texts[marked] += f" and {_statement(words, rng)}"
        elif leak == "phrase":  # the others end in as many words, so that length tells nothing
            for k in range(size):
                rest = " ".join(_pick(rng, words.states) for _ in PHRASE.split())
                texts[k] += f" {PHRASE if k == marked else rest}"
    order = rng.permutation(size)
    if leak == "position" and leaks:
        order = np.array([right, *(k for k in order if k != right)])
    shown = {LETTERS[place]: texts[int(k)] for place, k in enumerate(order)}
    answer = LETTERS[int(np.flatnonzero(order == right)[0])]
    view = View("single", f"slide-{slide:04d}/set-{image_set:05d}.png")
    return Question(
        id=f"q{number:06d}",
        text=text,
        options=shown,
        answer=answer,
        views=(view,),
        dimension=DIMENSIONS[number % len(DIMENSIONS)],
        slide=f"slide-{slide:04d}",
        split="test",
    )


def _statement(words: _Words, rng: np.random.Generator) -> str:
    return (
        f"{_pick(rng, words.kinds)} {_pick(rng, words.things)} in the {_pick(rng, words.places)} "
        f"{_pick(rng, words.states)}"
    )


def _star(words: _Words, rng: np.random.Generator, size: int, hub: int) -> list[str]:
    """A statement, and others that differ from it in one place each."""
    lists = (words.kinds, words.things, words.places, words.states)
    base = [_pick(rng, choice) for choice in lists]
    slots = rng.permutation(len(lists))
    texts = []
    for k in range(size):
        parts = list(base)
        if k != hub:
            slot = int(slots[k % len(lists)])
            parts[slot] = _pick(rng, [w for w in lists[slot] if w != base[slot]])
        texts.append(f"{parts[0]} {parts[1]} in the {parts[2]} {parts[3]}")
    return texts


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
