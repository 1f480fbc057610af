"""Words whose presence tells kinds of options apart (English; other languages have no such cue)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Table


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CUES: dict[str, frozenset[str]] = {
    "negation": _words(
        "no not without lacking lack lacks absent absence neither nor cannot none never non fails "
        "unlike isn't doesn't don't aren't wasn't can't"
    ),
    "absence": _words("absent absence lacking lacks without none devoid unaccompanied"),
    "mismatch": _words(
        "rather instead but while whereas however although though unlike mismatch inconsistent "
        "discordant contrast differs different despite"
    ),
    "hedge": _words(
        "may might could possible possibly suggest suggests suggested suggesting appears appear "
        "likely probably suspected can seems some occasional focal mild sparse"
    ),
    "absolute": _words(
        "all always only every entirely exclusively completely any each both never purely solely "
        "throughout confined predominantly uniform uniformly diffuse"
    ),
    "certainty": _words(
        "clearly clear definite explicit explicitly directly prominent marked strong confirmed "
        "confirms corroborated supports supported consistent consistently"
    ),
    "weakness": _words(
        "limited partial partially unclear uncertain indeterminate minimal vague subtle"
    ),
    "cause": _words(
        "because due causing cause causes leading leads driven result resulting secondary "
        "therefore indicating since reflecting drives induced arising"
    ),
    "addition": _words("and also with along together plus additionally"),
}


def cue_counts(table: Table) -> npt.NDArray[np.float64]:
    """How many words of each kind a row has, (rows, len(CUES) + 1); numbers are the last column."""
    found = np.zeros((table.rows, len(CUES) + 1))
    for row, words in enumerate(table.words):
        for k, wanted in enumerate(CUES.values()):
            found[row, k] = sum(word in wanted for word in words)
        found[row, -1] = sum(word.isdigit() for word in words)
    return found
