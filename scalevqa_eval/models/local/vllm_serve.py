"""`vllm-serve/PATH_OR_ID`: starts vLLM's server on this machine and asks it as openai/ does.

The server listens on loopback alone, wants a key that only this process knows, and never
outlives it (guard.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.base import Model
from scalevqa_eval.models.local import guard
from scalevqa_eval.models.local.checkpoint import whole_number
from scalevqa_eval.models.local.image_sets import FirstOfSet
from scalevqa_eval.models.local.vllm import quiet_environment
from scalevqa_eval.models.local.vllm_options import VLLMOptions, read_options, write_template
from scalevqa_eval.models.remote import openai
from scalevqa_eval.types import LETTERS, Prompt, Reply

_KEY = "SCALEVQA_VLLM_SERVE_KEY"
_TAIL = 15  # lines of the log that a failure shows


def load(
    name: str,
    *,
    dtype: str = "auto",
    tensor_parallel_size: int | str = 1,
    data_parallel_size: int | str = 1,
    max_model_len: int | str | None = None,
    limit_mm_per_prompt: int | str | Mapping[str, int] | None = None,
    enforce_eager: bool = False,
    gpu_memory_utilization: float | None = None,
    min_pixels: int | str | None = None,
    max_pixels: int | str | None = None,
    chat_template: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    engine_args: Mapping[str, Any] | str | None = None,
    port: int | str | None = None,
    start_timeout: float = 1800.0,
    timeout: float = 600.0,
) -> VLLMServeModel:
    """The checkpoint in directory `name`, or of the hub, served by vLLM on 127.0.0.1.

    The options are those of `vllm/`; `engine_args` become flags of the server. `port` is chosen
    by the system unless given. `start_timeout` bounds the wait for the server, `timeout` one
    request (seconds). The server starts with the first prompt, or with `start`.

    Raises MissingExtra, or UsageError for what cannot be used.
    """
    options = read_options(
        name,
        dtype=dtype,
        tensor_parallel_size=tensor_parallel_size,
        data_parallel_size=data_parallel_size,
        max_model_len=max_model_len,
        limit_mm_per_prompt=limit_mm_per_prompt,
        enforce_eager=enforce_eager,
        gpu_memory_utilization=gpu_memory_utilization,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        chat_template=chat_template,
        revision=revision,
        trust_remote_code=trust_remote_code,
        engine_args=engine_args,
    )
    if find_spec("vllm") is None:
        raise MissingExtra("vllm-serve/", "vllm")
    chosen = free_port(whole_number("port", port))
    return VLLMServeModel(options, chosen, start_timeout, timeout)


def free_port(wanted: int | None = None) -> int:
    """A port of 127.0.0.1 on which nobody listens: the wanted one or any. Raises UsageError."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except (OSError, OverflowError) as error:
            what = f"port {wanted} of 127.0.0.1 is not free" if wanted else "no port is free"
            raise UsageError(f"{what} ({error}): leave out port, or give another") from error
        return int(probe.getsockname()[1])


