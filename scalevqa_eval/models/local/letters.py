"""Which tokens an option letter is, for engines that give log-probabilities of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalevqa_eval.errors import ModelError


def letter_tokens(
    tokenizer: Any, letters: Sequence[str], *, bare: bool = False
) -> Mapping[str, tuple[int, ...]]:
    """Letter → ids of the single tokens that spell it as the first word ("A" and " A").

    `tokenizer` is a Hugging Face tokenizer. Their probabilities add up to the letter's; `bare`
    leaves out the one with a space. Raises ModelError if a letter is no single token.
    """
    found: dict[str, tuple[int, ...]] = {}
    for letter in letters:
        texts = (letter,) if bare else (letter, f" {letter}")
        spellings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        ids = sorted({tokens[0] for tokens in spellings if len(tokens) == 1})
        if not ids:
            raise ModelError(
                f"the letter {letter} is no single token of this model, so it has no "
                "log-probability: leave out --score logprobs",
                fatal=True,
            )
        found[letter] = tuple(ids)
    return found
