"""Which of the audited questions are counterfactual mates, and which texts are balanced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.table import Ints, Table
from scalevqa_eval.scoring.groups import counterfactual_groups
from scalevqa_eval.types import Question


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


def find_mates(table: Table, gold: Ints, questions: Sequence[Question], clusters: Ints) -> Mates:
    """See `scoring.groups`. Questions in the order of the table."""
    group = np.full(table.n, -1, dtype=np.intp)
    for number, members in enumerate(counterfactual_groups(questions, clusters.tolist())):
        group[members] = number
    width = int(table.sizes.max())
    counts = np.bincount(table.wording * width + gold, minlength=(table.wording.max() + 1) * width)
    right = counts.reshape(-1, width)[table.wording]
    inside = np.arange(width) < table.sizes[:, None]
    balanced = (right == right[:, :1]) | ~inside
    return Mates(group, np.asarray(balanced.all(1)))
