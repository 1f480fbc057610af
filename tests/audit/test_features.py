"""Features of all questions at once are those of each question on its own, worked out by hand."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
from planted import plant
from planting import question

from scalevqa_eval.audit.features import Features
from scalevqa_eval.audit.table import make_table
from scalevqa_eval.types import View

ALIKE = (View("single", "slide/one.png"),)
SMALL = (
    question(0, ("a b c", "a b d", "e"), text="a e ?", views=ALIKE),
    question(1, ("a b x", "y"), text="b?", views=ALIKE),
    question(2, ("a", "z z", "")),
)


def rows_of(features: Features) -> dict[str, int]:
    return {text: row for row, text in enumerate(features.table.texts)}


def test_small_questions_by_hand() -> None:
    features = Features(make_table(SMALL))
    row = rows_of(features)
    column = {name: features.structure.column(name) for name in features.structure.names}
    assert column["word mean"][row["a b c"]] == pytest.approx((2 / 4 + 0) / 2)
    assert column["word mean"][row["e"]] == 0
    assert column["word medoid"][row["a b d"]] == 0.5
    assert column["beginning shared"][row["a b c"]] == pytest.approx((2 + 0) / 2 / 3)
    assert column["question overlap"][row["a b c"]] == pytest.approx(1 / 3)
    assert column["question overlap of own"][row["e"]] == 1
    assert column["word lacks 1"][row["e"]] == pytest.approx(math.log1p(2))  # a, b
    assert column["length rank"][row["z z"]] == 0
    common = features.frequency["frequency of words mean"]
    assert common[row["a b c"]] == pytest.approx((math.log(3) + math.log(2)) / 3)  # a 3, b 2, c 1
    assert features.support[row["a b c"]] == pytest.approx((1 + 1 + 0) / 3)  # a, b of a b x
    assert features.support[row["z z"]] == 0
    lacked = features.siblings[:, 36]  # what all other options have, and other questions too
    assert lacked[row["e"]] == 1  # a, b
    assert lacked[row["y"]] == pytest.approx(2 / 3)  # a, b, but not x


def test_the_size_of_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table(plant("medoid", 40, options=(2, 3, 7, 26)).questions)
    whole = Features(table)
    values, frequency = whole.structure.values, whole.frequency
    monkeypatch.setattr(import_module("scalevqa_eval.audit.features.structure"), "_BLOCK", 1)
    again = Features(table)
    np.testing.assert_array_equal(again.structure.values, values)
    for name, column in again.frequency.items():
        np.testing.assert_array_equal(column, frequency[name])