class VLLMServeModel:
    """A server process and the adapter that asks it. Use `load`."""

    def __init__(
        self, options: VLLMOptions, port: int, start_timeout: float, timeout: float
    ) -> None:
        self._options = options
        self._start_timeout = start_timeout
        self._timeout = timeout
        self._port = port
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._ready = False
        self._closed = False
        self._context = sys.maxsize
        self._sets = FirstOfSet()
        self._asked: dict[bool, Model] = {}
        self._key = secrets.token_urlsafe(24)
        self.name = f"vllm-serve/{options.name}"
        self.identity: Mapping[str, Any] = {**options.identity(), "served": True}
        self.capabilities = replace(
            self._adapter(False).capabilities,
            max_images=options.max_images,
            logprobs=True,
            letters_only=True,
        )

    @property
    def pid(self) -> int | None:
        """The process that watches over the server, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the server and wait until it is healthy. Raises ModelError (fatal)."""
        try:
            await asyncio.to_thread(self._start)
        except asyncio.CancelledError:
            self._closed = True  # ends the wait in the thread, and the server
            raise

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        if not self._ready:
            await asyncio.to_thread(self._start)
        try:
            async with self._sets.turn(prompt) as read:
                reply = await self._ask(prompt, read)
        except ModelError as error:
            if error.retryable and self._process is not None and self._process.poll() is not None:
                raise ModelError(self._died("died"), fatal=True) from error
            raise
        return replace(reply, model=self._options.source)

    async def _ask(self, prompt: Prompt, read: Callable[[], None] | None) -> Reply:
        adapter = self._adapter(prompt.sampling.logprobs)
        prompt = self._fitted(prompt)
        if read is None or prompt.sampling.max_tokens == 1:
            return await adapter.reply(prompt)
        # The server says nothing before a reply is whole, so that a request for one token tells
        # when the prompt has been read; the reply itself then finds it in the cache.
        short = replace(prompt, sampling=replace(prompt.sampling, max_tokens=1, letters_only=False))
        first = await adapter.reply(short)
        read()
        reply = await adapter.reply(prompt)
        cached = first.usage.cached_tokens
        return replace(reply, usage=replace(reply.usage, cached_tokens=cached))

    def _fitted(self, prompt: Prompt) -> Prompt:
        """With no more tokens than the context has: the server refuses what it cannot promise."""
        if prompt.sampling.max_tokens < self._context:
            return prompt
        sampling = replace(prompt.sampling, max_tokens=self._context - 1)
        return replace(prompt, sampling=sampling)

    async def aclose(self) -> None:
        """Stop the server and wait until it is gone."""
        self._closed = True
        for adapter in self._asked.values():
            await adapter.aclose()
        await asyncio.to_thread(self._stop)

    def _adapter(self, logprobs: bool) -> Model:
        """The adapter, made once; another one when letters' log-probabilities are wanted."""
        if logprobs not in self._asked:
            os.environ[_KEY] = self._key
            try:
                self._asked[logprobs] = openai.load(
                    self._options.name,
                    base_url=f"http://127.0.0.1:{self._port}/v1",
                    server="vllm",
                    timeout=self._timeout,
                    api_key_env=_KEY,
                    extra_body={"logprob_token_ids": self._letter_ids()} if logprobs else None,
                )
            finally:
                del os.environ[_KEY]
        return self._asked[logprobs]

    def _letter_ids(self) -> list[int]:
        """Tokens that spell one option letter: so none is lost for not being among the top."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            self._options.source,
            revision=self._options.checkpoint.get("revision"),
            trust_remote_code=self._options.arguments.get("trust_remote_code", False),
        )
        texts = (text for letter in LETTERS for text in (letter, f" {letter}"))
        tokens = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
        return sorted({found[0] for found in tokens if len(found) == 1})

    def _start(self) -> None:
        with self._starting:
            if self._ready:
                return
            if self._closed:
                raise ModelError("the model was closed", fatal=True)
            self._spawn()
            deadline = time.monotonic() + self._start_timeout
            while not self._healthy():
                failure = ""
                assert self._process is not None
                if self._process.poll() is not None:
                    failure = self._died("ended while starting")
                elif self._closed:
                    failure = "the model was closed"
                elif time.monotonic() > deadline:
                    failure = self._died(f"was not ready within {self._start_timeout:g} s")
                if failure:
                    self._stop()
                    raise ModelError(failure, fatal=True)
                time.sleep(0.2)
            self._ready = True

    def _spawn(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="scalevqa-vllm-"))
        environment = {**os.environ, "VLLM_API_KEY": self._key}
        quiet_environment(environment)
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",
            "--host", "127.0.0.1",
            "--port", str(self._port),
            "--served-model-name", self._options.name,
            # Greedy means greedy: no penalty or temperature from the checkpoint's own settings.
            "--generation-config", "vllm",
            "--enable-prompt-tokens-details",
            *self._options.flags(),
            *write_template(self._options, self._directory),
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, str(Path(guard.__file__)), *command],
                stdin=subprocess.PIPE,  # its closing, by us or by our death, stops the server
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def _log(self) -> Path:
        assert self._directory is not None
        return self._directory / "server.log"

    def _healthy(self) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/v1/models",
            headers={"Authorization": f"Bearer {self._key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                self._context = int(json.load(response)["data"][0]["max_model_len"])
        except (OSError, urllib.error.URLError):
            return False
        except (ValueError, KeyError, IndexError, TypeError):
            pass  # a server that does not tell
        return True

    def _died(self, how: str) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        shown = [line.rstrip() for line in lines if line.strip()][-_TAIL:]
        tail = "\n  ".join(["", *shown]).replace(self._key, "***")
        return f"vLLM's server {how}. The end of its log:{tail or ' (empty)'}"

    def _stop(self) -> None:
        process = self._process
        self._process, self._ready = None, False
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
