"""The options that `vllm/` and `vllm-serve/` share, as engine arguments and as flags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models.local.checkpoint import (
    checkpoint_identity,
    local_directory,
    read_template,
    whole_number,
)


@dataclass(frozen=True, slots=True)
class VLLMOptions:
    """One checkpoint and how vLLM is to run it. `source` is a directory or a hub id."""

    name: str
    source: str
    checkpoint: Mapping[str, Any]
    arguments: Mapping[str, Any]
    extra: Mapping[str, Any]
    max_images: int | None
    chat_template: str | None

    def identity(self) -> dict[str, Any]:
        """What of this may change a reply, as JSON values.

        How the model is spread over GPUs and how much memory it gets is left out: a run may be
        continued on another machine.
        """
        template = self.chat_template
        kept = ("dtype", "max_model_len", "mm_processor_kwargs")
        return {
            "engine": "vllm",
            **self.checkpoint,
            **{key: self.arguments[key] for key in kept if key in self.arguments},
            "chat_template": hashlib.sha256(template.encode()).hexdigest() if template else "own",
            "engine_args": dict(self.extra),
        }

    def engine_arguments(self) -> dict[str, Any]:
        """Keyword arguments for vLLM's `AsyncEngineArgs`."""
        return {"model": self.source, **self.arguments, **self.extra}

    def flags(self) -> list[str]:
        """The same as flags of vLLM's server."""
        flags = ["--model", self.source]
        for key, value in {**self.arguments, **self.extra}.items():
            flag = "--" + key.replace("_", "-")
            if value is True:
                flags.append(flag)
            elif value is False:
                flags.append("--no-" + flag[2:])
            elif isinstance(value, Mapping | list):
                flags += [flag, json.dumps(value)]
            else:
                flags += [flag, str(value)]
        return flags


def read_options(
    name: str,
    *,
    dtype: str,
    tensor_parallel_size: int | str,
    data_parallel_size: int | str,
    max_model_len: int | str | None,
    limit_mm_per_prompt: int | str | Mapping[str, int] | None,
    enforce_eager: bool,
    gpu_memory_utilization: float | None,
    min_pixels: int | str | None,
    max_pixels: int | str | None,
    chat_template: str | None,
    revision: str | None,
    trust_remote_code: bool,
    engine_args: Mapping[str, Any] | str | None,
) -> VLLMOptions:
    """Check everything that can be checked without vLLM. Raises UsageError."""
    images = _image_limit(limit_mm_per_prompt)
    pixels = {
        "min_pixels": whole_number("min_pixels", min_pixels),
        "max_pixels": whole_number("max_pixels", max_pixels),
    }
    given = {
        "dtype": dtype,
        "tensor_parallel_size": whole_number("tensor_parallel_size", tensor_parallel_size),
        "data_parallel_size": whole_number("data_parallel_size", data_parallel_size),
        "max_model_len": whole_number("max_model_len", max_model_len),
        "limit_mm_per_prompt": None if images is None else {"image": images},
        "gpu_memory_utilization": gpu_memory_utilization,
        "mm_processor_kwargs": {key: value for key, value in pixels.items() if value} or None,
        "enforce_eager": enforce_eager or None,
        "trust_remote_code": trust_remote_code or None,
        # Questions about one image set share everything before their text.
        "enable_prefix_caching": True,
    }
    checkpoint = checkpoint_identity(name, revision)
    if "revision" in checkpoint:
        given["revision"] = checkpoint["revision"]
    return VLLMOptions(
        name=name,
        source=str(local_directory(name) or name),
        checkpoint=checkpoint,
        arguments={key: value for key, value in given.items() if value is not None},
        extra=_extra(engine_args),
        max_images=images,
        chat_template=read_template(chat_template),
    )


def _image_limit(limit: int | str | Mapping[str, int] | None) -> int | None:
    if isinstance(limit, str) and limit.lstrip().startswith("{"):
        limit = _mapping("limit_mm_per_prompt", limit)
    if isinstance(limit, Mapping):
        if set(limit) != {"image"}:
            raise UsageError('limit_mm_per_prompt is a number of images, or {"image": 5}')
        limit = limit["image"]
    return whole_number("limit_mm_per_prompt", limit, least=0)


def _extra(arguments: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
    found = _mapping("engine_args", arguments) if arguments else {}
    for key in found:
        if not str(key).isidentifier():
            raise UsageError(f"engine_args: {key!r} is no argument of vLLM's engine")
    return found


def _mapping(option: str, value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise UsageError(f"{option} is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise UsageError(f'{option} is a JSON object, such as {{"max_num_seqs": 64}}')
    return value


def write_template(options: VLLMOptions, directory: Path) -> list[str]:
    """Flags that hand the user's chat template to a server, through a file in `directory`."""
    if options.chat_template is None:
        return []
    file = directory / "chat_template.jinja"
    file.write_text(options.chat_template, "utf-8")
    return ["--chat-template", str(file)]
