"""Prompts → tensors for `hf/`: a checkpoint's configuration, processor and chat template.

Light enough to be read before a run starts; the weights are hf_engine.py's. All methods block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoProcessor, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.local.decoding import Decoder
from scalevqa_eval.types import ImagePart, Prompt


@dataclass(frozen=True, slots=True)
class Settings:
    """How a checkpoint is loaded; see `hf.load` for what each means."""

    source: str
    revision: str | None
    dtype: str
    device_map: str | Mapping[str, Any] | None
    attn: str | None
    min_pixels: int | None
    max_pixels: int | None
    qwen_resize: bool
    chat_template: str | None
    trust_remote_code: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts as tensors on the CPU: `inputs` padded on the left, true lengths in tokens."""

    prompts: Sequence[Prompt]
    inputs: Any
    lengths: Sequence[int]


class Preparer:
    """Turns prompts into padded tensors, for one checkpoint."""

    def __init__(self, settings: Settings) -> None:
        """Read configuration and processor.

        Raises UsageError if the checkpoint is of no usable kind or has no chat template.
        """
        self.settings = settings
        self.shared = {
            "revision": settings.revision,
            "trust_remote_code": settings.trust_remote_code,
        }
        self._decode = Decoder()
        try:
            self.config = AutoConfig.from_pretrained(settings.source, **self.shared)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"cannot read {settings.source}: {first_line(error)}") from error
        kind = self.config.model_type
        self.takes_images = kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        if not self.takes_images and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            auto_map = getattr(self.config, "auto_map", None) or {}
            self.takes_images = "AutoModelForImageTextToText" in auto_map
            if not (self.takes_images or "AutoModelForCausalLM" in auto_map):
                raise UsageError(
                    f"{settings.source} is a {kind} model: neither vision-language nor text"
                )
        self._load_processor()

    def _load_processor(self) -> None:
        auto = AutoProcessor if self.takes_images else AutoTokenizer
        try:
            self.processor = auto.from_pretrained(self.settings.source, **self.shared)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise UsageError(
                f"cannot load the {'processor' if self.takes_images else 'tokenizer'} of "
                f"{self.settings.source}: {first_line(error)}"
            ) from error
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        template = self.settings.chat_template
        if template is None:
            template = getattr(self.processor, "chat_template", None)
            template = template or self.tokenizer.chat_template
        if template is None:
            raise UsageError(
                f"{self.settings.source} has no chat template, so it cannot be asked questions: "
                "take the instruction-tuned model, or give one with chat_template=FILE.jinja"
            )
        self.processor.chat_template = template
        self._image_options = self._pixel_limits()

    def _pixel_limits(self) -> dict[str, Any]:
        low, high = self.settings.min_pixels, self.settings.max_pixels
        images = getattr(self.processor, "image_processor", None)
        size = dict(getattr(images, "size", None) or {})
        by_area = {"shortest_edge", "longest_edge"} <= {key for key in size if size[key]}
        if (low or high or self.settings.qwen_resize) and not (
            by_area and hasattr(images, "merge_size")
        ):
            raise UsageError(
                f"min_pixels, max_pixels and resize=qwen-vl-utils are for models that take images "
                f"of any size (Qwen-VL); {self.config.model_type} sets the size itself"
            )
        if not by_area or not hasattr(images, "merge_size"):
            self.pixels: dict[str, int] = {}
            return {}
        edges = {
            "shortest_edge": low or size["shortest_edge"],
            "longest_edge": high or size["longest_edge"],
        }
        self.pixels = {
            "min_pixels": edges["shortest_edge"],
            "max_pixels": edges["longest_edge"],
        }
        if self.settings.qwen_resize:
            return {"do_resize": False}
        return {"size": edges} if low or high else {}

    @property
    def dtype(self) -> str:
        """The number format of the weights, such as bfloat16."""
        if self.settings.dtype != "auto":
            return self.settings.dtype
        return str(self.config.dtype or torch.float32).removeprefix("torch.")

    @property
    def context(self) -> int | None:
        """Positions that the model has, for prompt and reply together."""
        found = getattr(self.config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else None

    def estimate(self, prompt: Prompt) -> int:
        """Roughly the prompt's length in tokens, without tokenizing it."""
        limit = self.pixels.get("max_pixels", 336 * 336)
        pixels = sum(min(part.width * part.height, limit) for part in prompt.images)
        return (len(prompt.system) + len(prompt.user_text)) // 4 + pixels // (28 * 28)

    def prepare(self, prompts: Sequence[Prompt]) -> Batch:
        """Tokens and pixels of some prompts; either all show images or none does.

        Raises ModelError if a prompt cannot be put to this model.
        """
        conversations = [self._conversation(prompt) for prompt in prompts]
        padding: dict[str, Any] = {"padding": True, "padding_side": "left"}
        options: dict[str, Any]
        if self.takes_images:
            images = self._image_options if prompts[0].images else {}
            options = {"processor_kwargs": {**padding, **images}}
        else:
            options = padding
        try:
            inputs = self.processor.apply_chat_template(
                conversations,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                **options,
            )
        except Exception as error:  # templates and processors raise all sorts, StopIteration too
            reason = first_line(error) or type(error).__name__
            raise ModelError(f"the prompt cannot be prepared for this model: {reason}") from error
        lengths = [int(length) for length in inputs["attention_mask"].sum(dim=1)]
        if self.context is not None and max(lengths) >= self.context:
            raise ModelError(
                f"the prompt has {max(lengths)} tokens, but the model's context is "
                f"{self.context}: lower max_pixels or show fewer images"
            )
        return Batch(prompts, inputs, lengths)

    def _conversation(self, prompt: Prompt) -> list[dict[str, Any]]:
        if not self.takes_images:
            if prompt.images:
                raise ModelError(
                    f"{self.settings.source} is a text-only model and cannot be shown images"
                )
            texts = [("system", prompt.system)] * bool(prompt.system)
            texts.append(("user", prompt.user_text))
            return [{"role": role, "content": text} for role, text in texts]
        content = [
            {"type": "image", "image": self._picture(part)}
            if isinstance(part, ImagePart)
            else {"type": "text", "text": part.text}
            for part in prompt.parts
        ]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if prompt.system:
            text = {"type": "text", "text": prompt.system}
            messages.insert(0, {"role": "system", "content": [text]})
        return messages

    def _picture(self, part: ImagePart) -> Any:
        image = self._decode(part)
        if not self.settings.qwen_resize:
            return image
        from qwen_vl_utils.vision_process import fetch_image

        patch = self.processor.image_processor.patch_size
        return fetch_image({"image": image, **self.pixels}, image_patch_size=patch)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind, for a message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__
