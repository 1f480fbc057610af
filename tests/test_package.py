"""What the package promises to whoever imports it: its names, and that they come cheap."""

from __future__ import annotations

import subprocess
import sys

import scalevqa_eval

NAMES = [
    "Benchmark", "Evaluation", "Extraction", "Model", "Outcome", "Prompt", "Question", "Record",
    "Reply", "Run", "ScaleVQAError", "View", "evaluate", "extract_answer",
    "load_benchmark", "load_model", "open_run",
]  # fmt: skip


def test_public_names() -> None:
    """A name that is added or taken away here is a change to every user's code."""
    assert scalevqa_eval.__all__ == NAMES
    assert all(hasattr(scalevqa_eval, name) for name in NAMES)
    assert set(NAMES) <= set(dir(scalevqa_eval))


def test_imports_stay_light() -> None:
    code = (
        "import sys, scalevqa_eval, scalevqa_eval.cli\n"
        "heavy = ('numpy', 'rich', 'pydantic', 'yaml', 'aiohttp', 'scalevqa_eval.cli.run')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
