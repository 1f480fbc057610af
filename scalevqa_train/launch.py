"""Starts a trainer of verl as a process of its own, watches it, and says why it ended."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from scalevqa_eval.errors import RunLocked, ScaleVQAError
from scalevqa_train.progress import Step, parse_line

LOG = "train.log"
_POLL = 0.5
_TAIL = 200_000

# What a trainer's last words mean: (pattern, a line for a person).
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Disk quota exceeded|errno 28\b",
        "the disk is full. Free some space and give the same command again: it goes on from the"
        " last whole checkpoint",
    ),
    (
        r"CUDA out of memory|OutOfMemoryError: CUDA",
        "the GPU's memory does not suffice: lower the micro batch sizes (…micro_batch_size_per_gpu)"
        " or actor_rollout_ref.rollout.gpu_memory_utilization",
    ),
    (
        r"ray\.exceptions\.OutOfMemoryError|was killed due to the node running low on memory",
        "the machine's memory does not suffice: Ray ended a worker",
    ),
    (
        r"Failed to start (?:the )?(?:dashboard|GCS|raylet)|Failed to connect to GCS"
        r"|The current node timed out during startup|node has died|AF_UNIX path",
        "Ray could not be started",
    ),
    (
        r"No available node types can fulfill|Total available GPUs \S+ is less than",
        "the Ray cluster has fewer GPUs than --nodes and --gpus-per-node say",
    ),
)
_LAST_ERROR = re.compile(r"^(?:\(\S+ pid=\d+\) )?((?:[\w.]+\.)?\w*(?:Error|Exception|Exit)): (.*)$")


class TrainingFailed(ScaleVQAError):
    """The trainer ended before its last step; the message says why and where its log is."""


@contextmanager
def locked(run: Path) -> Iterator[int]:
    """Hold a run's directory. Yields the descriptor, which the trainer inherits.

    So the lock lasts as long as any of the two lives. Raises RunLocked.
    """
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunLocked(f"another process trains in {run}: wait for it or end it") from None
        yield descriptor
    finally:
        os.close(descriptor)


def run_trainer(
    command: Sequence[str],
    environment: Mapping[str, str],
    run: Path,
    metrics: Path,
    lock: int,
    on_step: Callable[[Step], None],
) -> None:
    """Run `python -m …` to its end; its output goes to train.log, its steps to `on_step`.

    Raises TrainingFailed if it fails. A signal to this process ends the trainer too.
    """
    log = run / LOG
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and arguments)
            [sys.executable, *command],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=_end_with_parent,
        )
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        _watch(process, metrics, on_step)
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(process)
    if process.returncode != 0:
        raise TrainingFailed(explain(log, start, process.returncode))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """In the child: be told to end if the parent is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _watch(
    process: subprocess.Popen[bytes], metrics: Path, on_step: Callable[[Step], None]
) -> None:
    with _Tail(metrics) as tail:
        while process.poll() is None:
            for line in tail.lines():
                if (step := parse_line(line)) is not None:
                    on_step(step)
            time.sleep(_POLL)
        for line in tail.lines():
            if (step := parse_line(line)) is not None:
                on_step(step)


class _Tail:
    """Whole lines of a file that grows, and that may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._rest = ""

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def lines(self) -> list[str]:
        if self._file is None:
            if not self._path.is_file():
                return []
            self._file = self._path.open(encoding="utf-8", errors="replace")
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        return lines


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the trainer's processes to end, then make them."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def explain(log: Path, start: int, code: int) -> str:
    """One line for a person: why the trainer ended, from what it wrote since `start`."""
    with log.open("rb") as stream:
        stream.seek(max(start, log.stat().st_size - _TAIL))
        text = stream.read().decode("utf-8", "replace")
    for pattern, meaning in _CAUSES:
        if found := re.search(pattern, text):
            detail = "" if "Ray" not in meaning else f" ({_line_of(text, found.start())})"
            return f"{meaning}{detail}. Everything it said: {log}"
    errors = [m for line in text.splitlines() if (m := _LAST_ERROR.match(line.strip()))]
    causes = [m for m in errors if "RayTaskError" not in m[1] and "ActorDiedError" not in m[1]]
    if chosen := (causes or errors)[-1:]:
        said = f"{chosen[0][1].rpartition('.')[2]}: {chosen[0][2][:300]}"
        return f"the trainer failed with {said}. Everything it said: {log}"
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"the trainer ended with {how}. Everything it said: {log}"


def _line_of(text: str, position: int) -> str:
    start, end = text.rfind("\n", 0, position) + 1, text.find("\n", position)
    return text[start : end if end >= 0 else None].strip()[:200]
