"""Checkpoints are recognised, identified and found damaged before an engine starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models.local.checkpoint import (
    Checkpoint,
    check_weights,
    fingerprint,
    local_directory,
    said,
    whole_number,
)


def weights(path: Path, payload: bytes = b"\1" * 64) -> None:
    """A safetensors file of one tensor."""
    entry = {"dtype": "U8", "shape": [len(payload)], "data_offsets": [0, len(payload)]}
    header = json.dumps({"w": entry, "__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + payload)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    weights(directory / "model.safetensors")
    return directory


def test_identity_is_the_content_wherever_it_lies(checkpoint: Path, tmp_path: Path) -> None:
    before = Checkpoint.find(str(checkpoint)).identity
    moved = checkpoint.rename(tmp_path / "elsewhere")
    assert Checkpoint.find(str(moved)).identity == before
    (moved / "README.md").write_text("notes are no part of a model")
    assert Checkpoint.find(str(moved)).identity == before


@pytest.mark.parametrize(
    "name",
    [
        "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "modeling_own.py",
        "additional_chat_templates/rag.jinja", "vision-lora/adapter_config.json",
    ],
)  # fmt: skip
def test_every_file_that_changes_prompts_is_part_of_it(checkpoint: Path, name: str) -> None:
    file = checkpoint / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("h e\n")
    before = Checkpoint.find(str(checkpoint)).identity
    file.write_text("h u\n")
    assert Checkpoint.find(str(checkpoint)).identity != before


def test_a_model_inside_a_model_is_another_one(checkpoint: Path) -> None:
    before = fingerprint(checkpoint)
    inner = checkpoint / "checkpoint-500"
    inner.mkdir()
    (inner / "config.json").write_text("{}")
    (inner / "merges.txt").write_text("h e")
    assert fingerprint(checkpoint) == before


def test_a_lora_is_its_base_and_itself(checkpoint: Path, tmp_path: Path) -> None:
    lora = tmp_path / "lora"
    lora.mkdir()
    settings = lora / "adapter_config.json"
    settings.write_text(json.dumps({"base_model_name_or_path": str(checkpoint), "r": 8}))
    found = Checkpoint.find(str(lora))
    assert (found.source, found.adapter) == (str(checkpoint), str(lora))
    assert found.identity.items() > Checkpoint.find(str(checkpoint)).identity.items()
    settings.write_text(json.dumps({"base_model_name_or_path": str(checkpoint), "r": 16}))
    assert Checkpoint.find(str(lora)).identity != found.identity
    settings.write_text("{}")
    with pytest.raises(UsageError, match="names no base model"):
        Checkpoint.find(str(lora))
    settings.write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "gone")}))
    with pytest.raises(UsageError, match=r"base model of the LoRA .*no model directory"):
        Checkpoint.find(str(lora))


def test_original_llava_says_what_to_do(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text(
        '{"model_type": "llava_mistral", "mm_vision_tower": "openai/clip-vit-large-patch14-336"}'
    )
    with pytest.raises(UsageError, match=r"original LLaVA layout.*convert"):
        Checkpoint.find(str(checkpoint))


@pytest.mark.parametrize(("text", "sees"), [('{"vision_config": {}}', True), ("{}", False)])
def test_a_configuration_tells_whether_images_are_seen(
    checkpoint: Path, text: str, sees: bool
) -> None:
    (checkpoint / "config.json").write_text(text)
    assert Checkpoint.find(str(checkpoint)).shows_images is sees


def test_hints_in_later_lines_are_kept() -> None:
    long = "first\n" + "middle\n" * 200 + "please pass trust_remote_code=True"
    assert said(ValueError(long)).startswith("first middle")
    assert said(ValueError(long)).endswith("please pass trust_remote_code=True")
    assert said(ValueError("\n")) == "ValueError"


def test_trained_weights_are_another_model(checkpoint: Path) -> None:
    before = fingerprint(checkpoint)
    weights(checkpoint / "model.safetensors", b"\2" * 64)
    assert fingerprint(checkpoint) != before


def test_large_files_are_compared_in_blocks(checkpoint: Path) -> None:
    payload = bytearray(20 * 1024 * 1024)
    weights(checkpoint / "model.safetensors", bytes(payload))
    before = fingerprint(checkpoint)
    payload[-1] = 1
    weights(checkpoint / "model.safetensors", bytes(payload))
    assert fingerprint(checkpoint) != before


def test_a_large_tokenizer_is_read_whole(checkpoint: Path) -> None:
    """Gemma 3's has 33 MB, Qwen's 11: one merge in its middle changes prompts."""
    text = bytearray(20 * 1024 * 1024)
    (checkpoint / "tokenizer.json").write_bytes(text)
    before = fingerprint(checkpoint)
    text[1_000_000] = 1
    (checkpoint / "tokenizer.json").write_bytes(text)
    assert fingerprint(checkpoint) != before


@pytest.mark.parametrize("cut", [0, 4, 8, 20, -1])
def test_truncated_weights_are_found(checkpoint: Path, cut: int) -> None:
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        check_weights(checkpoint)


def test_weights_that_the_index_names_must_be_there(checkpoint: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"lacks model-00002\.safetensors"):
        check_weights(checkpoint)


def test_a_directory_without_weights_is_no_model(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights"):
        check_weights(checkpoint)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "a/b/c"])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match="no model directory"):
        local_directory(name)


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither config\.json nor"):
        local_directory(str(tmp_path))


def test_hub_ids_are_left_alone() -> None:
    assert local_directory("Qwen/Qwen3-VL-8B-Instruct") is None


def test_numbers_come_as_text_too() -> None:
    assert whole_number("x", "12") == 12
    assert whole_number("x", None) is None
    for wrong in ("twelve", "0", "-3", 0, True):
        with pytest.raises(UsageError, match="x is a whole number"):
            whole_number("x", wrong)
