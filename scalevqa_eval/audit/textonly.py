"""All text-only probes on one benchmark: answers, null distribution, self-test, leak scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.crossval import Answers, Draw, credit, cross_validate
from scalevqa_eval.audit.evidence import Evidence
from scalevqa_eval.audit.folds import fold_count, make_folds
from scalevqa_eval.audit.null import redraw
from scalevqa_eval.audit.probes import learned, rules
from scalevqa_eval.audit.probes.stack import ABOUT as STACK_ABOUT
from scalevqa_eval.audit.probes.stack import NAME as STACK
from scalevqa_eval.audit.results import StratumResult
from scalevqa_eval.audit.strata import Credits, evaluate_strata
from scalevqa_eval.audit.table import Ints, Table, gold_offsets, make_table
from scalevqa_eval.errors import ScaleVQAError
from scalevqa_eval.types import Question

MANY_SEEDS_UP_TO = 2_000
"""With more questions, redraws go through one assignment to folds: the others change little."""
_CHECKED = 400
SAME = 1e-3


class SelfTestFailed(ScaleVQAError):
    """A probe's answers depend on labels that it must not have: no figure can be believed."""


@dataclass(frozen=True)
class TextOnly:
    """Results per stratum, and per question (in the table's order) the leak score and spread.

    The leak score is the stack's probability of the right option, cross-validated, averaged over
    fold seeds; its spread is the standard deviation over them (None for one seed).
    """

    table: Table
    evidence: Evidence
    gold: Ints
    clusters: tuple[str, ...]
    strata: tuple[StratumResult, ...]
    credits: tuple[Credits, ...]
    leak: npt.NDArray[np.float64]
    leak_spread: npt.NDArray[np.float64] | None
    folds: int
    seeds: int
    null_seeds: int
    checked: tuple[str, ...]


def probe_text(
    questions: Sequence[Question],
    clusters: Sequence[str],
    *,
    permutations: int,
    seeds: int,
    seed: int,
    margin: float,
    workers: int,
    tick: Callable[[str], None],
) -> TextOnly:
    """Run every probe. `clusters` has one label per question. Raises SelfTestFailed."""
    tick("tokens and features")
    table = make_table(questions)
    gold = gold_offsets(table, questions)
    labels = tuple(clusters[i] for i in table.order)
    evidence = Evidence(table)
    checked = _check_features(questions, seed)
    redrawn = redraw(table.sizes, permutations, seed)
    credits = _rules(evidence, gold, redrawn)
    null_seeds = seeds if table.n <= MANY_SEEDS_UP_TO else 1
    groups = labels if len(set(labels)) > 1 else tuple(str(i) for i in range(table.n))
    count = fold_count(table.n, len(set(groups)))
    answers: list[Answers] = []
    if count:
        draws = [
            _draw(make_folds(groups, count, seed + s), gold, table.sizes,
                  redrawn if s < null_seeds else redrawn[:, :0])
            for s in range(seeds)
        ]  # fmt: skip
        probes = [p for p in learned() if evidence.has_siblings or not p.siblings]
        answers = cross_validate(evidence, probes, draws, seed=seed, workers=workers, tick=tick)
        checked += _check_answers(table, draws, answers)
        about = {probe.name: probe.about for probe in probes} | {STACK: STACK_ABOUT}
        credits += [_learned(name, about[name], answers, null_seeds) for name in about]
    tick("intervals and tests")
    strata = evaluate_strata(table, labels, credits, margin)
    leak, spread = _leak_scores(table, gold, answers)
    return TextOnly(
        table, evidence, gold, labels, tuple(strata), tuple(credits), leak, spread,
        count, seeds if count else 0, null_seeds if count else 0, tuple(sorted(set(checked))),
    )  # fmt: skip


def _rules(evidence: Evidence, gold: Ints, redrawn: Ints) -> list[Credits]:
    labels = np.column_stack([gold, redrawn])
    found = []
    for rule in rules():
        if rule.siblings and not evidence.has_siblings:
            continue
        scores = np.repeat(rule.answer(evidence)[:, None], labels.shape[1], axis=1)
        values = credit(evidence.table, scores, labels)
        found.append(Credits(rule.name, "rule", rule.about, values[:, 0].astype(float), values))
    return found


def _draw(fold: Ints, gold: Ints, sizes: Ints, redrawn: Ints) -> Draw:
    """Labels: the real ones; the real ones with those of fold 0 changed; the redraws."""
    changed = np.where(fold == 0, (gold + 1) % sizes, gold)
    return Draw(fold, np.column_stack([gold, changed, redrawn]))


def _learned(name: str, about: str, answers: Sequence[Answers], null_seeds: int) -> Credits:
    real = np.asarray(np.mean([a.credit[name][:, 0] for a in answers], axis=0, dtype=np.float64))
    tested = np.mean([a.credit[name] for a in answers[:null_seeds]], axis=0, dtype=np.float32)
    return Credits(name, "learned", about, real, np.delete(tested, 1, axis=1))


def _check_features(questions: Sequence[Question], seed: int) -> list[str]:
    """What probes see of questions must not move when the answers change."""
    sample = list(questions)
    if len(sample) > _CHECKED:
        chosen = np.random.default_rng([seed, 61]).permutation(len(sample))[:_CHECKED]
        sample = [sample[i] for i in chosen]
    changed = [replace(question, answer=_other(question)) for question in sample]
    before, after = Evidence(make_table(sample)), Evidence(make_table(changed))
    checked = []
    for probe in rules():
        if probe.siblings and not before.has_siblings:
            continue
        if not np.array_equal(probe.answer(before), probe.answer(after)):
            raise sees_labels(probe.name, "its scores change")
        checked.append(probe.name)
    for name in ("contrast", "tfidf"):
        if (getattr(before, name) != getattr(after, name)).nnz:
            raise sees_labels(name, "its features change")
    same = np.array_equal(before.structure.values, after.structure.values)
    same = same and np.array_equal(before.text_codes, after.text_codes)
    if before.has_siblings:
        same = same and np.array_equal(before.siblings, after.siblings)
    if not same:
        raise sees_labels("structure", "its features change")
    return checked


def _other(question: Question) -> str:
    letters = list(question.options)
    return letters[(letters.index(question.answer) + 1) % len(letters)]


def _check_answers(table: Table, draws: Sequence[Draw], answers: Sequence[Answers]) -> list[str]:
    """Scores of held-out questions must not move when their own labels change."""
    checked: list[str] = []
    for draw, found in zip(draws, answers, strict=True):
        rows = (draw.fold == 0)[table.owner]
        for name, scores in found.first.items():
            moved = float(np.abs(scores[rows, 0] - scores[rows, 1]).max())
            if moved > SAME * max(1.0, float(np.abs(scores[rows, 0]).max())):
                raise sees_labels(name, f"scores of held-out questions change by up to {moved:.3g}")
            checked.append(name)
    return checked


def sees_labels(name: str, what: str) -> SelfTestFailed:
    return SelfTestFailed(
        f"self-test failed: probe {name} sees labels that it must not see ({what} when only the "
        "labels of held-out questions change). No result is given."
    )


def _leak_scores(
    table: Table, gold: Ints, answers: Sequence[Answers]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    if not answers:
        return table.chances.copy(), None
    scores = np.array([a.probability[table.start + gold] for a in answers], dtype=np.float64)
    # Options of one text share what they have: which of them is "right" cannot be told.
    spread = scores.std(0, ddof=1) if len(answers) > 1 else None
    return scores.mean(0), spread
