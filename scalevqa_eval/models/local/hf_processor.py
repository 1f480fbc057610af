"""Half of `hf/`: a checkpoint's processor, which makes tensors of prompts. No weights.

Imported only by hf_engine.py and huggingface.py. All methods block.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import Checkpoint, said, template_identity
from scalevqa_eval.types import ImagePart, Prompt, TextPart


@dataclass(frozen=True, slots=True)
class Settings:
    """How a checkpoint is loaded; docs/engines.md says what each means."""

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


class Processor:
    """Configuration, processor and chat template of one checkpoint.

    `loader` is the class that loads its weights, `shared` what that needs besides the place.
    """

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        """Raises UsageError if the checkpoint is of no usable kind."""
        self.source = checkpoint.source
        self._checkpoint, self._settings = checkpoint, settings
        self.shared = {
            "revision": checkpoint.commit,
            "trust_remote_code": settings.trust_remote_code,
        }
        try:
            self._config = AutoConfig.from_pretrained(self.source, **self.shared)
            self.loader = self._auto_class()
            self._processor, self._images = self._load_processor()
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            raise UsageError(f"cannot read {self.source}: {said(error)}") from error
        self.takes_images = self._images is not None
        self.tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        own = getattr(self._processor, "chat_template", None) or self.tokenizer.chat_template
        self._processor.chat_template = settings.chat_template or own
        if not self._processor.chat_template:
            raise UsageError(
                f"{self.source} has no chat template, so it cannot be asked questions: "
                "take the instruction-tuned model, or give one with chat_template=FILE.jinja"
            )
        self._takes_parts = self.takes_images and self._template_takes_parts()
        self._pixels, self._image_options = self._pixel_limits()

    def _auto_class(self) -> Any:
        """The class that loads the weights: code that comes with a checkpoint has its say."""
        own_code = getattr(self._config, "auto_map", None) or {}
        if self._settings.trust_remote_code and own_code:
            sees = "AutoModelForImageTextToText" in own_code
        else:
            sees = self._config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        return AutoModelForImageTextToText if sees else AutoModelForCausalLM

    def _load_processor(self) -> tuple[Any, Any]:
        """What makes prompts, and the image processor in it (None for a text-only model).

        A model of AutoModelForCausalLM may see too (Phi-4-multimodal): its processor tells.
        """
        processor = AutoProcessor.from_pretrained(self.source, **self.shared)
        images = getattr(processor, "image_processor", None)
        if images is None:
            if self.loader is AutoModelForImageTextToText:
                raise ValueError("it has no image processor (preprocessor_config.json)")
            processor = AutoTokenizer.from_pretrained(self.source, **self.shared)
        return processor, images

    def _template_takes_parts(self) -> bool:
        """Whether the template reads messages made of parts, or of text alone."""
        probe = [{"role": "user", "content": [{"type": "text", "text": "probe"}]}]
        try:
            text = self._processor.apply_chat_template(probe, tokenize=False)
        except Exception:  # templates raise all sorts
            return False
        return "'type'" not in text  # the list itself, written out

    def _pixel_limits(self) -> tuple[dict[str, int], dict[str, Any]]:
        """Smallest and largest image of a model that takes any size, and the processor's options
        for them; nothing for other models."""
        settings = self._settings
        low, high = settings.min_pixels, settings.max_pixels
        size = dict(getattr(self._images, "size", None) or {})
        least, most = size.get("shortest_edge"), size.get("longest_edge")
        if not (least and most and hasattr(self._images, "merge_size")):
            if low or high or settings.qwen_resize:
                raise UsageError(
                    "min_pixels, max_pixels and resize=qwen-vl-utils are for models that take "
                    f"images of any size (Qwen-VL); {self._config.model_type} sets the size itself"
                )
            return {}, {}
        pixels = {"min_pixels": low or least, "max_pixels": high or most}
        if settings.qwen_resize:
            return pixels, {"do_resize": False}
        size = {"shortest_edge": pixels["min_pixels"], "longest_edge": pixels["max_pixels"]}
        return pixels, {"size": size}

    @property
    def identity(self) -> dict[str, Any]:
        """What of this may change a reply, as JSON values."""
        settings, dtype = self._settings, self._settings.dtype
        if dtype == "auto":
            dtype = str(self._config.dtype or torch.float32).removeprefix("torch.")
        return {
            "engine": "transformers",
            **self._checkpoint.identity,
            "dtype": dtype,
            "attn": settings.attn or "default",
            **self._pixels,
            "resize": "qwen-vl-utils" if settings.qwen_resize else "processor",
            "chat_template": template_identity(settings.chat_template),
        }

    @property
    def context(self) -> int:
        """Positions that the model has, for prompt and reply together."""
        found = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else 1 << 30

    def describe(self, prompt: Prompt) -> tuple[Hashable, int]:
        """Prompts of one batch all show images or none, and are sampled alike."""
        limit = self._pixels.get("max_pixels", 336 * 336)
        pixels = sum(min(part.width * part.height, limit) for part in prompt.images)
        length = (len(prompt.system) + len(prompt.user_text)) // 4 + pixels // (28 * 28)
        return (bool(prompt.images), replace(prompt.sampling, seed=None)), length

    def prepare(self, prompts: Sequence[Prompt]) -> Batch:
        """Tokens and pixels of some prompts. Raises ModelError if one cannot be put to this
        model."""
        if prompts[0].images and not self.takes_images:
            raise ModelError(f"{self.source} is a text-only model and cannot be shown images")
        # Questions about the same images mostly share a batch: each is decoded once in it.
        parts = {part.sha256: part for prompt in prompts for part in prompt.images}
        pictures = {digest: self._picture(part) for digest, part in parts.items()}
        shown = [[pictures[part.sha256] for part in prompt.images] for prompt in prompts]
        options: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
        try:
            texts = self._processor.apply_chat_template(
                [self._conversation(prompt) for prompt in prompts],
                add_generation_prompt=True,
                tokenize=False,
            )
            # A processor writes the begin-of-text token unless the template did; a tokenizer's
            # template is complete. So does Transformers' own `apply_chat_template`.
            begin = self.tokenizer.bos_token
            if not self.takes_images or (begin and texts[0].startswith(begin)):
                options["add_special_tokens"] = False
            if pictures:
                # Code that comes with a checkpoint mostly takes images in one row.
                own_code = type(self._processor).__module__.startswith("transformers_modules")
                options["images"] = list(chain(*shown)) if own_code else shown
                options |= self._image_options
            inputs = self._processor(text=texts, **options)
        except ModelError:
            raise
        except Exception as error:  # templates and processors raise all sorts, StopIteration too
            raise ModelError(
                f"the prompt cannot be prepared for this model: {said(error)}"
            ) from error
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if max(lengths) >= self.context:
            raise ModelError(
                f"the prompt has {max(lengths)} tokens, but the model's context is "
                f"{self.context}: lower max_pixels or show fewer images"
            )
        return Batch(prompts, inputs, lengths)

    def _conversation(self, prompt: Prompt) -> list[dict[str, Any]]:
        def content(parts: Sequence[TextPart | ImagePart]) -> Any:
            texts = [part.text if isinstance(part, TextPart) else None for part in parts]
            if not self._takes_parts:
                return "\n".join(self._image_token() if text is None else text for text in texts)
            return [
                {"type": "image"} if text is None else {"type": "text", "text": text}
                for text in texts
            ]

        messages = [{"role": "user", "content": content(prompt.parts)}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": content([TextPart(prompt.system)])})
        return messages

    def _image_token(self) -> str:
        token = getattr(self._processor, "image_token", None)
        if not isinstance(token, str):
            raise ModelError(
                f"the chat template of {self.source} knows no images: give one that does with "
                "chat_template=FILE.jinja",
                fatal=True,
            )
        return token

    def _picture(self, part: ImagePart) -> Any:
        try:
            image = Image.open(io.BytesIO(part.load())).convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise ModelError(f"image {part.source} cannot be decoded: {said(error)}") from error
        if not self._settings.qwen_resize:
            return image
        from qwen_vl_utils.vision_process import fetch_image

        size = self._images.patch_size
        return fetch_image({"image": image, **self._pixels}, image_patch_size=size)
