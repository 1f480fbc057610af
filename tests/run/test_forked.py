"""A process that was forked after an evaluation can evaluate as well."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path

import pytest
from small import always, benchmark

from scalevqa_eval import evaluate


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_evaluate_in_a_forked_child(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    assert evaluate(always("A"), questions, output=tmp_path / "parent").complete
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of any fork beside a thread
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        done = evaluate(always("A"), questions, output=tmp_path / "child")
        os._exit(0 if done.complete else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
