"""Which tokens an option letter is, for engines that give log-probabilities of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scalevqa_eval.errors import ModelError

# How vocabularies write a space before a word: SentencePiece, byte-level BPE, plain.
_SPACES = ("▁", "Ġ", " ")


def letter_tokens(
    tokenizer: Any, letters: Iterable[str], *, bare: bool = False
) -> Mapping[str, tuple[int, ...]]:
    """Letter → ids of all single tokens that spell it as the first word.

    `tokenizer` is a Hugging Face tokenizer. They are looked up in its vocabulary: encoding "A"
    gives only the spelling that starts a text, which for SentencePiece is never the bare one.
    `bare` leaves out those with a space. Raises ModelError if a letter is no single token.
    """
    vocabulary = tokenizer.get_vocab()
    found: dict[str, tuple[int, ...]] = {}
    for letter in letters:
        spellings = [letter, f"<0x{ord(letter):02X}>"]  # the byte, where there are byte tokens
        if not bare:
            spellings += [space + letter for space in _SPACES]
        found[letter] = tuple(sorted({vocabulary[s] for s in spellings if s in vocabulary}))
        if not found[letter]:
            raise ModelError(
                f"the letter {letter} is no single token of this model, so it has no "
                "log-probability: leave out --score logprobs",
                fatal=True,
            )
    return found
