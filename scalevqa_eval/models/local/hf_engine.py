"""The heavy half of `hf/`: a checkpoint's processor and weights, which answer batches of prompts.

Imported only by huggingface.py. All methods block; huggingface.py calls them, each from one thread.
"""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import Checkpoint, said, template_identity
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.types import ImagePart, Prompt, Reply, TextPart, Usage


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


class Engine:
    """One checkpoint."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        """Read configuration, processor and chat template; no weights.

        Raises UsageError if the checkpoint is of no usable kind.
        """
        self.source = checkpoint.source
        self._checkpoint, self._settings = checkpoint, settings
        self._shared = {
            "revision": checkpoint.commit,
            "trust_remote_code": settings.trust_remote_code,
        }
        self._own_sampling = checkpoint.own_sampling()
        self._model: Any = None
        self._ends: set[int] = set()
        try:
            self._config = AutoConfig.from_pretrained(self.source, **self._shared)
            self._auto = self._auto_class()
            self._processor, self._images = self._load_processor()
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            raise UsageError(f"cannot read {self.source}: {said(error)}") from error
        self.takes_images = self._images is not None
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        own = getattr(self._processor, "chat_template", None) or self._tokenizer.chat_template
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
        processor = AutoProcessor.from_pretrained(self.source, **self._shared)
        images = getattr(processor, "image_processor", None)
        if images is None:
            if self._auto is AutoModelForImageTextToText:
                raise ValueError("it has no image processor (preprocessor_config.json)")
            processor = AutoTokenizer.from_pretrained(self.source, **self._shared)
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
    def _context(self) -> int:
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
            begin = self._tokenizer.bos_token
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
        if max(lengths) >= self._context:
            raise ModelError(
                f"the prompt has {max(lengths)} tokens, but the model's context is "
                f"{self._context}: lower max_pixels or show fewer images"
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

    def load_weights(self) -> None:
        """Load the weights; does nothing if they are there. Raises ModelError (fatal)."""
        if self._model is not None:
            return
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # it would be drawn across ours
        settings = self._settings
        given = {
            "dtype": settings.dtype,
            "device_map": settings.device_map,
            "attn_implementation": settings.attn,
        }
        try:
            model, report = self._auto.from_pretrained(
                self.source,
                output_loading_info=True,
                **{key: value for key, value in given.items() if value is not None},
                **self._shared,
            )
        except Exception as error:  # whatever loaders, kernels and accelerators raise
            raise ModelError(
                f"cannot load the weights of {self.source}: {said(error)}", fatal=True
            ) from error
        if missing := sorted(report["missing_keys"]):
            raise ModelError(
                f"{self.source} lacks {len(missing)} of its weights, such as {missing[0]}: they "
                "would be random",
                fatal=True,
            )
        if self._checkpoint.adapter is not None:
            model = _with_adapter(model, self._checkpoint.adapter)
        own = model.generation_config
        end = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        self._ends = {end} if isinstance(end, int) else set(end or ())
        # Nothing else of the checkpoint's own settings (a repetition penalty, say) is taken over.
        model.generation_config = GenerationConfig(
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.pad_token_id or 0,
        )
        self._model = model.eval()

    def unload(self) -> None:
        """Free the weights' memory."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, batch: Batch, wanted: Callable[[], bool]) -> list[Reply]:
        """One reply per prompt; ends at the next token once nobody wants them any more.

        Raises ModelError, or what torch raises when memory runs out.
        """
        self.load_weights()
        started = perf_counter()
        sampling = batch.prompts[0].sampling
        work = self._choose if sampling.logprobs or sampling.letters_only else self._generate
        try:
            with torch.inference_mode():
                inputs = self._on_device(batch.inputs)
                replies = work(batch, inputs, wanted)
        except ModelError:
            raise
        except Exception as error:  # model code raises all sorts
            if should_reduce_batch_size(error):
                raise
            raise ModelError(
                f"generation failed: {type(error).__name__}: {said(error)}",
                fatal="CUDA error" in str(error),  # the device cannot be used after these
            ) from error
        seconds = perf_counter() - started
        return [replace(reply, latency=seconds, model=self.source) for reply in replies]

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        device, weights = self._model.device, self._model.dtype
        return {
            name: value.to(device, weights if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
            if torch.is_tensor(value)
        }

    def _generate(self, batch: Batch, inputs: Any, wanted: Callable[[], bool]) -> list[Reply]:
        most = batch.prompts[0].sampling.max_tokens
        limits = [min(most, self._context - length) for length in batch.lengths]
        output = self._model.generate(
            **inputs,
            max_new_tokens=max(limits),
            logits_processor=LogitsProcessorList(self._warpers(batch.prompts)),
            stopping_criteria=[lambda *_, **__: not wanted()],
        )
        if not wanted():
            raise ModelError("the model was closed", fatal=True)
        rows = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [
            self._reply(row[:limit], length)
            for row, limit, length in zip(rows, limits, batch.lengths, strict=True)
        ]

    def _warpers(self, prompts: Sequence[Prompt]) -> list[Any]:
        """What turns greedy decoding into sampling; nothing for temperature 0."""
        sampling = prompts[0].sampling
        temperature, top_p, top_k = sampling.temperature, sampling.top_p, 0
        if temperature is None:
            own = self._own_sampling
            temperature, top_k = own.get("temperature", 1.0), int(own.get("top_k", 0))
            top_p = top_p or own.get("top_p")
        if not temperature:
            return []
        warpers: list[Any] = [TemperatureLogitsWarper(float(temperature))]
        if top_k:
            warpers.append(TopKLogitsWarper(top_k))
        if top_p and top_p < 1:
            warpers.append(TopPLogitsWarper(float(top_p)))
        return [*warpers, RowNoise(prompts)]

    def _reply(self, tokens: list[int], prompt_tokens: int) -> Reply:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        return Reply(
            text=self._tokenizer.decode(kept, skip_special_tokens=True),
            finish="length" if end is None else "stop",
            usage=Usage(prompt_tokens, None, len(tokens) if end is None else end + 1),
        )

    def _choose(self, batch: Batch, inputs: Any, wanted: Callable[[], bool]) -> list[Reply]:
        """One forward pass: the log-probability of each option letter as the first token."""
        output = self._model.generate(
            **inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
        )
        rows = output.logits[0].float().log_softmax(-1)
        return list(map(self._chosen, batch.prompts, rows, batch.lengths))

    def _chosen(self, prompt: Prompt, row: Any, length: int) -> Reply:
        if not prompt.options:
            raise ModelError("letters can be chosen only where a question has options")
        sampling = prompt.sampling
        # A reply of nothing but a letter has no space before it.
        spellings = letter_tokens(self._tokenizer, prompt.options, bare=not sampling.logprobs)
        found = {
            letter: float(row[list(tokens)].logsumexp(0)) for letter, tokens in spellings.items()
        }
        scores = torch.tensor([list(found.values())])
        for warper in () if sampling.logprobs else self._warpers([prompt]):
            scores = warper(None, scores)
        return Reply(
            text=list(found)[int(scores.argmax())],
            usage=Usage(length, None, 1),
            logprobs=found if sampling.logprobs else None,
        )


class RowNoise(LogitsProcessor):  # type: ignore[misc]  # untyped base
    """Adds Gumbel noise to the scores, after which greedy decoding is sampling (Gumbel 1954).

    Each row has a generator of its own, seeded by its prompt and seed: neither the batch nor its
    order changes a reply.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._seeds = [
            random.SystemRandom().getrandbits(60)
            if prompt.sampling.seed is None
            else int(prompt.digest()[:15], 16)
            for prompt in prompts
        ]
        self._generators: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """`scores` (rows, vocabulary), of which the processed copy is returned."""
        if not self._generators:
            self._generators = [
                torch.Generator(scores.device).manual_seed(seed) for seed in self._seeds
            ]
        noise = [
            torch.empty_like(row).exponential_(generator=generator).log()
            for row, generator in zip(scores, self._generators, strict=True)
        ]
        return scores - torch.stack(noise)


def _with_adapter(model: Any, directory: str) -> Any:
    """The model with a LoRA merged into its weights. Raises ModelError (fatal)."""
    try:
        from peft import PeftModel
    except ImportError:
        raise ModelError(str(MissingExtra("a LoRA", "hf")), fatal=True) from None
    with warnings.catch_warnings():
        # PEFT only warns of an adapter whose weights fit nothing, and goes on without them.
        warnings.filterwarnings("error", message=".*missing adapter keys.*")
        try:
            return PeftModel.from_pretrained(model, directory).merge_and_unload()
        except (Warning, ValueError, RuntimeError) as error:
            raise ModelError(
                f"the LoRA in {directory} does not fit its base model: {said(error)}", fatal=True
            ) from error
