"""The texts of a benchmark as a text-only reader has them: no images, and no answers.

A Table holds no answer on purpose: whatever is computed from it cannot have seen one. Questions
and options stand in an order that depends on their content alone, so that the order of rows, the
order of options and the letters' names can have no influence on what is computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.tokens import Hasher, Hashes, normalise, tokens
from scalevqa_eval.types import Question

Ints = npt.NDArray[np.intp]
ASKED_OFTEN = 20  # a set of options over so many questions is a set of labels


@dataclass(frozen=True)
class Table:
    """Options as rows, grouped by question, in canonical order.

    `texts`, `words`, `hashes` have one entry per row; `question_words`, `question_hashes`,
    `dimension`, `image_set` one per question. `order[i]` is the place of question i in the list
    that was given, `letters[r]` the letter that row r had there. `image_set` is -1 for a question
    that shares its images with no other. Questions with the same `option_set` have the same
    options, in the same order here; those with the same `wording` also the same question text.
    """

    order: Ints
    letters: tuple[str, ...]
    texts: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    hashes: tuple[Hashes, ...]
    question_words: tuple[tuple[str, ...], ...]
    question_hashes: tuple[Hashes, ...]
    sizes: Ints
    dimension: Ints
    dimensions: tuple[str, ...]
    image_set: Ints
    option_set: Ints
    wording: Ints

    @property
    def n(self) -> int:
        return len(self.sizes)

    @property
    def rows(self) -> int:
        return len(self.texts)

    @cached_property
    def start(self) -> Ints:
        """The first row of each question."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)

    @cached_property
    def owner(self) -> Ints:
        """The question of each row."""
        return np.repeat(np.arange(self.n), self.sizes)

    @cached_property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Whether a question's options are a set of labels (yes and no, grades): asked often."""
        return np.asarray(np.bincount(self.option_set)[self.option_set] >= ASKED_OFTEN)

    @cached_property
    def chances(self) -> npt.NDArray[np.float64]:
        """The probability that a guess is right, per question."""
        return 1.0 / self.sizes


def make_table(questions: Sequence[Question]) -> Table:
    """The table of questions with options; open questions must have been left out."""
    keys = [content_key(question) for question in questions]
    order = sorted(range(len(questions)), key=lambda i: (keys[i], questions[i].id))
    hasher = Hasher()
    letters: list[str] = []
    texts: list[str] = []
    for i in order:
        shown = sorted(questions[i].options.items(), key=lambda item: _option_key(item[1]))
        letters += [letter for letter, _ in shown]
        texts += [text for _, text in shown]
    words = tuple(tokens(text) for text in texts)
    question_words = tuple(tokens(questions[i].text) for i in order)
    sizes = np.array([len(questions[i].options) for i in order], dtype=np.intp)
    compared = [normalise(text) for text in texts]
    ends = np.cumsum(sizes)
    sets = [tuple(compared[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
    asked = [" ".join(normalise(questions[i].text).split()) for i in order]
    dimensions = tuple(sorted({question.dimension for question in questions}))
    number = {name: k for k, name in enumerate(dimensions)}
    return Table(
        order=np.array(order, dtype=np.intp),
        letters=tuple(letters),
        texts=tuple(texts),
        words=words,
        hashes=tuple(hasher(w) for w in words),
        question_words=question_words,
        question_hashes=tuple(hasher(w) for w in question_words),
        sizes=sizes,
        dimension=np.array([number[questions[i].dimension] for i in order], dtype=np.intp),
        dimensions=dimensions,
        image_set=_image_sets([questions[i] for i in order]),
        option_set=numbered(sets),
        wording=numbered(list(zip(sets, asked, strict=True))),
    )


def numbered(keys: Sequence[Hashable]) -> Ints:
    """0, 1, … in order of first appearance."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.intp)


def gold_offsets(table: Table, questions: Sequence[Question]) -> Ints:
    """Which of its rows is the right one, per question of the table (0 for the first).

    Of options with the same text, the first stands for all.
    """
    gold = []
    for place, first, size in zip(table.order, table.start, table.sizes, strict=True):
        answer = questions[place].options[questions[place].answer]
        gold.append(table.texts[first : first + size].index(answer))
    return np.array(gold, dtype=np.intp)


def content_key(question: Question) -> bytes:
    """A digest of what a question shows; neither its answer nor its letters nor their order."""
    digest = hashlib.blake2b(digest_size=16)
    shown = sorted(question.options.values())
    for part in (question.dimension, question.text, *shown, "\0", *question.image_set):
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _option_key(text: str) -> tuple[bytes, str]:
    # By digest: alphabetical order would put "A …" and "No …" in places of their own.
    return hashlib.blake2b(normalise(text).encode("utf-8", "replace"), digest_size=8).digest(), text


def _image_sets(questions: Sequence[Question]) -> Ints:
    sets: dict[tuple[str, ...], list[int]] = {}
    for i, question in enumerate(questions):
        if question.views:
            sets.setdefault(tuple(sorted(question.image_set)), []).append(i)
    codes = np.full(len(questions), -1, dtype=np.intp)
    for k, members in enumerate(m for m in sets.values() if len(m) > 1):
        codes[members] = k
    return codes
