"""What vLLM is told, as arguments and as flags."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from test_checkpoint import weights

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models.local.vllm_options import VLLMOptions, read_options
from scalevqa_eval.models.local.vllm_serve import free_port


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}")
    weights(tmp_path / "model.safetensors")
    return str(tmp_path)


def options(model: str, **changes: Any) -> VLLMOptions:
    given: dict[str, Any] = {
        "dtype": "auto", "tensor_parallel_size": 1, "data_parallel_size": 1,
        "max_model_len": None, "limit_mm_per_prompt": None, "enforce_eager": False,
        "gpu_memory_utilization": None, "min_pixels": None, "max_pixels": None,
        "chat_template": None, "revision": None, "trust_remote_code": False,
        "engine_args": None,
    }  # fmt: skip
    return read_options(model, **{**given, **changes})


@pytest.mark.parametrize("limit", [5, "5", {"image": 5}, '{"image": 5}'])
def test_image_limit_in_all_its_spellings(model: str, limit: Any) -> None:
    found = options(model, limit_mm_per_prompt=limit)
    assert found.max_images == 5
    assert found.engine_arguments()["limit_mm_per_prompt"] == {"image": 5}
    assert '{"image": 5}' in found.flags()


@pytest.mark.parametrize("limit", ["{", {"video": 1}, "five", -1, '"image"'])
def test_wrong_image_limits(model: str, limit: Any) -> None:
    with pytest.raises(UsageError, match="limit_mm_per_prompt"):
        options(model, limit_mm_per_prompt=limit)


def test_flags_say_what_the_arguments_say(model: str) -> None:
    found = options(
        model, tensor_parallel_size="2", enforce_eager=True, max_pixels=50176,
        engine_args='{"max_num_seqs": 8, "enable_chunked_prefill": false}',
    )  # fmt: skip
    flags = found.flags()
    assert flags[:2] == ["--model", model]
    for pair in (["--tensor-parallel-size", "2"], ["--max-num-seqs", "8"]):
        assert pair == flags[flags.index(pair[0]) :][:2]
    assert "--enforce-eager" in flags
    assert "--no-enable-chunked-prefill" in flags
    assert "--enable-prefix-caching" in flags
    assert found.engine_arguments()["mm_processor_kwargs"] == {"max_pixels": 50176}


def test_identity_holds_what_changes_replies_alone(model: str, tmp_path: Path) -> None:
    plain = options(model).identity()
    assert options(model, tensor_parallel_size=4, gpu_memory_utilization=0.5).identity() == plain
    template = tmp_path / "own.jinja"
    template.write_text("{{ messages }}")
    for change in (
        {"dtype": "float32"},
        {"max_pixels": 50176},
        {"chat_template": str(template)},
        {"engine_args": {"quantization": "fp8"}},
    ):
        assert options(model, **change).identity() != plain


@pytest.mark.parametrize("arguments", ["[]", "{", '{"a b": 1}', '{"--host": "0.0.0.0"}'])
def test_wrong_engine_arguments(model: str, arguments: str) -> None:
    with pytest.raises(UsageError, match="engine_args"):
        options(model, engine_args=arguments)


def test_a_port_in_use_is_refused() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(UsageError, match="is not free"):
        free_port(taken.getsockname()[1])
    assert 0 < free_port() < 65536
    with pytest.raises(UsageError, match="is not free"):
        free_port(99999)
