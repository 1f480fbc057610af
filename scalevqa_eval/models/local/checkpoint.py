"""A model's files on disk or its name on the hub: checked, identified, before any engine starts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, UsageError

_BLOCK = 64 * 1024
_STRIDE = 8 * 1024 * 1024  # one block is read every so many bytes of a large weight file
_WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5", ".onnx"})
# Files that no engine reads. Everything else may change a reply: tokenizers, templates, code.
_SKIPPED = frozenset({".md", ".png", ".jpg", ".jpeg", ".gif", ".pdf", ".log"})
_SKIPPED_NAMES = frozenset({"LICENSE", "LICENSE.txt", "NOTICE", "NOTICE.txt", "training_args.bin"})
# The layout of the first LLaVA and what was trained with its code: Quilt-LLaVA, LLaVA-Med.
_ORIGINAL_LLAVA = (
    "{name} is in the original LLaVA layout (Quilt-LLaVA, LLaVA-Med), which neither Transformers "
    "nor vLLM loads: convert it once with scripts/convert_llava.py of our repository, as "
    "docs/engines.md says under Original LLaVA"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that was found: its files, and what identifies it.

    `source` is what engines load: a directory or a hub id, of which `commit` is the revision (None
    for a directory). `adapter` is the directory of a LoRA that goes on top of it, or None.
    `identity` (JSON values) is the content of a directory, wherever it lies, or a hub id's commit.
    """

    source: str
    commit: str | None
    identity: Mapping[str, Any]
    adapter: str | None = None

    @classmethod
    def find(cls, name: str, revision: str | None = None) -> Checkpoint:
        """The model in directory `name` or of that name on the hub.

        Raises UsageError if it is not to be had, is damaged or of a format that no engine reads.
        """
        directory = local_directory(name)
        if directory is not None and not (directory / "config.json").is_file():
            return cls._with_adapter(directory, revision)
        if directory is not None:
            check_weights(directory)
            found = cls(str(directory), None, {"checkpoint": fingerprint(directory)})
        else:
            commit = _hub_file(name, "config.json", revision).parent.name
            found = cls(name, commit, {"checkpoint": name, "revision": commit})
        if "mm_vision_tower" in found.read("config.json"):
            raise UsageError(_ORIGINAL_LLAVA.format(name=name))
        return found

    @classmethod
    def _with_adapter(cls, directory: Path, revision: str | None) -> Checkpoint:
        settings = _read_json(directory / "adapter_config.json")
        name = settings.get("base_model_name_or_path")
        if not isinstance(name, str) or not name:
            raise UsageError(f"{directory}/adapter_config.json names no base model")
        try:
            base = cls.find(name, revision)
        except UsageError as error:
            raise UsageError(f"the base model of the LoRA {directory}: {error}") from error
        own = {"adapter": fingerprint(directory)}
        return cls(base.source, base.commit, {**base.identity, **own}, str(directory))

    def read(self, file: str) -> Mapping[str, Any]:
        """A JSON file of the checkpoint; empty if it has none. Raises UsageError."""
        place = Path(self.source) / file
        if self.commit is not None:
            try:
                place = _hub_file(self.source, file, self.commit)
            except UsageError:
                return {}
        return _read_json(place) if place.is_file() else {}

    @property
    def shows_images(self) -> bool:
        """Whether the configuration speaks of images: False for a language model without eyes."""
        seeing = ("vision", "image", "img", "visual")
        return any(word in key for key in self.read("config.json") for word in seeing)

    def own_sampling(self) -> dict[str, float]:
        """Temperature, top-p and top-k of the checkpoint's own generation settings."""
        own = self.read("generation_config.json")
        if not own.get("do_sample"):
            return {"temperature": 0.0}
        return {key: own[key] for key in ("temperature", "top_p", "top_k") if key in own}


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} is no JSON object")
    return found


def local_directory(name: str) -> Path | None:
    """The directory of a model or a LoRA that `name` is, or None for a hub id (owner/name).

    Raises UsageError if `name` looks like a path and no model lies there.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if any((path / file).is_file() for file in ("config.json", "adapter_config.json")):
            return path
        raise UsageError(
            f"{path} is no model's directory: it has neither config.json nor adapter_config.json"
        )
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
    named = _read_json(index).get("weight_map", {}).values() if index.is_file() else ()
    if missing := sorted(name for name in set(named) if not (directory / name).is_file()):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"{directory} lacks {missing[0]}{more}, which its index names")
    files = sorted(directory.glob("*.safetensors"))
    if not files and not any(directory.glob("*.bin")):
        raise UsageError(f"{directory} holds no weights (*.safetensors)")
    for file in files:
        with file.open("rb") as stream:  # 8 bytes length, a JSON header of that length, tensors
            length = int.from_bytes(stream.read(8), "little")
            try:
                header = json.loads(stream.read(min(length, 100_000_000)))
                ends = [entry["data_offsets"][1] for key, entry in header.items() if key[0] != "_"]
                whole = file.stat().st_size == 8 + length + max(ends, default=0)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                whole = False
        if not whole:
            raise UsageError(f"{file} is no safetensors file, or was cut off or damaged")


def fingerprint(directory: Path) -> str:
    """sha256 over the files' names, sizes and evenly spaced blocks of their content.

    Not every byte is read (a 7B model has 16 GB), but training or merging changes every block of
    a weight file, and all others, which decide about prompts, are read whole.
    """
    digest = hashlib.sha256()
    for file in _files(directory):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(directory).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= _STRIDE or file.suffix not in _WEIGHTS:
                digest.update(stream.read())
                continue
            for offset in [*range(0, size - _BLOCK, _STRIDE), size - _BLOCK]:
                stream.seek(offset)
                digest.update(stream.read(_BLOCK))
    return digest.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    """Files that may change a reply, in subdirectories too unless those are models themselves."""
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(".") or entry.name in _SKIPPED_NAMES:
            continue
        if entry.is_dir():
            if not (entry / "config.json").is_file():
                yield from _files(entry)
        elif entry.is_file() and entry.suffix not in _SKIPPED:
            yield entry


def _hub_file(name: str, file: str, revision: str | None) -> Path:
    """A small file of a hub model, in a directory named by the commit. Raises UsageError."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise MissingExtra("a model from the hub", "hub") from None
    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise UsageError(
            f"{name} is no directory here and was not found on the hub: {said(error)}"
        ) from error


def said(error: BaseException) -> str:
    """What an error says, in one line of at most 600 characters; its kind if it says nothing.

    All lines, not the first alone: what to do about it often stands in the last one.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 600 else f"{text[:350]} … {text[-240:]}"


def whole_number(option: str, value: int | str | None, least: int = 1) -> int | None:
    """An option's value as an integer of at least `least`; None stays None.

    Raises UsageError. Command lines give text, notebooks give numbers.
    """
    if value is None:
        return None
    try:
        number = int(value)
    except (ValueError, TypeError):
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


def template_identity(text: str | None) -> str:
    """What identifies a chat template of the user's."""
    return "own" if text is None else hashlib.sha256(text.encode()).hexdigest()
