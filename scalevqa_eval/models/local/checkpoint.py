"""A model's files on disk or its name on the hub: checked, identified, before any engine starts."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, UsageError

_BLOCK = 64 * 1024
_STRIDE = 8 * 1024 * 1024  # one block is read every so many bytes of a large file
_SKIPPED = frozenset({".md", ".txt", ".png", ".jpg", ".gitattributes"})


def local_directory(name: str) -> Path | None:
    """The checkpoint directory that `name` is, or None for a hub id such as `Qwen/Qwen3-VL-8B`.

    Raises UsageError if `name` looks like a path and no model lies there.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"{path} holds no config.json, so it is no model's directory")
        return path
    looks_like_path = name.startswith((".", "/", "~", os.sep)) or name.count("/") != 1
    if path.exists() or looks_like_path:
        raise UsageError(
            f"no model directory {name}: give a checkpoint's directory or a hub id (owner/name)"
        )
    return None


def check_weights(directory: Path) -> None:
    """Find missing and truncated weight files by their headers, without reading the weights.

    Raises UsageError that names the file.
    """
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{index} is no index of weight files: {error}") from error
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(f"{directory} lacks {missing[0]}{more}, which its index names")
    files = sorted(directory.glob("*.safetensors"))
    if not files and not any(directory.glob("*.bin")):
        raise UsageError(f"{directory} holds no weights (*.safetensors)")
    for file in files:
        _check_safetensors(file)


def _check_safetensors(file: Path) -> None:
    """The format: 8 bytes length (little-endian), a JSON header of that length, the tensors."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= size - 8:
            raise UsageError(f"{file} is no safetensors file or was cut off ({size} bytes)")
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise UsageError(f"{file} has no readable safetensors header") from error
    needed = 8 + length + max(ends, default=0)
    if size != needed:
        raise UsageError(f"{file} has {size} bytes instead of {needed}: it was cut off or damaged")


def fingerprint(directory: Path) -> str:
    """sha256 over the files' names, sizes and evenly spaced blocks of their content.

    Not every byte is read (a 7B model has 16 GB), but training or merging changes every block of
    a weight file, and the small files, which decide about prompts, are read whole.
    """
    digest = hashlib.sha256()
    for file in sorted(directory.iterdir()):
        if not file.is_file() or file.suffix in _SKIPPED or file.name.startswith("."):
            continue
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= _STRIDE:
                digest.update(stream.read())
                continue
            for offset in [*range(0, size - _BLOCK, _STRIDE), size - _BLOCK]:
                stream.seek(offset)
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def checkpoint_identity(name: str, revision: str | None = None) -> dict[str, Any]:
    """What of the checkpoint goes into a model's identity.

    A local checkpoint is identified by its content, wherever it lies; one of the hub by its
    commit. Raises UsageError if it is not to be had or is damaged.
    """
    directory = local_directory(name)
    if directory is not None:
        check_weights(directory)
        return {"checkpoint": fingerprint(directory)}
    return {"checkpoint": name, "revision": _commit(name, revision)}


def _commit(name: str, revision: str | None) -> str:
    """The commit that `revision` (a branch, a tag, None for main) of a hub model stands for."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise MissingExtra("a model from the hub", "hub") from None
    try:
        return Path(hf_hub_download(name, "config.json", revision=revision)).parent.name
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{name} is no directory here and was not found on the hub: {reason}"
        ) from error


def whole_number(option: str, value: int | str | None, least: int = 1) -> int | None:
    """An option's value as an integer of at least `least`; None stays None.

    Raises UsageError. Command lines give text, notebooks give numbers; both are right.
    """
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise UsageError(f"{option} is a whole number of {least} or more, not {value!r}")
    return number


def read_template(path: str | None) -> str | None:
    """The text of a user's chat template file (Jinja), or None. Raises UsageError."""
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"chat_template: cannot read {path}: {error}") from error
