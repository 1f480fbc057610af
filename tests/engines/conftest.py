"""Tests against the real engines. They run in the environment that scripts/setup-engines makes.

Elsewhere they are skipped, unless SCALEVQA_REQUIRE_ENGINES is set: then missing engines fail.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from engine_prompts import ask_all, close, image_set_prompts

from scalevqa_eval.models import Model, load_model
from scalevqa_eval.types import Reply

HERE = Path(__file__).parent
ENGINES = ("torch", "transformers", "vllm", "ray")
# Small, quiet, offline; read by the engines when they are first imported.
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
# How tiny checkpoints are run by vLLM here.
TINY: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 2048,
    "limit_mm_per_prompt": 3,
    "engine_args": {"max_num_seqs": 8},
}


def _missing() -> str:
    missing = [name for name in ENGINES if find_spec(name) is None]
    if not missing:
        return ""
    return f"{', '.join(missing)}: needs the engines environment, run scripts/setup-engines"


def pytest_sessionstart() -> None:
    # What engines leave for the garbage collector is looked at after the last test, where no
    # test's own filters hold, and pytest would end with a failure that belongs to none.
    if not _missing():
        for kind in (ResourceWarning, pytest.PytestUnraisableExceptionWarning):
            warnings.filterwarnings("default", category=kind)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What the engines and what they import warn about is not ours to mend.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = _missing()
    if reason and os.environ.get("SCALEVQA_REQUIRE_ENGINES"):
        pytest.fail(f"engines are required and missing: {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _engine_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set for the whole session: engines read some of these once, at their first import."""
    caches = tmp_path_factory.mktemp("engine-caches")
    patch = pytest.MonkeyPatch()
    for name, value in SETTINGS.items():
        patch.setenv(name, value)
    patch.setenv("VLLM_CACHE_ROOT", str(caches / "vllm"))
    patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(caches / "inductor"))
    # Processes that the engines start must find this checkout too.
    patch.setenv("PYTHONPATH", str(HERE.parent.parent))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`checkpoints("qwen25_vl")`: the directory of a tiny model, built at the first call."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(kind: str) -> str:
        directory = root / kind
        if not directory.exists():
            getattr(tiny_models, kind)(directory)
        return str(directory)

    return get


@pytest.fixture(scope="session")
def qwen(checkpoints: Callable[[str], str]) -> str:
    return checkpoints("qwen25_vl")


@pytest.fixture
def opened() -> Iterator[Callable[..., Any]]:
    """`load_model`, whose models are closed at the end of the test."""
    models: list[Model] = []

    def load(name: str, **options: Any) -> Any:
        models.append(load_model(name, **options))
        return models[-1]

    yield load
    for model in models:
        close(model)
    gc.collect()


@pytest.fixture(scope="session")
def reference(qwen: str) -> tuple[Sequence[Reply], Sequence[Reply]]:
    """40 greedy replies of hf/ (8 image sets of 5 questions), and letters' log-probabilities."""
    model = load_model(f"hf/{qwen}")
    try:
        return (
            ask_all(model, image_set_prompts(8)),
            ask_all(model, image_set_prompts(8, logprobs=True)),
        )
    finally:
        close(model)
