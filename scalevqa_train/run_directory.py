"""A run's directory over several starts: whose it is, where it goes on, what its processes see."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import UsageError
from scalevqa_train.checkpoints import find_checkpoints, last_whole
from scalevqa_train.settings import Setting


def resume_settings(
    checkpoints: Path, wanted: bool, say: Callable[[str], None]
) -> tuple[list[Setting], int]:
    """Settings that go on from the newest whole checkpoint, and its step (0: from the start).

    What is left of a checkpoint that was not finished is removed, or the trainer would write its
    files among the old ones.
    """
    found = find_checkpoints(checkpoints)
    if found and not wanted:
        raise UsageError(f"{checkpoints} holds checkpoints: resume, or choose another --output")
    last = last_whole(checkpoints)
    step = last[0] if last else 0
    for later, broken in found.items():
        if later > step:
            say(f"the checkpoint of step {later} is incomplete: it is removed")
            shutil.rmtree(broken)
    if last is None:
        return [Setting("trainer.resume_mode", "disable", "a new run")], 0
    say(f"going on from step {step}")
    return [
        Setting("trainer.resume_mode", "resume_path", "resume"),
        Setting("trainer.resume_from_path", str(last[1]), "resume"),
    ], step


def _identity(about: Mapping[str, Any]) -> Any:
    """What must not change between two starts of one run."""
    files = about["data"]["files"]
    hashes = {name: file["sha256"] for name, file in files.items()}
    return about["kind"], about["model"], about["reward"], hashes


def check_same_run(output: Path, now: Mapping[str, Any]) -> None:
    """Raises UsageError if the directory holds a run of something else."""
    file = output / "run.json"
    if not file.is_file():
        return
    try:
        before = json.loads(file.read_text("utf-8"))
        same = _identity(before) == _identity(now)
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{file} is no record of a run: choose another --output") from None
    if not same:
        raise UsageError(
            f"{output} holds a run with another model, reward or data: choose another --output"
        )


def write_record(output: Path, now: Mapping[str, Any]) -> None:
    """Write run.json, in one step."""
    part = output / "run.json.part"
    part.write_text(json.dumps(now, indent=1) + "\n", "utf-8")
    part.replace(output / "run.json")


def environment(device: str, metrics: Path) -> dict[str, str]:
    """What the trainer's processes find in their environment."""
    values = {
        "VERL_FILE_LOGGER_PATH": str(metrics),
        "TENSORBOARD_DIR": str(metrics.parent.parent / "tensorboard"),
        "HYDRA_FULL_ERROR": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
    }
    if device == "cpu":
        # Threads that wait for each other on busy cores cost far more than they bring.
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // 2))
        values |= {
            "VERL_PLATFORM": "cpu",  # verl's switch; cpu/plugin.py registers what it names
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "OMP_NUM_THREADS": threads,
            "GLOO_SOCKET_IFNAME": "lo",
        }
    return values
