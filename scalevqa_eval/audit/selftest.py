"""The audit tests itself: what a probe says of a question must not hang on the question's label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.crossval import Answers, Draw
from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.probes import rules
from scalevqa_eval.audit.table import Table, make_table
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.types import Question

_CHECKED = 100
_SAME = 1e-3


class SelfTestFailed(ScaleVQAError):
    """A probe's answers depend on labels that it must not have: no figure can be believed."""


def check_features(questions: Sequence[Question], seed: int) -> list[str]:
    """What probes see of questions must not move when the answers change."""
    sample = list(questions)
    if len(sample) > _CHECKED:
        chosen = np.random.default_rng([seed, 61]).permutation(len(sample))[:_CHECKED]
        sample = [sample[i] for i in chosen]
    changed = [replace(question, answer=_other(question)) for question in sample]
    before, after = Features(make_table(sample)), Features(make_table(changed))
    checked = []
    for rule in rules(before):
        if not np.array_equal(rule.score(before), rule.score(after)):
            raise _sees_labels(rule.name, "its scores change")
        checked.append(rule.name)
    for name in ("contrast", "tfidf", "question_tfidf", "same_text", "characters", "goes_on"):
        if (getattr(before, name) != getattr(after, name)).nnz:
            raise _sees_labels(name, "its features change")
    pairs = [
        (before.structure.values, after.structure.values),
        (before.text_codes, after.text_codes),
        *zip(before.frequency.values(), after.frequency.values(), strict=True),
    ]
    if before.has_siblings:
        pairs.append((before.siblings, after.siblings))
    if not all(np.array_equal(a, b) for a, b in pairs):
        raise _sees_labels("structure", "its features change")
    return checked


def _other(question: Question) -> str:
    letters = list(question.options)
    return letters[(letters.index(question.answer) + 1) % len(letters)]


def check_answers(table: Table, draws: Sequence[Draw], answers: Sequence[Answers]) -> list[str]:
    """Scores of held-out questions must not move when their own labels change."""
    checked: list[str] = []
    for draw, found in zip(draws, answers, strict=True):
        rows = (draw.fold == 0)[table.owner]
        for name, scores in found.first.items():
            must_not_move(name, scores[rows], "held-out")
            checked.append(name)
    return checked


def must_not_move(name: str, scores: npt.NDArray[np.float32], which: str) -> None:
    """Scores (rows, 2) of two sets of labels that differ in these rows' questions only."""
    moved = float(np.abs(scores[:, 0] - scores[:, 1]).max(initial=0.0))
    if moved > _SAME * max(1.0, float(np.abs(scores[:, 0]).max(initial=0.0))):
        raise _sees_labels(name, f"scores of {which} questions change by up to {moved:.3g}")


def _sees_labels(name: str, what: str) -> SelfTestFailed:
    return SelfTestFailed(
        f"self-test failed: probe {name} sees labels that it must not see ({what} when only the "
        "labels of held-out questions change). No result is given."
    )
