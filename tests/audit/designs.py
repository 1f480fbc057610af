"""Made-up benchmarks of the designs that the field uses, each with the verdict that is right.

Unlike `planted`, which plants one leak in one design, these differ in how questions hang together:
wordings that decide, grades of a slide, counterfactual texts, one huge slide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from planted import plant

from scalevqa_eval.types import LETTERS, Benchmark, Question, View

_NAMES = (
    "necrosis mitoses fibrosis inflammation keratin glands mucin calcification atypia invasion "
    "lymphocytes papillae hemorrhage edema melanin cysts rosettes spindles pallor granulomas"
)
FINDINGS = _NAMES.split()
Rng = np.random.Generator


@dataclass(frozen=True)
class Design:
    """`make(seed)` gives a benchmark; `right` are the verdicts that are right for it."""

    name: str
    about: str
    make: Callable[[int], Benchmark]
    right: tuple[str, ...]
    chance: float | None = None  # what a reader of the text truly gets, where that is known


def _asked(
    number: int, text: str, options: Sequence[str], right: int, slide: int, rng: Rng | None = None
) -> Question:
    """Options in random order if `rng` is given."""
    order = list(range(len(options))) if rng is None else rng.permutation(len(options)).tolist()
    return Question(
        id=f"q{number:06d}",
        text=text,
        options={LETTERS[k]: options[i] for k, i in enumerate(order)},
        answer=LETTERS[order.index(right)],
        views=(View("single", f"slide-{slide:04d}/view-{number:06d}.png"),),
        dimension="Finding",
        slide=f"slide-{slide:04d}",
        split="test",
    )


def _benchmark(name: str, questions: Sequence[Question]) -> Benchmark:
    return Benchmark(name, "made up", "test", tuple(questions), dimensions=("Finding",))


def wording(seed: int, labels: Sequence[str], n: int = 400, slides: int = 20) -> Benchmark:
    """What is asked about decides: necrosis is always seen, mitoses never are."""
    rng = np.random.default_rng([seed, 1, len(labels)])
    right = {finding: int(rng.integers(len(labels))) for finding in FINDINGS}
    forms = ("How much {} is seen?", "Is {} seen in this image?", "What about {} in the tissue?")
    made = []
    for i in range(n):
        finding = FINDINGS[rng.integers(len(FINDINGS))]
        text = forms[rng.integers(len(forms))].format(finding)
        made.append(_asked(i, text, labels, right[finding], i % slides))
    return _benchmark("wording", made)


def grades(seed: int, slides: int = 20, each: int = 15, labels: int = 4) -> Benchmark:
    """Fifteen questions that ask for the slide's grade; grades drawn evenly."""
    rng = np.random.default_rng([seed, 2])
    shown = [f"grade {k + 1}" for k in range(labels)]
    made = []
    for slide in range(slides):
        grade = int(rng.integers(labels))
        for k in range(each):
            text = f"What is the grade in field {k}?"
            made.append(_asked(slide * each + k, text, shown, grade, slide, rng))
    return _benchmark("grades", made)


def counterfactual(seed: int, size: int, groups: int = 150, slides: int = 20) -> Benchmark:
    """Each text over several pictures of several slides, each option right once."""
    rng = np.random.default_rng([seed, 3, size])
    made: list[Question] = []
    for group in range(groups):
        first, *others = (FINDINGS[k] for k in rng.permutation(len(FINDINGS))[:size])
        text = f"Which is seen beside {first} in case {group}?"
        options = [first, *others]
        if size == 2:
            text, options = f"Is there {first} with {others[0]} in case {group}?", ["yes", "no"]
        places = rng.permutation(slides)[:size]
        for right in range(size):
            made.append(_asked(len(made), text, options, right, int(places[right]), rng))
    return _benchmark(f"counterfactual-{size}", made)


def passages(seed: int, n: int = 160) -> Benchmark:
    """Questions and options of a hundred words each; nothing gives the right one away."""
    rng = np.random.default_rng([seed, 4])

    def text(words: int) -> str:
        return " ".join(FINDINGS[k] + str(rng.integers(60)) for k in rng.integers(0, 20, words))

    made = [
        _asked(i, text(200) + "?", [text(int(rng.integers(60, 120))) for _ in range(4)],
               int(rng.integers(4)), i % 15)
        for i in range(n)
    ]  # fmt: skip
    return _benchmark("passages", made)


