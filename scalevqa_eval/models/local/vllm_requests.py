"""Prompts → vLLM's requests, and its outputs → replies. Imports vLLM only inside functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.types import FinishReason, Prompt, Reply, Usage

_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


def chat_parameters(template: str | None) -> Any:
    """How a conversation becomes text, by the same path as in vLLM's chat server."""
    from vllm.renderers import ChatParams

    return ChatParams(
        chat_template=template,
        chat_template_kwargs={
            "add_generation_prompt": True,
            "continue_final_message": False,
            "tools": None,
            "tokenize": False,
        },
    )


def sampling_parameters(
    prompt: Prompt, tokenizer: Any, own: Mapping[str, Any], *, stream: bool
) -> Any:
    """vLLM's SamplingParams for a prompt; `own` are the checkpoint's generation settings.

    Nothing of `own` is used (no repetition penalty either) unless the prompt leaves its
    temperature to the engine. With `stream` the output comes after each token, all of it so far;
    else once, at the end.
    """
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    sampling = prompt.sampling
    given: dict[str, Any] = {}
    if sampling.temperature is None:
        given = {key: own[key] for key in ("temperature", "top_p", "top_k") if key in own}
    else:
        given["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        given["top_p"] = sampling.top_p
    if sampling.logprobs:
        spellings = letter_tokens(tokenizer, tuple(prompt.options))
        tokens = [token for ids in spellings.values() for token in ids]
        given |= {"temperature": 0.0, "logprob_token_ids": tokens}
    elif sampling.letters_only and prompt.options:
        given["structured_outputs"] = StructuredOutputsParams(choice=list(prompt.options))
    return SamplingParams(
        max_tokens=1 if sampling.logprobs else sampling.max_tokens,
        seed=sampling.seed,
        output_kind=RequestOutputKind.CUMULATIVE if stream else RequestOutputKind.FINAL_ONLY,
        **given,
    )


def read_output(prompt: Prompt, output: Any, tokenizer: Any, model: str, latency: float) -> Reply:
    """vLLM's RequestOutput as a reply. Raises ModelError if it holds none."""
    if output is None or not output.outputs:
        raise ModelError("vLLM gave no output", retryable=True)
    first = output.outputs[0]
    if first.finish_reason not in _FINISH:
        raise ModelError(f"vLLM ended the reply with {first.finish_reason!r}", retryable=True)
    text, finish, logprobs = first.text, _FINISH[first.finish_reason], None
    if prompt.sampling.logprobs:
        tokens = first.logprobs[0]
        spellings = letter_tokens(tokenizer, tuple(prompt.options))
        logprobs = {
            letter: log_sum(tokens[token].logprob for token in ids)
            for letter, ids in spellings.items()
        }
        text, finish = max(logprobs, key=logprobs.__getitem__), "stop"
    return Reply(
        text=text,
        finish=finish,
        usage=Usage(len(output.prompt_token_ids), output.num_cached_tokens, len(first.token_ids)),
        latency=latency,
        model=model,
        logprobs=logprobs,
    )


def log_sum(values: Iterable[float]) -> float:
    """log of the sum of exp(values), natural logarithms."""
    found = list(values)
    top = max(found)
    return top + math.log(sum(math.exp(value - top) for value in found))
