"""Counterfactual texts: one text over several pictures, with another right option on each.

The design of NaturalBench, of VQA v2's complementary pairs and of the demo. Whoever reads the text
alone gives all mates the same answer, so that of K mates with each of K options right once exactly
one is answered. What counts there is a whole group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Ints, Table


@dataclass(frozen=True)
class Mates:
    """`group` (questions) numbers the groups, -1 for no mates; `complete` (questions) is True
    where each option of the group is right once.
    """

    group: Ints
    complete: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        return int(self.group.max()) + 1 if len(self.group) else 0


def find_mates(table: Table, gold: Ints) -> Mates:
    """Questions with the same text and options, two to K of them, all with other right options.

    More than K are no counterfactual group but a question that is asked again and again.
    """
    group = np.full(table.n, -1, dtype=np.intp)
    complete = np.zeros(table.n, dtype=bool)
    order = np.argsort(table.wording, kind="stable")
    bounds = np.flatnonzero(np.diff(table.wording[order], prepend=-1, append=-1))
    found = 0
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        members = order[first:last]
        size = int(table.sizes[members[0]])
        images = table.image_set[members]
        shared = images[images >= 0]
        if not 2 <= len(members) <= size or len(np.unique(gold[members])) < len(members):
            continue
        if len(np.unique(shared)) < len(shared):
            continue  # on the same images: a contradiction, and none of the pictures'
        group[members] = found
        complete[members] = len(members) == size
        found += 1
    return Mates(group, complete)
