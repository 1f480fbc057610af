"""The server that users of the package may import, as docs/models.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs" / "models.md"


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (example,) = re.findall(r"(?s)```python\n([^`]*testing import[^`]*)```", DOCS.read_text())
    names: dict[str, object] = {}
    exec(example, names)
    run = names["run"]
    assert run.summary["n"] == 10
    assert run.summary["outcomes"]["refused"] == 1
    assert len(names["server"].seen) == 11
