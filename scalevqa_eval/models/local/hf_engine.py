"""Half of `hf/`: a checkpoint's weights, which answer batches of prompts.

Imported only by huggingface.py. All methods block; huggingface.py calls them from one thread.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from scalevqa_eval.errors import MissingExtra, ModelError
from scalevqa_eval.models.local.checkpoint import Checkpoint, said
from scalevqa_eval.models.local.hf_processor import Batch, Processor, Settings
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.types import Prompt, Reply, Usage


class Engine:
    """One checkpoint: `processor` makes the batches that `answer` takes."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        """Read configuration, processor and chat template; no weights. Raises UsageError."""
        self.processor = Processor(checkpoint, settings)
        self.source, self._tokenizer = checkpoint.source, self.processor.tokenizer
        self._checkpoint, self._settings = checkpoint, settings
        self._own_sampling = checkpoint.own_sampling()
        self._model: Any = None
        self._ends: set[int] = set()

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
            model, report = self.processor.loader.from_pretrained(
                self.source,
                output_loading_info=True,
                **{key: value for key, value in given.items() if value is not None},
                **self.processor.shared,
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
        letters = sampling.logprobs or sampling.letters_only
        try:
            with torch.inference_mode():
                inputs = self._on_device(batch.inputs)
                replies = (
                    self._choose(batch, inputs)
                    if letters
                    else self._generate(batch, inputs, wanted)
                )
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
        limits = [min(most, self.processor.context - length) for length in batch.lengths]
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

    def _choose(self, batch: Batch, inputs: Any) -> list[Reply]:
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
