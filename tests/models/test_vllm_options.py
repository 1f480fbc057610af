"""What vLLM's server is told, what identifies it, and what is read from its log."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from test_checkpoint import weights

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.models.local import vllm, vllm_server


@pytest.fixture(autouse=True)
def _vllm_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "find_spec", lambda name: name)


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text('{"vision_config": {}}')
    weights(tmp_path / "model.safetensors")
    return str(tmp_path)


def command(model: str, **options: Any) -> list[str]:
    return vllm.load(model, **options).server.command


@pytest.mark.parametrize("limit", [5, "5", {"image": 5}])
def test_image_limit_in_all_its_spellings(model: str, limit: Any) -> None:
    found = vllm.load(model, limit_mm_per_prompt=limit)
    assert found.capabilities.max_images == 5
    assert '--limit-mm-per-prompt={"image": 5}' in found.server.command


@pytest.mark.parametrize("limit", [{"video": 1}, "five", -1, [5]])
def test_wrong_image_limits(model: str, limit: Any) -> None:
    with pytest.raises(UsageError, match="limit_mm_per_prompt"):
        vllm.load(model, limit_mm_per_prompt=limit)


def test_options_become_flags_and_ours_come_last(model: str) -> None:
    found = command(
        model, tensor_parallel_size=2, enforce_eager=True, max_pixels="50176", host="0.0.0.0",
        engine_args={"max_num_seqs": 8, "enable_chunked_prefill": False, "quantization": None},
    )  # fmt: skip
    for flag in (
        "--tensor-parallel-size=2", "--enforce-eager", "--max-num-seqs=8",
        "--no-enable-chunked-prefill", '--mm-processor-kwargs={"max_pixels": 50176}',
        f"--model={model}", "--generation-config=vllm",
    ):  # fmt: skip
        assert flag in found
    assert not any("quantization" in flag or "revision" in flag for flag in found)
    assert found.index("--host=127.0.0.1") > found.index("--host=0.0.0.0")


def test_identity_holds_what_changes_replies_alone(model: str, tmp_path: Path) -> None:
    plain = vllm.load(model).identity
    placed = {"tensor_parallel_size": 4, "gpu_memory_utilization": 0.5, "nnodes": 2, "port": None}
    assert vllm.load(model, **placed).identity == plain
    template = tmp_path / "own.jinja"
    template.write_text("{{ messages }}")
    plain = vllm.load(model).identity
    for change in (
        {"dtype": "float32"},
        {"max_pixels": 50176},
        {"chat_template": str(template)},
        {"engine_args": {"quantization": "fp8"}},
    ):
        assert vllm.load(model, **change).identity != plain


@pytest.mark.parametrize("arguments", ["{", [1], {"a b": 1}, {"--host": "0.0.0.0"}])
def test_wrong_engine_arguments(model: str, arguments: Any) -> None:
    with pytest.raises(UsageError, match="engine_args"):
        vllm.load(model, engine_args=arguments)


def test_a_language_model_is_shown_no_images(model: str) -> None:
    (Path(model) / "config.json").write_text('{"model_type": "qwen2"}')
    assert vllm.load(model).capabilities.max_images == 0


def test_a_port_in_use_is_refused() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(UsageError, match="is not free"):
        vllm_server.free_port(taken.getsockname()[1])
    assert 0 < vllm_server.free_port() < 65536
    with pytest.raises(UsageError, match="is not free"):
        vllm_server.free_port(99999)


def test_the_name_of_before_says_the_new_one() -> None:
    with pytest.raises(UsageError, match="vllm-serve/ is vllm/ now"):
        load_model("vllm-serve/some/model", dtype="auto")


LOG = """\
(APIServer pid=12) INFO 11-21 18:00:00 [utils.py:1] vLLM
(EngineCore pid=34) ERROR 11-21 18:00:01 [core.py:9] EngineCore failed to start.
(EngineCore pid=34) ERROR 11-21 18:00:01 [core.py:9] Traceback (most recent call last):
(EngineCore pid=34) ERROR 11-21 18:00:01 [core.py:9]   File "x.py", line 1, in load
(EngineCore pid=34) ERROR 11-21 18:00:01 [core.py:9] ValueError: The repository holds custom code.
(EngineCore pid=34) ERROR 11-21 18:00:01 [core.py:9] Please pass the argument trust_remote_code=True.
(APIServer pid=12) Traceback (most recent call last):
(APIServer pid=12) RuntimeError: Engine core initialization failed. See root cause above.
"""  # noqa: E501


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            LOG,
            "ValueError: The repository holds custom code.\n"
            "  Please pass the argument trust_remote_code=True.",
        ),
        (
            "usage: x\napi_server.py: error: no such --y, see --help\n",
            "api_server.py: error: no such --y, see --help",
        ),
        ("one\ntwo\n", "the end of its log:\n  one\n  two"),
        ("\n", "its log is empty"),
    ],
)
def test_the_reason_in_a_log_is_the_first_error_with_its_hint(log: str, said: str) -> None:
    assert vllm_server.reason_in(log) == said
