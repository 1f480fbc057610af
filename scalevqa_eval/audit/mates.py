"""Counterfactual texts: one text over several pictures, with another right option on each.

The design of NaturalBench, of VQA v2's complementary pairs and of the demo. Whoever reads the text
alone gives all mates the same answer, so that of K mates with each of K options right once exactly
one is answered. What counts there is a whole group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Ints, Table


@dataclass(frozen=True)
class Mates:
    """`group` (questions) numbers the groups, -1 for no mates. `balanced` (questions) is True where
    each option is right equally often over all questions of this text: a reader of the text alone
    is then right in exactly 1/K of them, whatever it has learned.
    """

    group: Ints
    balanced: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        return int(self.group.max(initial=-1)) + 1


def find_mates(table: Table, gold: Ints, clusters: Ints) -> Mates:
    """Questions with the same text and options, two to K of them, all with other right options.

    A text that is asked more often is looked at slide by slide.
    """
    group = np.full(table.n, -1, dtype=np.intp)
    balanced = np.zeros(table.n, dtype=bool)
    found = 0
    for members in _runs(table.wording, np.arange(table.n)):
        size = int(table.sizes[members[0]])
        balanced[members] = len(np.unique(np.bincount(gold[members], minlength=size))) == 1
        whole = len(members) <= size
        for part in [members] if whole else _runs(clusters[members], members):
            images = table.image_set[part]
            shared = images[images >= 0]
            # On the same images other right options are a contradiction, and no picture's doing.
            apart = len(np.unique(shared)) == len(shared)
            if apart and 2 <= len(part) <= size and len(np.unique(gold[part])) == len(part):
                group[part] = found
                found += 1
    return Mates(group, balanced)


def _runs(codes: Ints, values: Ints) -> Iterator[Ints]:
    """Values with the same code, in turn."""
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1, append=-1))
    for first, last in pairwise(bounds.tolist()):
        yield values[order[first:last]]
