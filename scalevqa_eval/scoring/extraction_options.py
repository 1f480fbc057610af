"""The options of a question, to be compared with what a reply says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a question and their texts in comparable form."""

    texts: Mapping[str, str]
    plain: Mapping[str, str]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Options:
        return cls(texts, {letter: normalise(text) for letter, text in texts.items()})

    def letter(self, found: str) -> str | None:
        """The option's letter for a letter in either case."""
        upper = found.upper()
        return upper if upper in self.texts else None

    def named(self, text: str) -> str | None:
        """The letter of the only option with exactly this text (case and punctuation aside)."""
        wanted = normalise(text)
        same = [letter for letter, plain in self.plain.items() if plain == wanted and plain]
        return same[0] if len(same) == 1 else None

    def is_text(self, text: str) -> bool:
        """Whether one option or several have this text."""
        wanted = normalise(text)
        return bool(wanted) and wanted in self.plain.values()

    def begins(self, text: str) -> tuple[set[str], int]:
        """Options whose text `text` begins with (the longest such), and where that text ends."""
        best: set[str] = set()
        length = 0
        head = text[: max(map(len, self.texts.values()), default=0) + 60]
        folded, places = _normalise_with_places(head)
        for letter, plain in self.plain.items():
            if not plain or len(plain) < length or not folded.startswith(plain):
                continue
            if len(folded) > len(plain) and folded[len(plain)] != " ":
                continue
            best = best | {letter} if len(plain) == length else {letter}
            length = len(plain)
        return best, places[length - 1] + 1 if length else 0


_WORD = re.compile(r"[^\W_]+(?:[+%°<>≥≤][\w]*)*", re.UNICODE)


def normalise(text: str) -> str:
    """Text for comparison: lower case, one space between words, no punctuation."""
    return " ".join(word.group().casefold() for word in _WORD.finditer(text))


def _normalise_with_places(text: str) -> tuple[str, list[int]]:
    pieces: list[str] = []
    places: list[int] = []
    for word in _WORD.finditer(text):
        if pieces:
            pieces.append(" ")
            places.append(word.start())
        folded = word.group().casefold()
        pieces.append(folded)
        places.extend([word.end() - 1] * len(folded))
    return "".join(pieces), places
