"""A prepared directory as verl itself sees it: its own data set class, its own prompt lengths.

Needs the train environment. Every row is built as the trainer builds it, so that what would fail
in the middle of a run, or vanish from the data set, is seen now.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from scalevqa_eval.errors import DataError, UsageError


def check_with_verl(
    directory: Path,
    about: dict[str, Any],
    model: str,
    max_prompt_length: int,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """`about` with the prompt lengths of `model` for each split, in tokens.

    Prompts longer than `max_prompt_length` are listed: the trainer leaves them out. Raises
    DataError if verl reads another number of rows than were written.
    """
    from omegaconf import OmegaConf
    from verl.utils import hf_processor, hf_tokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    try:
        tokenizer, processor = hf_tokenizer(model), hf_processor(model)
    except (OSError, ValueError) as error:
        raise UsageError(f"no tokenizer of {model}: {str(error).splitlines()[0]}") from error
    if processor is None or not hasattr(processor, "image_processor"):
        raise UsageError(
            f"{model} has no processor for images (preprocessor_config.json): a vision-language"
            " model is needed"
        )
    config = OmegaConf.create(
        {"filter_overlong_prompts": False, "max_prompt_length": max_prompt_length}
    )
    lengths: dict[str, Any] = {}
    for split in ("train", "val"):
        file = directory / f"{split}.parquet"
        rows = RLHFDataset([str(file)], tokenizer, config, processor)
        expected = about["files"][file.name]["rows"]
        if len(rows) != expected:
            raise DataError(f"verl reads {len(rows)} of the {expected} rows of {file}")
        found = {}
        for index in range(len(rows)):
            row = rows[index]
            found[row["extra_info"]["question_id"]] = _length(row["raw_prompt"], processor)
        long = [name for name, length in found.items() if length > max_prompt_length]
        lengths[split] = {
            "shortest": min(found.values()),
            "median": int(median(found.values())),
            "longest": max(found.values()),
            "over_limit": long,
        }
        note(
            f"{split}: prompts of {lengths[split]['shortest']} to {lengths[split]['longest']}"
            f" tokens, median {lengths[split]['median']}"
        )
        if long:
            note(
                f"Warning: {len(long)} prompts of {split} are longer than {max_prompt_length}"
                f" tokens and will not be used: {', '.join(long[:5])}"
                + (" …" if len(long) > 5 else "")
            )
    return {
        **about,
        "tokens": {"model": model, "max_prompt_length": max_prompt_length, "splits": lengths},
    }


def _length(messages: list[dict[str, Any]], processor: Any) -> int:
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    images = [
        part["image"].convert("RGB") if hasattr(part["image"], "convert") else _open(part["image"])
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
        if part["type"] == "image"
    ]
    return len(processor(text=[text], images=images or None)["input_ids"][0])


def _open(path: str) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")
