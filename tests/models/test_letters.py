"""Every token that spells a letter counts, whatever kind of vocabulary it is in."""

from __future__ import annotations

from typing import Any

import pytest

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.letters import letter_tokens


class Vocabulary:
    """As much of a tokenizer as is asked; encoding "A" gives only what starts a text."""

    def __init__(self, *tokens: str) -> None:
        self._ids = {token: number for number, token in enumerate(tokens)}

    def get_vocab(self) -> dict[str, int]:
        return self._ids


LLAMA = Vocabulary("<0x41>", "▁A", "A", "AB", "▁B", "B", "b")
BYTES = Vocabulary("A", "ĠA", "B", "ĠB", "Ġ")


@pytest.mark.parametrize(
    ("vocabulary", "bare", "found"),
    [
        (LLAMA, False, {"A": (0, 1, 2), "B": (4, 5)}),
        (LLAMA, True, {"A": (0, 2), "B": (5,)}),
        (BYTES, False, {"A": (0, 1), "B": (2, 3)}),
        (BYTES, True, {"A": (0,), "B": (2,)}),
    ],
)
def test_all_spellings(vocabulary: Any, bare: bool, found: dict[str, tuple[int, ...]]) -> None:
    assert letter_tokens(vocabulary, "AB", bare=bare) == found


def test_a_letter_that_is_no_token_is_said() -> None:
    with pytest.raises(ModelError, match="letter C is no single token") as caught:
        letter_tokens(LLAMA, "AC")
    assert caught.value.fatal
