"""Build hook: writes the git revision into the wheel, so that a run's manifest can name it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the output of `git describe` into `scalevqa_eval/_data/revision.txt`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not (Path(self.root) / ".git").exists():
            return
        command = ["git", "-C", self.root, "describe", "--always", "--dirty", "--abbrev=12"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return
        self._place = tempfile.TemporaryDirectory()
        file = Path(self._place.name) / "revision.txt"
        file.write_text(done.stdout.strip() + "\n", encoding="utf-8")
        build_data["force_include"][str(file)] = "scalevqa_eval/_data/revision.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_place"):
            self._place.cleanup()
