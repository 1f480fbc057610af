"""Of a very large file, whole slides drawn at random.

An interval narrows with the square root of the slides, time and memory grow with the questions:
30,000 questions settle a leak to within half a point, and what more would add is not worth its
hours. Intervals and tests are clustered by slide as always: for the slides that the file's were
drawn from, and all the more for the file itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from scalevqa_eval.audit.clusters import Clusters
from scalevqa_eval.audit.reading import Selection
from scalevqa_eval.audit.table import content_key

MOST = 30_000
_OPTIONS = 4  # a question of more counts as several


@dataclass(frozen=True, slots=True)
class Sampled:
    """How many questions and clusters were drawn, of how many."""

    questions: int
    of: int
    clusters: int
    of_clusters: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"audited were {self.questions:,} of {self.of:,} questions: {self.clusters:,} of "
            f"{self.of_clusters:,} slides, drawn at random"
        )


def sample_slides(selected: Selection, most: int, seed: int) -> tuple[Selection, Sampled | None]:
    """Slides in random order until `most` questions of four options (or as many options) are had.

    The last slide drawn may be cut: its questions are taken in the order of their content. The
    draw does not depend on the order of rows where slides are named.
    """
    questions, labels = selected.questions, selected.clusters.labels
    weights = np.array([len(q.options) / _OPTIONS for q in questions])
    if weights.sum() <= most:
        return selected, None
    members: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        members.setdefault(label, []).append(i)
    names = sorted(members)
    chosen: list[int] = []
    taken = 0.0
    for place in np.random.default_rng([seed, 71]).permutation(len(names)):
        own = sorted(members[names[place]], key=lambda i: content_key(questions[i]))
        for i in own:
            if taken + weights[i] > most and chosen:
                break
            chosen.append(i)
            taken += weights[i]
        else:
            continue
        break
    kept = sorted(chosen)
    part = tuple(labels[i] for i in kept)
    clusters: Clusters = replace(selected.clusters, labels=part)
    found = Sampled(len(kept), len(questions), clusters.count, selected.clusters.count)
    return replace(selected, questions=tuple(questions[i] for i in kept), clusters=clusters), found
