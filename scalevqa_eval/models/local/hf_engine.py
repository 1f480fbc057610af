"""The heavy half of `hf/`: a checkpoint's processor and weights, which answer batches of prompts.

Imported only by huggingface.py, which makes the batches. All methods block.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import Checkpoint, said
from scalevqa_eval.models.local.decoding import Decoder
from scalevqa_eval.models.local.hf_sampling import RowDraw, RowLimits, RowSampler
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.types import ImagePart, Prompt, Reply, TextPart, Usage


@dataclass(frozen=True, slots=True)
class Settings:
    """How a checkpoint is loaded; see `huggingface.load` for what each means."""

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
    """One checkpoint. `prepare` and `answer` are used by one thread each.

    Setting `stop` ends the generation under way at its next token.
    """

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        """Read configuration, processor and chat template; no weights.

        Raises UsageError if the checkpoint is of no usable kind.
        """
        self.stop = threading.Event()
        self.source = checkpoint.source
        self._checkpoint, self._settings = checkpoint, settings
        self._shared = {
            "revision": checkpoint.commit,
            "trust_remote_code": settings.trust_remote_code,
        }
        self._decode = Decoder()
        self._model: Any = None
        try:
            self._config = AutoConfig.from_pretrained(self.source, **self._shared)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise UsageError(f"cannot read {self.source}: {said(error)}") from error
        self._choose_kind()
        self._load_processor()

    def _choose_kind(self) -> None:
        kind = self._config.model_type
        remote = getattr(self._config, "auto_map", None) or {}
        if not self._settings.trust_remote_code:
            remote = {}
        sees = "AutoModelForImageTextToText" in remote
        if sees or (kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and not remote):
            self._auto: Any = AutoModelForImageTextToText
        elif kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "AutoModelForCausalLM" in remote:
            self._auto = AutoModelForCausalLM
        else:
            raise UsageError(f"{self.source} is a {kind} model: neither vision-language nor text")

    def _load_processor(self) -> None:
        # A model of AutoModelForCausalLM may see too (Phi-4-multimodal): its processor tells.
        try:
            self._processor = AutoProcessor.from_pretrained(self.source, **self._shared)
            self._images: Any = getattr(self._processor, "image_processor", None)
            self.takes_images = self._images is not None
            if not self.takes_images:
                if self._auto is AutoModelForImageTextToText:
                    raise ValueError("it has no image processor (preprocessor_config.json)")
                self._processor = AutoTokenizer.from_pretrained(self.source, **self._shared)
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            raise UsageError(
                f"cannot load the processor of {self.source}: {said(error)}"
            ) from error
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        template = self._settings.chat_template
        if template is None:
            template = getattr(self._processor, "chat_template", None)
            template = template or self._tokenizer.chat_template
        if template is None:
            raise UsageError(
                f"{self.source} has no chat template, so it cannot be asked questions: "
                "take the instruction-tuned model, or give one with chat_template=FILE.jinja"
            )
        self._processor.chat_template = template
        self._takes_parts = self.takes_images and self._template_takes_parts()
        self._image_options = self._pixel_limits()

    def _template_takes_parts(self) -> bool:
        """Whether the template reads messages made of parts, or of text alone."""
        probe = [{"role": "user", "content": [{"type": "text", "text": "probe"}]}]
        try:
            text = self._processor.apply_chat_template(probe, tokenize=False)
        except Exception:  # templates raise all sorts
            return False
        return "'type'" not in text  # the list itself, written out

    def _pixel_limits(self) -> dict[str, Any]:
        low, high = self._settings.min_pixels, self._settings.max_pixels
        size = dict(getattr(self._images, "size", None) or {})
        self.pixels: dict[str, int] = {}
        if not (
            all(size.get(edge) for edge in ("shortest_edge", "longest_edge"))
            and hasattr(self._images, "merge_size")
        ):
            if low or high or self._settings.qwen_resize:
                raise UsageError(
                    "min_pixels, max_pixels and resize=qwen-vl-utils are for models that take "
                    f"images of any size (Qwen-VL); {self._config.model_type} sets the size itself"
                )
            return {}
        self.pixels = {
            "min_pixels": low or size["shortest_edge"],
            "max_pixels": high or size["longest_edge"],
        }
        if self._settings.qwen_resize:
            return {"do_resize": False}
        edges = zip(("shortest_edge", "longest_edge"), self.pixels.values(), strict=True)
        return {"size": dict(edges)} if low or high else {}

    @property
    def identity(self) -> dict[str, Any]:
        """What of this may change a reply, as JSON values."""
        settings, dtype = self._settings, self._settings.dtype
        if dtype == "auto":
            dtype = str(self._config.dtype or torch.float32).removeprefix("torch.")
        template = settings.chat_template
        return {
            "engine": "transformers",
            **self._checkpoint.identity,
            "dtype": dtype,
            "attn": settings.attn or "default",
            **self.pixels,
            "resize": "qwen-vl-utils" if settings.qwen_resize else "processor",
            "chat_template": hashlib.sha256(template.encode()).hexdigest() if template else "own",
        }

    @property
    def _context(self) -> int:
        """Positions that the model has, for prompt and reply together."""
        found = getattr(self._config.get_text_config(), "max_position_embeddings", None)
        return found if isinstance(found, int) else 1 << 30

    def estimate(self, prompt: Prompt) -> int:
        """Roughly the prompt's length in tokens, without tokenizing it."""
        limit = self.pixels.get("max_pixels", 336 * 336)
        pixels = sum(min(part.width * part.height, limit) for part in prompt.images)
        return (len(prompt.system) + len(prompt.user_text)) // 4 + pixels // (28 * 28)

    def prepare(self, prompts: Sequence[Prompt]) -> Batch:
        """Tokens and pixels of some prompts; either all show images or none does.

        Raises ModelError if a prompt cannot be put to this model.
        """
        if prompts[0].images and not self.takes_images:
            raise ModelError(f"{self.source} is a text-only model and cannot be shown images")
        pictures = [[self._picture(part) for part in prompt.images] for prompt in prompts]
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
            written = bool(begin) and texts[0].startswith(begin)
            if written or not self.takes_images:
                options["add_special_tokens"] = False
            if prompts[0].images:
                # Code that comes with a checkpoint mostly takes images in one row.
                own_code = type(self._processor).__module__.startswith("transformers_modules")
                options["images"] = list(chain(*pictures)) if own_code else pictures
                options |= self._image_options
            inputs = self._processor(text=texts, **options)
        except ModelError:
            raise
        except Exception as error:  # templates and processors raise all sorts, StopIteration too
            raise ModelError(
                f"the prompt cannot be prepared for this model: {said(error)}"
            ) from error
        lengths = [int(length) for length in inputs["attention_mask"].sum(dim=1)]
        if max(lengths) >= self._context:
            raise ModelError(
                f"the prompt has {max(lengths)} tokens, but the model's context is "
                f"{self._context}: lower max_pixels or show fewer images"
            )
        return Batch(prompts, inputs, lengths)

    def _conversation(self, prompt: Prompt) -> list[dict[str, Any]]:
        def content(parts: Sequence[TextPart | ImagePart]) -> Any:
            if self._takes_parts:
                return [
                    {"type": "text", "text": part.text}
                    if isinstance(part, TextPart)
                    else {"type": "image"}
                    for part in parts
                ]
            return "\n".join(
                part.text if isinstance(part, TextPart) else self._image_token() for part in parts
            )

        messages = [("system", [TextPart(prompt.system)])] * bool(prompt.system)
        return [
            {"role": role, "content": content(parts)}
            for role, parts in [*messages, ("user", prompt.parts)]
        ]

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
        image = self._decode(part)
        if not self._settings.qwen_resize:
            return image
        from qwen_vl_utils.vision_process import fetch_image

        return fetch_image(
            {"image": image, **self.pixels}, image_patch_size=self._images.patch_size
        )

    def load_weights(self) -> None:
        """Load the weights; does nothing if they are there. Raises ModelError (fatal)."""
        if self._model is not None:
            return
        if self.stop.is_set():
            raise ModelError("the model was closed", fatal=True)
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # it would be drawn across ours
        settings = self._settings
        options = {
            "dtype": settings.dtype,
            "device_map": settings.device_map or ("auto" if torch.cuda.is_available() else None),
            "attn_implementation": settings.attn,
        }
        given = {key: value for key, value in options.items() if value is not None}
        try:
            model, report = self._auto.from_pretrained(
                self.source, output_loading_info=True, **given, **self._shared
            )
            missing = sorted(report["missing_keys"])
            if self._checkpoint.adapter is not None and not missing:
                model = _with_adapter(model, self._checkpoint.adapter)
        except ModelError:
            raise
        except Exception as error:  # whatever loaders, kernels and accelerators raise
            raise ModelError(
                f"cannot load the weights of {self.source}: {said(error)}", fatal=True
            ) from error
        if missing:
            raise ModelError(
                f"{self.source} lacks {len(missing)} of its weights, such as {missing[0]}: they "
                "would be random",
                fatal=True,
            )
        self._takes = set(inspect.signature(model.forward).parameters)
        self._model = model.eval()

    def unload(self) -> None:
        """Free the weights' memory."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, batch: Batch) -> list[Reply]:
        """One reply per prompt, in order. Raises what torch raises when memory runs out,
        or ModelError."""
        self.load_weights()
        started = time.perf_counter()
        sampling = batch.prompts[0].sampling
        work = self._choose if sampling.logprobs or sampling.letters_only else self._generate
        try:
            with torch.inference_mode():
                replies = work(batch)
        except RuntimeError as error:
            if "CUDA error" in str(error):  # the device cannot be used after these
                raise ModelError(f"generation failed: {said(error)}", fatal=True) from error
            raise
        seconds = time.perf_counter() - started
        return [replace(reply, latency=seconds, model=self.source) for reply in replies]

    def _on_device(self, batch: Batch) -> dict[str, Any]:
        inputs = batch.inputs.to(self._model.device)
        weights = self._model.dtype
        return {
            name: value.to(weights) if torch.is_floating_point(value) else value
            for name, value in inputs.items()
            if torch.is_tensor(value)
            and (name in self._takes or name in ("input_ids", "attention_mask"))
        }

    def _settings_for(self, new_tokens: int, **changes: Any) -> GenerationConfig:
        """Greedy and without penalties, whatever the checkpoint's own defaults are."""
        own = self._model.generation_config
        pad = own.pad_token_id if own.pad_token_id is not None else self._tokenizer.pad_token_id
        return GenerationConfig(
            max_new_tokens=new_tokens,
            do_sample=False,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=sorted(self._ends),
            pad_token_id=pad if pad is not None else min(self._ends, default=0),
            **changes,
        )

    @property
    def _ends(self) -> set[int]:
        own = self._model.generation_config.eos_token_id
        if own is None:
            own = self._tokenizer.eos_token_id
        if own is None:
            return set()
        return {own} if isinstance(own, int) else set(own)

    def _generate(self, batch: Batch) -> list[Reply]:
        inputs = self._on_device(batch)
        limits = [
            min(prompt.sampling.max_tokens, self._context - length)
            for prompt, length in zip(batch.prompts, batch.lengths, strict=True)
        ]
        width = inputs["input_ids"].shape[1]
        draws = [self._draw(prompt) for prompt in batch.prompts]
        processors = [RowSampler(draws)] if any(draws) else []
        output = self._model.generate(
            **inputs,
            generation_config=self._settings_for(max(limits)),
            logits_processor=LogitsProcessorList(processors),
            stopping_criteria=StoppingCriteriaList([RowLimits(limits, width, self.stop)]),
        )
        if self.stop.is_set():
            raise ModelError("the model was closed", fatal=True)
        rows = output[:, width:].tolist()
        return [
            self._reply(row[:limit], length)
            for row, limit, length in zip(rows, limits, batch.lengths, strict=True)
        ]

    def _draw(self, prompt: Prompt) -> RowDraw | None:
        """How to draw this prompt's tokens; None is greedy."""
        own = self._model.generation_config
        temperature, top_p, top_k = prompt.sampling.temperature, prompt.sampling.top_p, None
        if temperature is None:
            temperature = (own.temperature or 1.0) if own.do_sample else 0.0
            top_p, top_k = top_p or own.top_p, own.top_k
        if not temperature:
            return None
        return RowDraw.of(prompt, temperature, top_p or 1.0, top_k or 0)

    def _reply(self, tokens: list[int], prompt_tokens: int) -> Reply:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        return Reply(
            text=self._tokenizer.decode(kept, skip_special_tokens=True),
            finish="length" if end is None else "stop",
            usage=Usage(prompt_tokens, None, len(tokens) if end is None else end + 1),
        )

    def _choose(self, batch: Batch) -> list[Reply]:
        """One forward pass: the log-probability of each option letter as the first token."""
        output = self._model.generate(
            **self._on_device(batch),
            generation_config=self._settings_for(
                1, output_logits=True, return_dict_in_generate=True
            ),
        )
        rows = torch.log_softmax(output.logits[0].float(), dim=-1)
        return [
            self._chosen(prompt, row, length)
            for prompt, row, length in zip(batch.prompts, rows, batch.lengths, strict=True)
        ]

    def _chosen(self, prompt: Prompt, row: Any, length: int) -> Reply:
        if not prompt.options:
            raise ModelError("letters can be chosen only where a question has options")
        # A reply of nothing but a letter has no space before it.
        bare = not prompt.sampling.logprobs
        spellings = letter_tokens(self._tokenizer, tuple(prompt.options), bare=bare)
        found = {
            letter: float(torch.logsumexp(row[list(tokens)], dim=0))
            for letter, tokens in spellings.items()
        }
        draw = None if prompt.sampling.logprobs else self._draw(prompt)
        return Reply(
            text=draw.choose(found) if draw else max(found, key=found.__getitem__),
            usage=Usage(length, None, 1),
            logprobs=found if prompt.sampling.logprobs else None,
        )


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
