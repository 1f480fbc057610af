"""Who judges what a repair leaves: readers of the text that took no part in choosing it.

What they have right is a `Share`, by their names; ABOUT says who they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline

from scalevqa_eval.audit.crossval import WORKERS, credit, fold_count, make_folds
from scalevqa_eval.audit.inference import share
from scalevqa_eval.audit.probes import COMBINED
from scalevqa_eval.audit.reading import Selection
from scalevqa_eval.audit.redraws import Floats
from scalevqa_eval.audit.repair.blocks import Block
from scalevqa_eval.audit.results import Share
from scalevqa_eval.audit.table import gold_offsets, make_table
from scalevqa_eval.audit.textonly import probe_text
from scalevqa_eval.audit.tokens import normalise
from scalevqa_eval.audit.transfer import probe_transfer
from scalevqa_eval.types import Benchmark, Question

LEAK = "leak score"
ABOUT = {
    "medoid": "the option most similar to the others",
    "combined": "all probes combined",
    "siblings": "a reader of all questions on the same images, all probes combined,",
    "characters": "a reader of runs of 3 to 5 characters, which took no part",
    "external": "all probes combined, fitted on the other split",
    "other half": "a reader with all probes combined, fitted on slides that took no part,",
    "told by the question": "a reader trained on the questions as they were asked, who looks for "
    "the option that was its own",
    "told by the topic": "a reader of a question's former wrong options, who looks for the option "
    "that was its own",
}
Checks = Mapping[str, Share]
Credits = Mapping[str, Floats | None]


@dataclass(frozen=True)
class Setting:
    benchmark: Benchmark
    audited: Selection
    external: Benchmark | None
    seed: int
    margin: float
    tick: Callable[[str], None]

    @property
    def unused(self) -> int:
        """The seed of everything that judges a repair."""
        return self.seed + 7_919

    def fitted_outside(self, questions: Sequence[Question], on: Sequence[str]) -> Floats | None:
        """Credits of all probes combined, fitted on the external split, if there is one."""
        if self.external is None:
            return None
        return fitted_on(self.external.questions, questions, on, self.unused)


def shares(credits: Credits, questions: Sequence[Question], on: Sequence[str]) -> Checks:
    """k of n of each reader that could be asked, with an interval clustered as elsewhere."""
    chances = np.array([1 / len(question.options) for question in questions])
    return {name: share(own, chances, on) for name, own in credits.items() if own is not None}


def as_json(found: Checks) -> list[dict[str, Any]]:
    return [{"name": k, "about": ABOUT[k], **row.to_json()} for k, row in found.items()]


def worst(found: Checks) -> str | None:
    """The reader that is furthest above chance, if one is."""
    above = {k: row.accuracy - row.chance for k, row in found.items() if row.ci[0] > row.chance}
    return max(above, key=above.__getitem__, default=None)


def probes(questions: Sequence[Question], folds_by: Sequence[str], seed: int) -> dict[str, Floats]:
    """Credit per question of each of the audit's own probes, and their leak scores (LEAK).

    Trained again, cross-validated by `folds_by`; without trained ones where there are too few
    slides for two folds.
    """
    text = probe_text(
        questions, folds_by, permutations=1, seeds=3, seed=seed, margin=0.05, workers=WORKERS,
        tick=lambda _: None,
    )  # fmt: skip
    as_given = np.argsort(text.table.order)
    found = {one.name: one.real[as_given] for one in text.credits}
    return {**found, LEAK: text.leak[as_given]}


def characters(questions: Sequence[Question], folds_by: Sequence[str], seed: int) -> Floats | None:
    """Credit per question of a reader that sees no word: it shares no feature with the probes.

    Cross-validated by `folds_by`; None if no two folds can be made.
    """
    count = fold_count(len(questions), len(set(folds_by)))
    if not count:
        return None
    table = make_table(questions)
    gold = gold_offsets(table, questions)
    fold = make_folds([folds_by[i] for i in table.order], count, seed)
    right = np.zeros(table.rows, dtype=int)
    right[table.start + gold] = 1
    reader = make_pipeline(_runs(max_features=30_000), LogisticRegression(C=10.0, max_iter=200))
    scores = cross_val_predict(
        reader, [normalise(text) for text in table.texts], right,
        cv=PredefinedSplit(fold[table.owner]), method="decision_function",
    )  # fmt: skip
    found = credit(table, scores[:, None], gold[:, None])[:, 0].astype(np.float64)
    return np.asarray(found[np.argsort(table.order)])


def _runs(**options: int) -> TfidfVectorizer:
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, **options)


def fitted_on(
    train: Sequence[Question], questions: Sequence[Question], clusters: Sequence[str], seed: int
) -> Floats:
    """Credit per question of all probes combined, fitted on `train`. Raises DataError."""
    found = probe_transfer(
        questions, clusters, Benchmark("the other split", "", "", tuple(train)), seed=seed,
        workers=WORKERS, tick=lambda _: None,
    )  # fmt: skip
    return np.array(found.credits[COMBINED])


def by_topic(blocks: Sequence[Block]) -> Floats:
    """Credit of a reader who looks for a question's own option, given the wrong ones it had.

    It takes the option of the block that is most like them (TF-IDF of runs of characters): who
    knows roughly what the images show can rule the borrowed ones out.
    """
    members = [member for block in blocks for member in block.members]
    runs = _runs().fit([text for m in members for text in (m.text, *m.options.values())])
    found = []
    for block in blocks:
        options = runs.transform(list(block.options.values()))
        for place, member in enumerate(block.members):
            wrong = [text for letter, text in member.options.items() if letter != member.answer]
            score = (options @ runs.transform([" ".join(wrong)]).T).toarray()[:, 0]
            best = np.flatnonzero(score >= score.max() - 1e-9)
            found.append(float(place in best) / len(best))
    return np.array(found)
