"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The fixture `server`: a loopback server that speaks the providers' wire formats.
pytest_plugins = ["loopback"]

# A busy machine is no failure: examples have no deadline.
settings.register_profile("scalevqa", deadline=None)
settings.load_profile("scalevqa")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache. Drawn benchmarks are shared, replies are not."""
    base = tmp_path_factory.getbasetemp() / "scalevqa-cache"
    for file in base.glob("replies.sqlite*"):
        file.unlink()
    monkeypatch.setenv("SCALEVQA_CACHE", str(base))


@pytest.fixture
def shared_data() -> Path:
    """The directory of real data; the test is skipped, or fails on CI, where it is missing."""
    path = Path(os.environ.get("SCALEVQA_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        reason = f"real data is missing: no directory {path} (set SCALEVQA_SHARED_DATA)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