def unequal(seed: int, n: int = 160) -> Benchmark:
    """2 to 26 options."""
    return plant("none", n, seed=seed, options=tuple(range(2, 27)), slides=20)


def huge_slide(seed: int) -> Benchmark:
    """Half of 400 questions are of one slide, and hang together there; 20 other slides."""
    rng = np.random.default_rng([seed, 5])
    shown = ["low", "intermediate", "high"]
    made = []
    for i in range(400):
        slide = 0 if i < 200 else 1 + i % 20
        if i % 2:
            own = np.random.default_rng([seed, 6, slide])
            made.append(_asked(i, f"Which grade has field {i % 9}?", shown,
                               int(own.integers(3)), slide))  # fmt: skip
        else:
            words = [f"{FINDINGS[k]} {FINDINGS[m]}" for k, m in rng.integers(0, 20, (4, 2))]
            made.append(_asked(i, "Which of these fits?", words, int(rng.integers(4)), slide))
    return _benchmark("huge-slide", made)


def repeating(seed: int, n: int = 300, slides: int = 20, pool: int = 12) -> Benchmark:
    """A slide's diagnosis is right in all its questions, beside others from one pool."""
    rng = np.random.default_rng([seed, 7])
    names = [f"{a} tumour" for a in FINDINGS[:pool]]
    diagnosis = rng.integers(0, pool, slides)
    made = []
    for i in range(n):
        own = int(diagnosis[i % slides])
        others = [k for k in rng.permutation(pool).tolist() if k != own][:3]
        options = [names[k] for k in (own, *others)]
        made.append(_asked(i, f"What is the diagnosis in field {i // slides}?", options, 0,
                           i % slides, rng))  # fmt: skip
    return _benchmark("repeating", made)


def mixture(seed: int) -> Benchmark:
    """Half without any leak, half with wordings that decide."""
    clean = plant("none", 300, seed=seed, slides=20).questions
    leaky = wording(seed, ("none", "few", "moderate", "many"), 300).questions
    renamed = [_moved(question, f"w{question.id}") for question in leaky]
    return _benchmark("mixture", [_moved(q, q.id) for q in clean] + renamed)


def _moved(question: Question, name: str) -> Question:
    from dataclasses import replace

    return replace(question, id=name, dimension="Finding")


def base_rate(seed: int, n: int = 600, share: float = 0.57, slides: int = 30) -> Benchmark:
    """Yes in 57 % whatever is asked, always shown first: a base rate, no leak of the text."""
    rng = np.random.default_rng([seed, 8])
    made = [
        _asked(i, f"Is {FINDINGS[rng.integers(20)]} seen in field {i % 11}?", ("Yes", "No"),
               int(rng.random() > share), i % slides)
        for i in range(n)
    ]  # fmt: skip
    return _benchmark("base-rate", made)


def stems(seed: int, n: int = 300, slides: int = 20) -> Benchmark:
    """The right adjective has the stem of the noun that is asked about; no stem recurs."""
    rng = np.random.default_rng([seed, 9])
    made = []
    for i in range(n):
        letters = rng.choice(list("bdklmnrst"), (4, 3)), rng.choice(list("aeiou"), (4, 3))
        names = ["".join(a + b for a, b in zip(*pair, strict=True))
                 for pair in zip(*letters, strict=True)]  # fmt: skip
        text = f"What goes with {names[0]}osis in field {i % 11}?"
        made.append(_asked(i, text, [f"{name}al" for name in names], 0, i % slides, rng))
    return _benchmark("stems", made)


