"""All text-only probes on one benchmark: answers, redraws, self-test, leak scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scalevqa_eval.audit.crossval import (
    Answers,
    Draw,
    cross_validate,
    fold_count,
    make_folds,
    option_credit,
)
from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.inference import (
    Credits,
    Given,
    Stratum,
    clustered_p,
    evaluate_strata,
    share,
)
from scalevqa_eval.audit.logit import Layout
from scalevqa_eval.audit.probes import (
    BASE_RATES,
    COMBINED,
    COMBINED_FILE,
    MAJORITY,
    PARTIAL,
    Learned,
    learned,
    rules,
)
from scalevqa_eval.audit.redraws import (
    Floats,
    given_answers,
    redraw,
    relabelled_together,
)
from scalevqa_eval.audit.results import Share, StratumResult
from scalevqa_eval.audit.selftest import check_answers, check_features
from scalevqa_eval.audit.table import Ints, Table, gold_offsets, make_table, numbered
from scalevqa_eval.types import Question

MANY_SEEDS_UP_TO = 2_000
"""With more questions, redraws go through one assignment to folds: the others change little."""
COMBINATIONS = {
    COMBINED: "all trained probes, weighted by what they are worth on inner folds",
    COMBINED_FILE: "the same with what only the whole file shows",
}


@dataclass(frozen=True)
class TextOnly:
    """Results per stratum, and per question (in the table's order) what was given away.

    `strata` are one question at a time, `whole_file` with all that the file shows. `leak` is the
    combination's held-out probability of the right option, averaged over fold seeds; `spread` its
    standard deviation over them (None for one seed).
    """

    table: Table
    gold: Ints
    clusters: Ints
    strata: tuple[StratumResult, ...]
    whole_file: tuple[StratumResult, ...]
    partial_inputs: dict[str, Share]
    credits: tuple[Credits, ...]
    rule_p: dict[str, dict[str, tuple[float, float]]]
    leak: Floats
    spread: Floats | None
    folds: int
    seeds: int
    null_seeds: int
    checked: tuple[str, ...]

    def credit(self, name: str) -> Floats:
        """The credit per question of a probe; of guessing if nothing could be trained."""
        found = [c.real for c in self.credits if c.name == name]
        return np.clip(found[0], 0, 1) if found else self.table.chances


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
    labels = numbered([clusters[i] for i in table.order])
    features = Features(table)
    checked = check_features(questions, seed)
    together = relabelled_together(table, labels)
    redrawn = redraw(table.sizes, together, gold, permutations, seed)
    null_seeds = seeds if table.n <= MANY_SEEDS_UP_TO else 1
    groups = labels if labels.max() > 0 else np.arange(table.n)
    count = fold_count(table.n, len(set(groups.tolist())))
    answers: list[Answers] = []
    trained = learned()
    if count:
        draws = [
            _draw(make_folds(groups, count, seed + s), gold, table.sizes,
                  redrawn if s < null_seeds else redrawn[:, :0])
            for s in range(seeds)
        ]  # fmt: skip
        answers = cross_validate(
            features, [*BASE_RATES, *trained], draws, _mixtures(trained),
            seed=seed, workers=workers, tick=tick, once=tuple(PARTIAL),
        )  # fmt: skip
        checked += check_answers(table, draws, answers)
    tick("intervals and tests")
    credits, scores = _rules(features, gold, redrawn)
    about = {probe.name: probe.about for probe in trained} | COMBINATIONS
    file = {probe.name for probe in trained if probe.file} | {COMBINED_FILE}
    credits += [
        _learned(name, about[name], name in file, answers, null_seeds) for name in about if count
    ]
    bases = [
        _learned(base.name, base.about, False, answers, null_seeds) if count
        else _guessing(table, permutations) for base in BASE_RATES
    ]  # fmt: skip
    given = Given(table.chances, labels, *bases)
    balanced = _balanced(table, gold)
    masks = _masks(table)
    rule_p = {
        name: {rule: _rule_p(table, scores[rule], together, gold, given, mask, seed)
               for rule in scores}
        for name, mask in masks.items()
    }  # fmt: skip
    parts = [Stratum(name, mask, rule_p[name]) for name, mask in masks.items()]
    single = [replace(part, by_design=bool(balanced[part.mask].all())) for part in parts]
    strata = evaluate_strata(single, [c for c in credits if not c.file], given, margin)
    whole = evaluate_strata(parts, [c for c in credits if c.name != COMBINED], given, margin)
    leak, spread = _leak_scores(table, gold, answers)
    return TextOnly(
        table, gold, labels, tuple(strata), tuple(whole),
        _partial(answers, strata[0], given) if answers else {},
        tuple(credits), rule_p, leak, spread, count, seeds if count else 0,
        null_seeds if count else 0,
        tuple(sorted(set(checked) - {*(base.name for base in BASE_RATES), *PARTIAL})),
    )  # fmt: skip


def _balanced(table: Table, gold: Ints) -> npt.NDArray[np.bool_]:
    """Whether each option is right equally often over all questions of this text and dimension:
    then who reads no more is right in exactly 1/K of them, whatever was learned.
    """
    width = int(table.sizes.max())
    text = numbered(list(zip(table.wording, table.dimension, strict=True)))
    counts = np.bincount(text * width + gold, minlength=(text.max() + 1) * width)
    right = counts.reshape(-1, width)[text]
    outside = np.arange(width) >= table.sizes[:, None]
    return np.asarray(((right == right[:, :1]) | outside).all(1))


def _mixtures(trained: Sequence[Learned]) -> dict[str, list[str]]:
    names = [probe.name for probe in trained]
    found = {
        COMBINED: [probe.name for probe in trained if not probe.file],
        COMBINED_FILE: names,
        **{key: [m for m in members if m in names] for key, members in PARTIAL.items()},
    }
    return {key: members for key, members in found.items() if members}


def _masks(table: Table) -> dict[str, npt.NDArray[np.bool_]]:
    masks = {"": np.ones(table.n, dtype=bool)}
    if len(table.dimensions) > 1:
        masks |= {name: table.dimension == k for k, name in enumerate(table.dimensions)}
    return masks


def _guessing(table: Table, permutations: int) -> Credits:
    test = np.repeat(table.chances[:, None], 1 + permutations, axis=1).astype(np.float32)
    return Credits(MAJORITY.name, "base", MAJORITY.about, False, table.chances, test)


def _rules(
    features: Features, gold: Ints, redrawn: Ints
) -> tuple[list[Credits], dict[str, npt.NDArray[np.float32]]]:
    """Credits of the rules, and what each option would be worth to each rule."""
    labels = np.column_stack([gold, redrawn])
    rows = features.table.start[:, None] + labels
    found, worth = [], {}
    for rule in rules(features):
        worth[rule.name] = option_credit(features.table, rule.score(features)[:, None])[:, 0]
        values = worth[rule.name][rows]
        found.append(
            Credits(rule.name, "rule", rule.about, rule.file, values[:, 0].astype(float), values)
        )
    return found, worth


def _rule_p(
    table: Table,
    worth: npt.NDArray[np.float32],
    together: Ints,
    gold: Ints,
    given: Given,
    mask: npt.NDArray[np.bool_],
    seed: int,
) -> tuple[float, float]:
    """P-values of a rule above and below chance; the larger of redraws and of the slides' t."""
    values = worth[mask[table.owner]].astype(np.float64)
    sizes = table.sizes[mask]
    right = np.cumsum(sizes) - sizes + gold[mask]
    above, below = given_answers(values, sizes, together[mask], gold[mask], seed=seed)
    credits, chances, labels = values[right], given.chances[mask], given.clusters[mask]
    return (
        max(above, clustered_p(credits, chances, labels)),
        max(below, clustered_p(1 - credits, 1 - chances, labels)),
    )


def _draw(fold: Ints, gold: Ints, sizes: Ints, redrawn: Ints) -> Draw:
    """Labels: the real ones; the real ones with those of fold 0 changed; the redraws."""
    changed = np.where(fold == 0, (gold + 1) % sizes, gold)
    return Draw(fold, np.column_stack([gold, changed, redrawn]))


def _mean_credit(answers: Sequence[Answers], name: str) -> Floats:
    return np.asarray(np.mean([a.credit[name][:, 0] for a in answers], axis=0, dtype=np.float64))


def _learned(
    name: str, about: str, file: bool, answers: Sequence[Answers], null_seeds: int
) -> Credits:
    tested = np.mean([a.credit[name] for a in answers[:null_seeds]], axis=0, dtype=np.float32)
    kind = "combined" if name in COMBINATIONS else "learned"
    real = _mean_credit(answers, name)
    return Credits(name, kind, about, file, real, np.delete(tested, 1, axis=1))


def _partial(answers: Sequence[Answers], whole: StratumResult, given: Given) -> dict[str, Share]:
    """What each part of the text gives away by itself, and both together."""
    rows = {"no text (base rate)": whole.majority}
    names = {"question alone": "question"} | {name: name for name in PARTIAL}
    for shown, name in (names | {"both joined": COMBINED}).items():
        if name in answers[0].credit:
            credits = _mean_credit(answers, name)
            base = np.full(len(credits), whole.majority.accuracy)
            rows[shown] = share(credits, given.chances, given.clusters, base)
    return rows


def _leak_scores(
    table: Table, gold: Ints, answers: Sequence[Answers]
) -> tuple[Floats, Floats | None]:
    if not answers:
        return table.chances.copy(), None
    layout = Layout(table.sizes)
    found = [layout.softmax(a.first[COMBINED][:, :1].copy())[table.start + gold, 0]
             for a in answers]  # fmt: skip
    scores = np.array(found, dtype=np.float64)
    return scores.mean(0), scores.std(0, ddof=1) if len(answers) > 1 else None
