"""What verl calls when it is imported. It registers a platform and changes nothing else."""

from __future__ import annotations

import os

PLATFORM = "cpu"
# verl's own switch; without it verl chooses among the accelerators that it finds.
SWITCH = "VERL_PLATFORM"


def register() -> None:
    """Make `VERL_PLATFORM=cpu` known to verl. Costs nothing where another platform is used."""
    if os.environ.get(SWITCH, "").strip().lower() != PLATFORM:
        return
    from scalevqa_train.cpu.platform import register_platform

    register_platform()


register()