def written(seed: int, shape: str, n: int = 300, slides: int = 20) -> Benchmark:
    """How the right option is written tells it: a full stop, capitals, the second number."""
    rng = np.random.default_rng([seed, 10, len(shape)])
    made = []
    for i in range(n):
        if shape == "number":
            numbers = np.sort(rng.choice(np.arange(100, 999), 4, replace=False))
            right, *others = (str(numbers[k]) for k in (1, 0, 2, 3))
        else:
            right, *others = (" ".join(FINDINGS[k] for k in rng.integers(0, 20, 3)) for _ in "abcd")
            right = f"{right}." if shape == "stop" else right.capitalize()
            if shape == "title":  # all options begin with a capital
                right, others = right.title(), [text.capitalize() for text in others]
        made.append(_asked(i, f"What fits field {i % 11}?", [right, *others], 0, i % slides, rng))
    return _benchmark(f"written-{shape}", made)


def articles(seed: int, n: int = 300, slides: int = 20) -> Benchmark:
    """The right option alone goes on from "a" or "an"; no option recurs."""
    rng = np.random.default_rng([seed, 11])
    made = []
    for i in range(n):
        vowel = bool(rng.integers(2))
        ends = ["".join(rng.choice(list("bdklmnrst"), 3)) for _ in "abcd"]
        starts = [
            str(rng.choice(list("aeiou" if v else "bdklmnrst"))) for v in (vowel, *[not vowel] * 3)
        ]
        options = [f"{a}{b}oma" for a, b in zip(starts, ends, strict=True)]
        text = f"The mass in field {i % 11} is an" if vowel else f"The mass in field {i % 11} is a"
        made.append(_asked(i, text, options, 0, i % slides, rng))
    return _benchmark("articles", made)


def nearest(seed: int, n: int = 300, slides: int = 20) -> Benchmark:
    """The option nearest to the question's number is right."""
    rng = np.random.default_rng([seed, 12])
    made = []
    for i in range(n):
        asked = int(rng.integers(200, 800))
        away = np.sort(rng.choice(np.arange(1, 190), 4, replace=False))
        options = [str(asked + int(rng.choice((-1, 1))) * int(d)) for d in away]
        made.append(_asked(i, f"Scanned at {asked} nm, the width is", options, 0, i % slides, rng))
    return _benchmark("nearest", made)


_NOT_LEAKY = ("undecided", "imbalanced", "measurable", "clean")
_AMOUNTS = ("none", "few", "moderate", "many")
DESIGNS = {
    design.name: design
    for design in (
        Design("wording-yes-no", "the wording decides between yes and no",
               lambda s: wording(s, ("Yes", "No")), ("leaky",), 1.0),
        Design("wording-amounts", "the wording decides between none, few, moderate, many",
               lambda s: wording(s, _AMOUNTS), ("leaky",), 1.0),
        Design("grades", "20 slides, 15 questions each about its grade", grades, _NOT_LEAKY, 0.25),
        Design("pairs", "counterfactual texts, two pictures each",
               lambda s: counterfactual(s, 2), ("clean",), None),
        Design("fours", "counterfactual texts, four pictures each",
               lambda s: counterfactual(s, 4, 75), ("clean",), None),
        Design("passages", "long passages, no leak", passages, _NOT_LEAKY, 0.25),
        Design("2-to-26", "2 to 26 options, no leak", unequal, _NOT_LEAKY, None),
        Design("huge-slide", "half of the questions from one slide, no leak", huge_slide,
               _NOT_LEAKY, None),
        Design("repeating", "options from one pool, the slide's one is right", repeating,
               _NOT_LEAKY, 0.25),
        Design("mixture", "half clean, half leaky", mixture, ("leaky",), None),
        Design("base-rate", "57 % yes, no leak", base_rate, _NOT_LEAKY, 0.57),
        Design("stems", "question and right option share a stem", stems, ("leaky",), 1.0),
        Design("stop", "the right option alone ends in a full stop",
               lambda s: written(s, "stop"), ("leaky",), 1.0),
        Design("capital", "the right option alone begins with a capital",
               lambda s: written(s, "capital"), ("leaky",), 1.0),
        Design("number", "the second smallest of four numbers is right",
               lambda s: written(s, "number"), ("leaky",), 1.0),
        Design("title", "the right option alone is in title case",
               lambda s: written(s, "title"), ("leaky",), 1.0),
        Design("articles", "the right option alone goes on from “a” or “an”",
               articles, ("leaky",), 1.0),
        Design("nearest", "the option nearest to the question's number is right",
               nearest, ("leaky",), 1.0),
    )
}  # fmt: skip
