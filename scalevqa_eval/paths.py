"""Finds `benchmarks/` and `leaderboards/`, in an installed wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_directory(name: str) -> Path:
    """The directory `name` ("benchmarks" or "leaderboards") that belongs to this package."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def cache_directory() -> Path:
    """Where generated benchmarks and replies are cached; `SCALEVQA_CACHE` overrides it."""
    import os

    override = os.environ.get("SCALEVQA_CACHE")
    if override:
        return Path(override).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "scalevqa"
