"""What must not change the result of an audit, and what a probe must not see."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import LEAKS, plant
from planting import rewritten

from scalevqa_eval.audit import SelfTestFailed, probes
from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.logit import Singles
from scalevqa_eval.audit.probes import Fitter, Rule
from scalevqa_eval.audit.report import AuditReport
from scalevqa_eval.audit.table import Ints, gold_offsets, make_table


def without_position(report: AuditReport) -> dict[str, object]:
    """audit.json without what the order of options may change: the counts of positions."""
    data = report.to_json()
    for key in (
        "position", "verdict", "verdict_text", "parts", "verdict_by_dimension", "reasons",
        "findings",
    ):  # fmt: skip
        del data[key]
    return data


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    leak=st.sampled_from(LEAKS),
    options=st.sampled_from([(4,), (2, 3, 5), (2,)]),
)
def test_order_and_letters_do_not_matter(seed: int, leak: str, options: tuple[int, ...]) -> None:
    original = plant(leak, 36, seed=seed, options=options)  # type: ignore[arg-type]
    before = audit(original, permutations=3, seeds=2)
    after = audit(rewritten(original, seed), permutations=3, seeds=2)
    assert without_position(before) == without_position(after)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), leak=st.sampled_from(LEAKS))
def test_table_is_canonical(seed: int, leak: str) -> None:
    original = plant(leak, 20, seed=seed, options=(3, 4))  # type: ignore[arg-type]
    other = rewritten(original, seed)
    a, b = make_table(original.questions), make_table(other.questions)
    assert a.texts == b.texts
    assert a.question_words == b.question_words
    golds = gold_offsets(a, original.questions), gold_offsets(b, other.questions)
    np.testing.assert_array_equal(*golds)
    right = [a.texts[i] for i in a.start + golds[0]]
    assert right == [original.questions[i].options[original.questions[i].answer] for i in a.order]


def test_same_seed_same_bytes_and_another_seed_other_folds() -> None:
    made = plant("phrase", 60)
    first, again = audit(made, permutations=5, seeds=2), audit(made, permutations=5, seeds=2)
    assert first.text() == again.text()
    json.loads(first.text())
    other = audit(made, permutations=5, seeds=2, seed=1)
    assert other.text() != first.text()


def test_number_of_workers_does_not_matter() -> None:
    made = plant("medoid", 60)
    one = audit(made, permutations=5, seeds=1, workers=1)
    assert one.text() == audit(made, permutations=5, seeds=1, workers=3).text()


def test_unused_answers_do_not_move_features() -> None:
    made = plant("sibling", 60)
    changed = [
        replace(q, answer=next(x for x in q.options if x != q.answer)) for q in made.questions
    ]
    a, b = Features(make_table(made.questions)), Features(make_table(changed))
    np.testing.assert_array_equal(a.structure.values, b.structure.values)
    np.testing.assert_array_equal(a.siblings, b.siblings)
    assert (a.contrast != b.contrast).nnz == 0


class _Peeker:
    """Gives the right option of every question away, as a leaking feature would."""

    name, about, file = "peeker", "reads the labels it is to predict", False

    def prepare(self, features: Features, seed: int) -> Fitter:
        return _PeekingFitter(features)


class _PeekingFitter:
    def __init__(self, features: Features) -> None:
        self.table = features.table

    def use_folds(self, fold: Ints) -> None:
        pass

    def scores(
        self, gold: Ints, train: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]
    ) -> Singles:
        scores = np.zeros((self.table.rows, gold.shape[1]), dtype=np.float32)
        scores[self.table.start[:, None] + gold, np.arange(gold.shape[1])] = 1.0
        return scores[rows]


def test_a_probe_that_sees_held_out_labels_stops_the_audit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "PROBES", dict(probes.PROBES))
    probes.register(_Peeker())
    with pytest.raises(SelfTestFailed, match="peeker"):
        audit(plant("none", 40), permutations=3, seeds=1)


def test_a_rule_that_depends_on_labels_stops_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def unstable(features: Features) -> npt.NDArray[np.float64]:
        calls.append(1)
        return np.arange(features.table.rows) * float(len(calls))

    monkeypatch.setattr(probes, "PROBES", dict(probes.PROBES))
    probes.register(Rule("unstable", "changes its mind", unstable))
    with pytest.raises(SelfTestFailed, match="unstable"):
        audit(plant("none", 40), permutations=3, seeds=1)


def test_every_probe_is_self_tested() -> None:
    report = audit(plant("sibling", 60), permutations=3, seeds=1)
    ran = {p.name for block in (report.strata, report.whole_file) for p in block[0].probes}
    assert set(report.self_test["probes"]) == ran
    assert {"pairs", "file-cues", "sibling-support", "combined", "combined-file"} <= ran
    assert all(probe.scope == "question" for probe in report.text_only.probes)
