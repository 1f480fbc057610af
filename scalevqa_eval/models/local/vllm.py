"""`vllm/PATH_OR_ID`: vLLM's own server on this machine, started, asked as openai/ does, stopped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import (
    Checkpoint,
    read_template,
    template_identity,
    whole_number,
)
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.models.local.vllm_server import Server
from scalevqa_eval.models.remote.http import Connection
from scalevqa_eval.models.remote.model import RemoteModel
from scalevqa_eval.models.remote.openai import ChatCompletions
from scalevqa_eval.types import LETTERS, Capabilities, Prompt, Reply

_REMEMBERED = 1000  # image sets that were shown
# Where and in how much memory a model runs changes no reply: a run may go on on other machines.
_PLACEMENT = re.compile(
    r".*parallel.*|data_parallel.*|nnodes|node_rank|master_.*|headless|gpu_memory_utilization"
    r"|limit_mm_per_prompt|.*swap_space|cpu_offload_gb|kv_cache_memory_bytes|load_format"
)


def load(
    name: str,
    *,
    limit_mm_per_prompt: int | str | Mapping[str, int] | None = None,
    min_pixels: int | str | None = None,
    max_pixels: int | str | None = None,
    chat_template: str | None = None,
    revision: str | None = None,
    engine_args: Mapping[str, Any] | None = None,
    port: int | str | None = None,
    start_timeout: float = 1800.0,
    timeout: float = 600.0,
    **options: Any,
) -> VLLMModel:
    """The checkpoint in directory `name`, or of the hub, served by vLLM on 127.0.0.1.

    `options` are those of vLLM's server, with underscores; docs/engines.md describes the others.
    The server starts with `start`, or with the first prompt. Raises MissingExtra, or UsageError
    for what cannot be used.
    """
    if find_spec("vllm") is None:
        raise MissingExtra("vllm/", "vllm")
    if not isinstance(engine_args or {}, Mapping):
        raise UsageError('engine_args is a JSON object, such as {"max_num_seqs": 64}')
    options |= engine_args or {}
    for key in options:
        if not str(key).isidentifier():
            raise UsageError(f"engine_args: {key!r} is no option of vLLM's server")
    bounds = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    pixels = {key: found for key in bounds if (found := whole_number(key, bounds[key]))}
    if pixels:
        options["mm_processor_kwargs"] = {**(options.get("mm_processor_kwargs") or {}), **pixels}
    if isinstance(limit_mm_per_prompt, Mapping):
        if set(limit_mm_per_prompt) != {"image"}:
            raise UsageError('limit_mm_per_prompt is a number of images, or {"image": 5}')
        limit_mm_per_prompt = limit_mm_per_prompt["image"]
    images = whole_number("limit_mm_per_prompt", limit_mm_per_prompt, least=0)
    checkpoint = Checkpoint.find(name, revision)
    if checkpoint.adapter is not None:
        raise UsageError(
            f"{name} is a LoRA adapter, which vLLM applies to the language model alone: take "
            f"hf/{name}, or merge it into its base ({checkpoint.source}) and give that directory"
        )
    identity = {
        "engine": "vllm",
        **checkpoint.identity,
        "chat_template": template_identity(read_template(chat_template)),
        "options": {
            key: value
            for key, value in options.items()
            if value is not None and not _PLACEMENT.fullmatch(key)
        },
    }
    options["limit_mm_per_prompt"] = None if images is None else {"image": images}
    options["revision"] = checkpoint.commit
    options["chat_template"] = chat_template and Path(chat_template).expanduser()
    server = Server(
        checkpoint.source,
        options,
        whole_number("port", port),
        float(start_timeout),
        float(timeout),
    )
    remote_code = bool(options.get("trust_remote_code"))
    return VLLMModel(f"vllm/{name}", checkpoint, server, identity, images, remote_code)


class _ServedModel(ChatCompletions):
    """openai/ for our own server, with more fields, which depend on the prompt."""

    path = "/v1/chat/completions"

    def __init__(
        self,
        name: str,
        connection: Connection,
        capabilities: Capabilities,
        more: Callable[[Prompt], Mapping[str, Any]],
    ) -> None:
        RemoteModel.__init__(self, name, connection, capabilities, {})
        self._model, self._limit, self._omit, self._detail = name, "max_tokens", set(), ""
        self._more = more

    def request(self, prompt: Prompt, image: Callable[[bytes], str]) -> dict[str, Any]:
        return {**super().request(prompt, image), **self._more(prompt)}


class VLLMModel:
    """A server and the adapter that asks it. Use `load`."""

    def __init__(
        self,
        name: str,
        checkpoint: Checkpoint,
        server: Server,
        identity: Mapping[str, Any],
        max_images: int | None,
        remote_code: bool,
    ) -> None:
        self.name = name
        self.identity = identity
        self.server = server
        self.capabilities = Capabilities(
            max_images=max_images if checkpoint.shows_images else 0,
            logprobs=True,
            letters_only=True,
            concurrency=64,
        )
        self._asked = _ServedModel(
            checkpoint.source, server.connection, self.capabilities, self._fields
        )
        self._checkpoint = checkpoint
        self._remote_code = remote_code
        self._own_sampling = checkpoint.own_sampling()
        self._adds_begin_token = False
        self._letters: list[int] = []
        self._starting: asyncio.Task[None] | None = None
        self._closed = False
        self._shown: dict[tuple[str, ...], asyncio.Task[int | None]] = {}

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises ModelError (fatal)."""
        if self._closed:
            raise ModelError("the model was closed", fatal=True)
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        # Shielded: one waiting question that is given up must not end the start for the others.
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        try:
            await self.server.start()
            if self._checkpoint.shows_images:
                self._adds_begin_token = await self._template_lacks_begin_token()
        except BaseException:
            await asyncio.to_thread(self.server.stop)
            raise

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        await self.start()
        sampling = prompt.sampling
        # The server refuses what it cannot promise.
        most = 1 if sampling.logprobs else min(sampling.max_tokens, self.server.context - 1)
        prompt = replace(prompt, sampling=replace(sampling, max_tokens=most))
        try:
            cached = await self._show_images(prompt)
            reply = await self._asked.reply(prompt)
        except ModelError as error:
            if error.retryable and (reason := self.server.died()):
                raise ModelError(reason, fatal=True) from error
            raise
        if cached is not None:
            reply = replace(reply, usage=replace(reply.usage, cached_tokens=cached))
        return replace(reply, model=self._checkpoint.source)

    async def aclose(self) -> None:
        """Stop the server and wait until it is gone."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._asked.aclose()
        await asyncio.to_thread(self.server.stop)

    async def _show_images(self, prompt: Prompt) -> int | None:
        """Have the server read an image set once, before the questions about it are asked.

        Questions asked at the same moment would find nothing in its prefix cache, and each would
        compute the images again. Only a whole reply tells that a prompt has been read, so the
        first question is asked for a single token beforehand. Returns how much of that request
        came from the cache, to the one that made it.
        """
        images = tuple(part.sha256 for part in prompt.images)
        if images in self._shown:
            await asyncio.wait([self._shown[images]])
        elif images:
            reading = self._shown[images] = asyncio.create_task(self._read(prompt))
            if len(self._shown) > _REMEMBERED:
                del self._shown[next(iter(self._shown))]
            return await asyncio.shield(reading)
        return None

    async def _read(self, prompt: Prompt) -> int | None:
        sampling = replace(prompt.sampling, max_tokens=1, letters_only=False)
        try:
            return (await self._asked.reply(replace(prompt, sampling=sampling))).usage.cached_tokens
        except ModelError:  # the question itself will say so
            return None

    def _fields(self, prompt: Prompt) -> Mapping[str, Any]:
        """What of a request only vLLM knows."""
        fields: dict[str, Any] = {"add_special_tokens": self._adds_begin_token}
        if prompt.sampling.logprobs:  # none may be lost for not being among the likeliest
            fields["logprob_token_ids"] = self._letter_ids()
        elif prompt.sampling.temperature is None:
            fields |= self._own_sampling
        return fields

    def _letter_ids(self) -> list[int]:
        """Tokens that spell one option letter."""
        if not self._letters:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(
                self._checkpoint.source,
                revision=self._checkpoint.commit,
                trust_remote_code=self._remote_code,
            )
            ids = letter_tokens(tokenizer, LETTERS).values()
            self._letters = sorted({token for tokens in ids for token in tokens})
        return self._letters

    async def _template_lacks_begin_token(self) -> bool:
        """Whether the template leaves the begin-of-text token to the tokenizer (LLaVA-1.5).

        Transformers then adds it; vLLM does so only if it is asked to.
        """
        messages = [{"role": "user", "content": "Hello"}]
        added, alone = [
            (await self.server.tokenize(messages=messages, add_special_tokens=add)).get("tokens")
            for add in (True, False)
        ]  # nothing without a chat template: the first prompt will say so
        return bool(added and alone and added != alone and added[0] != alone[0])
