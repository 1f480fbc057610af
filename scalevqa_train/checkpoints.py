"""Checkpoints of a run: which are whole, and which one a run goes on from.

verl writes a checkpoint file by file into `global_step_N` and then names N in a text file. A
process that is killed, or a disk that fills up, can leave part of a checkpoint, or an empty text
file. So nothing is taken on trust: a checkpoint counts if all its files are there and each is
complete to its last byte.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

TRACKER = "latest_checkpointed_iteration.txt"

_STEP = re.compile(r"global_step_(\d+)\Z")
_SHARD = re.compile(r"(model|optim|extra_state)_world_size_(\d+)_rank_(\d+)\.pt\Z")
_KINDS = ("model", "optim", "extra_state")


def find_checkpoints(directory: Path) -> dict[int, Path]:
    """Step → directory of everything that calls itself a checkpoint, oldest first."""
    found = {}
    if directory.is_dir():
        for path in directory.iterdir():
            if path.is_dir() and (match := _STEP.match(path.name)):
                found[int(match[1])] = path
    return dict(sorted(found.items()))


def last_whole(directory: Path) -> tuple[int, Path] | None:
    """The newest checkpoint that is whole, with its step."""
    for step, path in reversed(find_checkpoints(directory).items()):
        if not list(defects(path)):
            return step, path
    return None


def defects(checkpoint: Path) -> Iterator[str]:
    """What is missing from a checkpoint of the GRPO or of the SFT trainer, or is cut off."""
    actor = checkpoint / "actor"
    shards = actor if actor.is_dir() else checkpoint
    if not (checkpoint / "data.pt").is_file() and not list(checkpoint.glob("data*.pt")):
        yield "no data.pt (the place in the data)"
    seen: dict[str, set[int]] = {kind: set() for kind in _KINDS}
    ranks = 0
    for file in sorted(shards.glob("*.pt")):
        if match := _SHARD.match(file.name):
            seen[match[1]].add(int(match[3]))
            ranks = max(ranks, int(match[2]))
    if not ranks:
        yield f"no weights in {shards}"
    for kind, there in seen.items():
        for rank in sorted(set(range(ranks)) - there):
            yield f"no {kind} of rank {rank}"
    for file in sorted(checkpoint.rglob("*.pt")):
        if not _is_whole(file):
            yield f"{file.name} is cut off"


def _is_whole(file: Path) -> bool:
    """torch saves a zip archive; its directory is the last thing written."""
    try:
        with zipfile.ZipFile(file) as archive:
            return bool(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
