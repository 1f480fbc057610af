"""Which questions a reader of the text has right: the easy and the hard subset, as ids.

As for NLI benchmarks: a model's accuracy on the hard subset is what text alone does not give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EASY, HARD = "easy.txt", "hard.txt"


def subsets(data: Mapping[str, Any]) -> dict[str, str]:
    """File name → ids, one a line, in order: right, or wrong, by all probes combined.

    Right is what is chosen in more than half of the assignments to folds, ties counted in part.
    Ids alone, no texts; an id with a line break in it is left out.
    """
    easy = {row["id"]: row["credit"] > 0.5 for row in data["questions"]}
    ids = sorted(id_ for id_ in easy if len(id_.splitlines()) == 1)
    return {
        EASY: "".join(f"{id_}\n" for id_ in ids if easy[id_]),
        HARD: "".join(f"{id_}\n" for id_ in ids if not easy[id_]),
    }
