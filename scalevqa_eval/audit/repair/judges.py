"""Who judges what a repair leaves: readers of the text that took no part in choosing it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from scalevqa_eval.audit.crossval import credit, fold_count, make_folds
from scalevqa_eval.audit.probes import COMBINED
from scalevqa_eval.audit.repair.blocks import Block
from scalevqa_eval.audit.results import rounded
from scalevqa_eval.audit.table import gold_offsets, make_table
from scalevqa_eval.audit.textonly import probe_text
from scalevqa_eval.audit.tokens import normalise
from scalevqa_eval.audit.transfer import probe_transfer
from scalevqa_eval.statistics import cluster_interval
from scalevqa_eval.types import Benchmark, Question

UNUSED = 7_919  # added to the seed for everything that judges a repair
WORKERS = max(1, min(4, os.cpu_count() or 1))
_FEATURES = 30_000

Credits = npt.NDArray[np.float64]
Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One reader on what a repair leaves. `ci` are 95 % limits, clustered as in the audit.

    `upper` is the upper one-sided 95 % limit.
    """

    name: str
    about: str
    correct: float
    n: int
    ci: tuple[float, float]
    upper: float
    chance: float

    @classmethod
    def of(
        cls, name: str, about: str, credits: Credits, questions: Sequence[Question],
        clusters: Sequence[str],
    ) -> Check:  # fmt: skip
        values = np.clip(credits, 0.0, 1.0)
        limits = cluster_interval(values, clusters)
        return cls(
            name, about, float(values.sum()), len(values), (limits.low, limits.high),
            cluster_interval(values, clusters, level=0.90).high,
            float(np.mean([1 / len(question.options) for question in questions])),
        )  # fmt: skip

    @property
    def found(self) -> bool:
        """Whether it answers better than guessing."""
        return self.ci[0] > self.chance

    def passed(self, margin: float) -> bool:
        return self.upper < self.chance + margin

    def __str__(self) -> str:
        return f"{self.correct:.0f}/{self.n} = {100 * self.correct / self.n:.1f} %"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about,
            "correct": rounded(self.correct),
            "n": self.n,
            "accuracy": rounded(self.correct / self.n),
            "ci": [rounded(x) for x in self.ci],
            "upper_bound": rounded(self.upper),
            "chance": rounded(self.chance),
            "found": self.found,
        }


def probes(
    questions: Sequence[Question], folds_by: Sequence[str], *, seed: int
) -> tuple[dict[str, Credits], Credits]:
    """Credits of the audit's own probes, cross-validated by `folds_by`, and the leak scores.

    All by question as given. Credits are empty where there are too few slides for two folds.
    """
    text = probe_text(
        questions, folds_by, permutations=1, seeds=3, seed=seed, margin=0.05, workers=WORKERS,
        tick=lambda _: None,
    )  # fmt: skip

    def as_given(values: npt.NDArray[np.float64]) -> Credits:
        ordered = np.empty(len(values))
        ordered[text.table.order] = values
        return ordered

    found = {one.name: as_given(one.real) for one in text.credits}
    return found, as_given(text.leak)


def retrained(
    questions: Sequence[Question], folds_by: Sequence[str], clusters: Sequence[str],
    names: Mapping[str, str], *, seed: int, suffix: str = "",
) -> list[Check]:  # fmt: skip
    """The audit's own probes, trained again: those of `names`, which says what they are."""
    if len(set(folds_by)) < 2:
        return []
    credits, _ = probes(questions, folds_by, seed=seed)
    return [
        Check.of(f"{name}{suffix}", about, credits[name], questions, clusters)
        for name, about in names.items() if name in credits
    ]  # fmt: skip


CHARACTERS = "a reader of runs of 3 to 5 characters, which took no part"


def characters(questions: Sequence[Question], folds_by: Sequence[str], seed: int) -> Credits | None:
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
    texts = np.array([normalise(text) for text in table.texts], dtype=object)
    scores = np.zeros((table.rows, 1))
    for k in range(count):
        train, test = (fold != k)[table.owner], (fold == k)[table.owner]
        runs = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), min_df=2, max_features=_FEATURES,
            sublinear_tf=True,
        )  # fmt: skip
        try:
            known = runs.fit_transform(texts[train])
        except ValueError:  # no run of characters occurs twice
            continue
        model = LogisticRegression(C=10.0, max_iter=200).fit(known, right[train])
        scores[test, 0] = model.decision_function(runs.transform(texts[test]))
    ordered = np.empty(table.n)
    ordered[table.order] = credit(table, scores, gold[:, None])[:, 0]
    return ordered


def fitted_on(
    train: Sequence[Question], name: str, questions: Sequence[Question], clusters: Sequence[str],
    *, seed: int,
) -> Credits:  # fmt: skip
    """Credit per question of all probes combined, fitted on `train`. Raises DataError."""
    found = probe_transfer(
        questions, clusters, Benchmark(name, "", "", tuple(train)), seed=seed, workers=WORKERS,
        tick=lambda _: None,
    )  # fmt: skip
    return np.array(found.credits[COMBINED], dtype=np.float64)


def tells_borrowed(blocks: Sequence[Block], clusters: Sequence[str]) -> tuple[Check, Check]:
    """Two readers that pick a question's own option out of those of its block.

    Both take the option most like a text (TF-IDF of runs of characters). The first is given the
    question as it was asked: where it succeeds, borrowed options do not answer the question. The
    second is given the wrong options that the question had: where it succeeds, who knows roughly
    what the images show can rule the borrowed ones out.
    """
    members = [member for block in blocks for member in block.members]
    runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    runs.fit([text for m in members for text in (m.text, *m.options.values())])
    asked: list[float] = []
    known: list[float] = []
    for block in blocks:
        options = runs.transform(list(block.options.values()))
        for place, member in enumerate(block.members):
            wrong = [text for letter, text in member.options.items() if letter != member.answer]
            for found, text in ((asked, member.text), (known, " ".join(wrong))):
                score = (options @ runs.transform([text]).T).toarray()[:, 0]
                best = np.flatnonzero(score >= score.max() - 1e-9)
                found.append(float(place in best) / len(best))
    return (
        Check.of("told by the question", "a reader of the question as it was asked, who looks "
                 "for the option that was its own", np.array(asked), members, clusters),
        Check.of("told by the topic", "a reader of a question's former wrong options, who looks "
                 "for the option that was its own", np.array(known), members, clusters),
    )  # fmt: skip
