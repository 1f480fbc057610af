"""A trainer's process is watched, explained and never left behind. A small script stands for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from scalevqa_eval.errors import RunLocked
from scalevqa_train.launch import TrainingFailed, locked, run_trainer
from scalevqa_train.progress import Step


def start(run: Path, script: str) -> list[int]:
    """Run a script as the trainer; the numbers of the steps that were heard of."""
    heard: list[Step] = []
    metrics = run / "metrics.jsonl"
    with locked(run) as lock:
        run_trainer(
            ["-c", textwrap.dedent(script)],
            {"METRICS": str(metrics)},
            run,
            metrics,
            lock,
            heard.append,
        )
    return [step.step for step in heard]


def test_steps_are_heard_of_while_it_runs_and_at_its_end(tmp_path: Path) -> None:
    script = """
        import json, os
        with open(os.environ["METRICS"], "w") as file:
            for step in range(3):
                print(json.dumps({"step": step, "data": {"critic/score/mean": 0.5}}), file=file)
            print("no line of numbers", file=file)
        print("said")
    """
    assert start(tmp_path, script) == [0, 1, 2]
    assert start(tmp_path, script) == [0, 1, 2]
    assert (tmp_path / "train.log").read_text() == "said\nsaid\n"


def test_the_reason_of_a_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="the disk is full"):
        start(tmp_path, "raise OSError(28, 'No space left on device')")
    with pytest.raises(TrainingFailed, match="ValueError: too long"):
        start(tmp_path, "raise ValueError('too long')")
    with pytest.raises(TrainingFailed, match="SIGKILL"):
        start(tmp_path, "import os; os.kill(os.getpid(), 9)")


@pytest.mark.skipif(sys.platform != "linux", reason="children are told of a kill on Linux only")
def test_a_kill_of_the_command_ends_the_trainer_and_then_frees_the_run(tmp_path: Path) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    parent = f"""
        from pathlib import Path
        from scalevqa_train.launch import locked, run_trainer
        run = Path({str(tmp_path)!r})
        with locked(run) as lock:
            run_trainer(["-c", {child!r}], {{}}, run, run / "none", lock, print)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)]) as process:
        log = tmp_path / "train.log"
        while not (log.is_file() and log.read_text().strip()):
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(RunLocked), locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
    trainer = int(log.read_text())
    while _lives(trainer):
        time.sleep(0.05)
    with locked(tmp_path):
        pass


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_an_interrupt_ends_the_trainer(tmp_path: Path) -> None:
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    timer.join()
    assert not _lives(int((tmp_path / "train.log").read_text()))
