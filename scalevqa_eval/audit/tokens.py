"""Texts as tokens, and tokens as numbers: for any script, and for texts of any length."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

MAX_CHARACTERS = 8_000
MAX_TOKENS = 400
"""Of a longer text, the beginning and the end are kept; the audit says that it did so."""

# Scripts that write no blanks between words: each character is a token of its own there, and
# n-grams of tokens make up for it.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W\d_{_UNSPACED}]+)?")
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93],
    dtype=np.uint64,
)


def normalise(text: str) -> str:
    """A text for comparison: compatibility forms, case and long texts' middles do not count."""
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = text[:half] + " " + text[-half:]
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(text: str) -> tuple[str, ...]:
    """The words and numbers of a text; single characters in scripts without blanks."""
    found = _TOKEN.findall(normalise(text))
    if len(found) > MAX_TOKENS:
        half = MAX_TOKENS // 2
        found = found[:half] + found[-half:]
    return tuple(found)


class Hasher:
    """Tokens to 64-bit numbers that depend on the token alone (no salt, no order)."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, words: tuple[str, ...]) -> Hashes:
        known = self._known
        for word in words:
            if word not in known:
                digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
                known[word] = int.from_bytes(digest, "little")
        return np.array([known[word] for word in words], dtype=np.uint64)


def hashed_ngrams(hashes: Hashes, n: int) -> Hashes:
    """The numbers of all runs of `n` tokens, in their order, repeats included."""
    length = len(hashes) - n + 1
    if length <= 0:
        return np.empty(0, dtype=np.uint64)
    if n == 1:
        return hashes
    total = np.zeros(length, dtype=np.uint64)
    for i in range(n):
        part = hashes[i : i + length] * _MULTIPLIERS[i]
        total = (total ^ (part >> np.uint64(29))) * _MULTIPLIERS[0] + part
    return total + np.uint64(n)


def runs(texts: Sequence[Hashes], n: int) -> tuple[npt.NDArray[np.intp], Hashes]:
    """All runs of `n` tokens of many texts, in their order: the text's place, the run's number."""
    text = np.repeat(np.arange(len(texts)), [len(part) for part in texts])
    numbers = hashed_ngrams(np.concatenate(texts), n)
    text, last = text[: len(numbers)], text[n - 1 :]
    return text[text == last], numbers[text == last]


_KINDS = {"Lu": "A", "Lt": "A", "Ll": "a", "Lm": "a", "Lo": "a", "Nd": "9"}


def written(text: str) -> str:
    """How a text is written, whatever it says: `Aa a (9 %)` of `Mild atypia (12 %)`.

    Runs of small letters, capitals or digits are one; blanks and marks stay as they are.
    """
    kinds = [_KINDS.get(unicodedata.category(char), char) for char in text[:MAX_CHARACTERS]]
    return "".join(
        kind for kind, before in zip(kinds, ["", *kinds], strict=False)
        if kind != before or kind not in "Aa9"
    )  # fmt: skip


def characters(text: str, limit: int = 2_000) -> Hashes:
    """The first characters of a text as tokens."""
    codes = np.frombuffer(text[:limit].encode("utf-32-le", "replace"), dtype=np.uint32)
    return codes.astype(np.uint64)
