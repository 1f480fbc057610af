"""The heavy half of `hf/`: a checkpoint's weights in memory, which answer batches of prompts.

Imported only by hf.py, which makes the batches. All methods block.
"""

from __future__ import annotations

import hashlib
import inspect
import random
import threading
import time
from dataclasses import replace
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.hf_batching import OutOfMemory
from scalevqa_eval.models.local.hf_processor import Batch, Preparer, first_line
from scalevqa_eval.models.local.hf_sampling import RowDraw, RowLimits, RowSampler
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.types import Prompt, Reply, Usage


class Engine:
    """The weights of one checkpoint. Used by one thread at a time, but for `stop`.

    Setting `stop` ends the generation under way at its next token.
    """

    def __init__(self, preparer: Preparer) -> None:
        self.stop = threading.Event()
        self._settings = preparer.settings
        self._preparer = preparer
        self._tokenizer = preparer.tokenizer
        self._model: Any = None

    def load_weights(self) -> None:
        """Load the weights; does nothing if they are there. Raises ModelError (fatal)."""
        if self._model is not None:
            return
        if self.stop.is_set():
            raise ModelError("the model was closed", fatal=True)
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # it would be drawn across ours
        auto = AutoModelForImageTextToText if self._preparer.takes_images else AutoModelForCausalLM
        options: dict[str, Any] = {"dtype": self._settings.dtype, **self._preparer.shared}
        device_map = self._settings.device_map
        if device_map is None and torch.cuda.is_available():
            device_map = "auto"
        if device_map is not None:
            options["device_map"] = device_map
        if self._settings.attn is not None:
            options["attn_implementation"] = self._settings.attn
        try:
            model, report = auto.from_pretrained(
                self._settings.source, output_loading_info=True, **options
            )
        except Exception as error:  # whatever loaders, kernels and accelerators raise
            raise ModelError(
                f"cannot load the weights of {self._settings.source}: {first_line(error)}",
                fatal=True,
            ) from error
        missing = sorted(report["missing_keys"])
        if missing:
            raise ModelError(
                f"{self._settings.source} lacks {len(missing)} of its weights, such as "
                f"{missing[0]}: they would be random",
                fatal=True,
            )
        model.eval()
        self._model = model
        self._takes = set(inspect.signature(model.forward).parameters)

    def unload(self) -> None:
        """Free the weights' memory."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, batch: Batch) -> list[Reply]:
        """One reply per prompt, in order. Raises OutOfMemory, or ModelError if all failed."""
        self.load_weights()
        started = time.perf_counter()
        full, failure = "", None
        sampling = batch.prompts[0].sampling
        work = self._choose if sampling.logprobs or sampling.letters_only else self._generate
        try:
            with torch.inference_mode():
                replies = work(batch)
        except torch.OutOfMemoryError as error:
            full = first_line(error) or "out of memory"
        except RuntimeError as error:
            if "can't allocate memory" in str(error):  # what the CPU's allocator says
                full = first_line(error)
            else:
                fatal = "CUDA error" in str(error)  # the device cannot be used after these
                failure = ModelError(f"generation failed: {first_line(error)}", fatal=fatal)
        # Raised out here, so that no traceback keeps the device's memory.
        if full:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise OutOfMemory(full)
        if failure is not None:
            raise failure
        seconds = time.perf_counter() - started
        return [_with_latency(reply, seconds) for reply in replies]

    def _on_device(self, batch: Batch) -> dict[str, Any]:
        inputs = batch.inputs.to(self._model.device)
        weights = self._model.dtype
        return {
            name: value.to(weights) if torch.is_floating_point(value) else value
            for name, value in inputs.items()
            if name in self._takes or name in ("input_ids", "attention_mask")
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
            min(prompt.sampling.max_tokens, (self._preparer.context or 1 << 30) - length)
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
        return RowDraw(temperature, top_p or 1.0, top_k or 0, _seed(prompt))

    def _reply(self, tokens: list[int], prompt_tokens: int) -> Reply:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        return Reply(
            text=self._tokenizer.decode(kept, skip_special_tokens=True),
            finish="length" if end is None else "stop",
            usage=Usage(prompt_tokens, None, len(tokens) if end is None else end + 1),
            model=self._settings.source,
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
            model=self._settings.source,
            logprobs=found if prompt.sampling.logprobs else None,
        )


def _seed(prompt: Prompt) -> int:
    """Of the prompt and its seed alone, so that no batch or order changes what is drawn."""
    if prompt.sampling.seed is None:
        return random.SystemRandom().getrandbits(63)
    digest = hashlib.sha256(f"{prompt.sampling.seed}:{prompt.digest()}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _with_latency(reply: Reply, seconds: float) -> Reply:
    return replace(reply, latency=seconds)
