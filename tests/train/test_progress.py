"""verl's numbers → steps, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_train.curve import moving_average, validation_points
from scalevqa_train.progress import describe, parse_line, read_steps, time_left


def write(run: Path, name: str, *entries: tuple[int, dict[str, Any]], torn: str = "") -> None:
    (run / "metrics").mkdir(exist_ok=True)
    text = "".join(json.dumps({"step": step, "data": data}) + "\n" for step, data in entries)
    (run / "metrics" / f"{name}.jsonl").write_text(text + torn)


def reward(value: float) -> dict[str, float]:
    return {"critic/score/mean": value, "timing_s/step": 2.0}


def test_a_later_start_replaces_the_steps_that_it_did_again(tmp_path: Path) -> None:
    first = [(step, reward(step / 10)) for step in range(1, 8)]
    write(tmp_path, "001", *first, torn='{"step": 8, "da')
    write(tmp_path, "002", *((step, reward(step)) for step in range(6, 10)))
    steps = read_steps(tmp_path)
    assert [step.step for step in steps] == list(range(1, 10))
    assert [step.values["critic/score/mean"] for step in steps][4:7] == [0.5, 6, 7]


def test_validation_by_dimension_is_told(tmp_path: Path) -> None:
    data = {
        "val-core/demo/Diagnosis/acc/mean@1": 0.5,
        "val-aux/demo/Diagnosis/format/mean@1": 1.0,
        "val-core/demo/Localization/acc/mean@1": 0.25,
        "val-aux/num_turns/mean": 2,
    }
    write(tmp_path, "001", (0, data), (1, {**reward(0.75), **data}))
    steps = read_steps(tmp_path)
    assert validation_points(steps, "acc") == {
        "Diagnosis": [(0, 0.5), (1, 0.5)],
        "Localization": [(0, 0.25), (1, 0.25)],
    }
    lines = list(describe(steps[1], 10, 61.0))
    assert "reward 0.750" in lines[0]
    assert "1/10" in lines[0]
    assert lines[1].endswith("validation accuracy: Diagnosis 0.500, Localization 0.250")
    assert "left 1 min" in lines[0]


def test_time_left_goes_by_the_last_steps() -> None:
    assert time_left([(3, 5.0)], 10) is None
    assert time_left([(1, 0.0), (2, 2.0), (3, 4.0)], 10) == pytest.approx(14)
    assert time_left([(step, 100 * (step < 5) + 2.0 * step) for step in range(20, 40)], 40) == 2


@given(st.text(max_size=40))
def test_what_is_no_line_is_passed_over(text: str) -> None:
    step = parse_line(text)
    assert step is None or step.values is not None


@given(st.lists(st.floats(-1, 1), max_size=20), st.integers(1, 5))
def test_moving_average_stays_within_the_values(values: list[float], window: int) -> None:
    line = list(enumerate(values))
    smooth = moving_average([(float(x), y) for x, y in line], window)
    assert len(smooth) == len(values)
    for _, y in smooth:
        assert min(values) - 1e-9 <= y <= max(values) + 1e-9
