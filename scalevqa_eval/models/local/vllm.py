"""`vllm/PATH_OR_ID`: vLLM's own server on this machine, started, asked as openai/ does, stopped.

The server listens on loopback alone, wants a key that only this process knows, and never
outlives it (guard.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
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
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.base import Model
from scalevqa_eval.models.local import guard
from scalevqa_eval.models.local.checkpoint import Checkpoint, read_template, whole_number
from scalevqa_eval.models.local.letters import letter_tokens
from scalevqa_eval.models.remote import openai
from scalevqa_eval.types import LETTERS, Capabilities, Prompt, Reply

_KEY = "SCALEVQA_VLLM_KEY"
_REMEMBERED = 10_000  # image sets that were shown
# Where and in how much memory a model runs changes no reply: a run may go on on other machines.
_PLACEMENT = re.compile(
    r".*parallel.*|data_parallel.*|nnodes|node_rank|master_.*|headless|gpu_memory_utilization"
    r"|limit_mm_per_prompt|.*swap_space|cpu_offload_gb|kv_cache_memory_bytes|load_format"
)
# The line that ends a traceback, or argparse's, behind what vLLM and its loggers write before it.
_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] ?)?")
_ERROR = re.compile(
    _PREFIX.pattern + r"((?:[\w.]+(?:Error|Exception|Interrupt)|[\w.-]+: error)\b.*)"
)


def load(
    name: str,
    *,
    limit_mm_per_prompt: int | str | Mapping[str, int] | None = None,
    min_pixels: int | str | None = None,
    max_pixels: int | str | None = None,
    chat_template: str | None = None,
    revision: str | None = None,
    engine_args: Mapping[str, Any] | str | None = None,
    port: int | str | None = None,
    start_timeout: float = 1800.0,
    timeout: float = 600.0,
    **options: Any,
) -> VLLMModel:
    """The checkpoint in directory `name`, or of the hub, served by vLLM on 127.0.0.1.

    `options` are those of vLLM's server, with underscores (`tensor_parallel_size=2`,
    `enforce_eager=True`, `trust_remote_code=True`); `engine_args` is the same as one mapping or
    JSON text. `limit_mm_per_prompt` may be just a number of images. `min_pixels` and `max_pixels`
    bound the images of models that take any size. `chat_template` is a Jinja file to use instead
    of the model's. `port` is chosen by the system unless given. `start_timeout` bounds the wait
    for the server, `timeout` one request (seconds). The server starts with `start`, or with the
    first prompt.

    Raises MissingExtra, or UsageError for what cannot be used.
    """
    options |= _mapping("engine_args", engine_args or {})
    for key in options:
        if not str(key).isidentifier():
            raise UsageError(f"engine_args: {key!r} is no option of vLLM's server")
    pixels = {
        "min_pixels": whole_number("min_pixels", min_pixels),
        "max_pixels": whole_number("max_pixels", max_pixels),
    }
    if pixels := {key: value for key, value in pixels.items() if value}:
        options["mm_processor_kwargs"] = {**(options.get("mm_processor_kwargs") or {}), **pixels}
    images = _image_limit(limit_mm_per_prompt)
    if images is not None:
        options["limit_mm_per_prompt"] = {"image": images}
    checkpoint = Checkpoint.find(name, revision)
    if checkpoint.adapter is not None:
        raise UsageError(
            f"{name} is a LoRA adapter, which vLLM applies to the language model alone: take "
            f"hf/{name}, or merge it into its base ({checkpoint.source}) and give that directory"
        )
    template = read_template(chat_template)
    if find_spec("vllm") is None:
        raise MissingExtra("vllm/", "vllm")
    server = Server(
        checkpoint, options, template, free_port(whole_number("port", port)), float(start_timeout)
    )
    return VLLMModel(name, server, images, float(timeout))


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


class VLLMModel:
    """A server and the adapter that asks it. Use `load`."""

    def __init__(self, name: str, server: Server, max_images: int | None, timeout: float) -> None:
        self.server = server
        self._timeout = timeout
        self._shown: OrderedDict[tuple[str, ...], asyncio.Task[int | None]] = OrderedDict()
        self._adapters: dict[str, Model] = {}
        self.name = f"vllm/{name}"
        self.identity: Mapping[str, Any] = server.identity
        self.capabilities = Capabilities(
            max_images=max_images if server.checkpoint.shows_images else 0,
            logprobs=True,
            letters_only=True,
            concurrency=64,
        )

    async def start(self) -> None:
        """Start the server and wait until it is healthy. Raises ModelError (fatal)."""
        # Shielded: one waiting question that is given up must not end the start for the others.
        await asyncio.shield(asyncio.wrap_future(self.server.started()))

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        await self.start()
        sampling = prompt.sampling
        # The server refuses what it cannot promise.
        most = 1 if sampling.logprobs else min(sampling.max_tokens, self.server.context - 1)
        prompt = replace(prompt, sampling=replace(sampling, max_tokens=most))
        try:
            cached = await self._show_images(prompt)
            reply = await self._adapter(prompt).reply(prompt)
        except ModelError as error:
            if error.retryable and (reason := self.server.died()):
                raise ModelError(reason, fatal=True) from error
            raise
        if cached is not None:
            reply = replace(reply, usage=replace(reply.usage, cached_tokens=cached))
        return replace(reply, model=self.server.checkpoint.source)

    async def aclose(self) -> None:
        """Stop the server and wait until it is gone."""
        for adapter in self._adapters.values():
            await adapter.aclose()
        await asyncio.to_thread(self.server.stop)

    async def _show_images(self, prompt: Prompt) -> int | None:
        """Have the server read an image set once, before the questions about it are asked.

        Questions asked at the same moment would find nothing in its prefix cache, and each would
        compute the images again. Only a whole reply tells that a prompt has been read, so the
        first question is asked for a single token beforehand. Returns how much of that request
        came from the cache, to the one that made it.
        """
        images = tuple(part.sha256 for part in prompt.images)
        reading = self._shown.get(images)
        if reading is None and images:
            short = replace(
                prompt, sampling=replace(prompt.sampling, max_tokens=1, letters_only=False)
            )
            reading = self._shown[images] = asyncio.create_task(self._read(short))
            if len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)
            return await asyncio.shield(reading)
        if reading is not None and not reading.done():
            await asyncio.wait([reading])
        return None

    async def _read(self, prompt: Prompt) -> int | None:
        try:
            return (await self._adapter(prompt).reply(prompt)).usage.cached_tokens
        except ModelError:  # the question itself will say so
            self._shown.pop(tuple(part.sha256 for part in prompt.images), None)
            return None

    def _adapter(self, prompt: Prompt) -> Model:
        """openai/ for this server, with what such prompts need in addition; each is made once."""
        extra: dict[str, Any] = {"add_special_tokens": self.server.adds_special_tokens}
        if prompt.sampling.logprobs:  # none may be lost for not being among the likeliest
            extra["logprob_token_ids"] = self.server.letter_ids()
        elif prompt.sampling.temperature is None:
            extra |= self.server.checkpoint.own_sampling()
        key = json.dumps(extra)
        if key not in self._adapters:
            os.environ[_KEY] = self.server.key
            try:
                self._adapters[key] = openai.load(
                    self.server.checkpoint.source,
                    base_url=f"{self.server.address}/v1",
                    server="vllm",
                    timeout=self._timeout,
                    api_key_env=_KEY,
                    extra_body=extra,
                )
            finally:
                del os.environ[_KEY]
        return self._adapters[key]


class Server:
    """vLLM's server for one checkpoint: started once, in a process under guard."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: Mapping[str, Any],
        template: str | None,
        port: int,
        start_timeout: float,
    ) -> None:
        self.checkpoint = checkpoint
        self.address = f"http://127.0.0.1:{port}"
        self.key = secrets.token_urlsafe(24)
        self.context = sys.maxsize
        self.adds_special_tokens = False
        self._options = {**options, "revision": checkpoint.commit}
        self._template = template
        self._port = port
        self._patience = start_timeout
        self._directory = Path(tempfile.gettempdir())
        self._process: subprocess.Popen[bytes] | None = None
        self._started: Future[None] | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._letters: list[int] = []

    @property
    def identity(self) -> dict[str, Any]:
        """What of this may change a reply, as JSON values."""
        template = self._template
        return {
            "engine": "vllm",
            **self.checkpoint.identity,
            "chat_template": hashlib.sha256(template.encode()).hexdigest() if template else "own",
            "options": {
                key: value
                for key, value in self._options.items()
                if value is not None and key != "revision" and not _PLACEMENT.fullmatch(key)
            },
        }

    def command(self) -> list[str]:
        """How the server is started. What must not be changed by options comes last."""
        flags = []
        for key, value in {**self._options, "enable_prefix_caching": True}.items():
            flag = key.replace("_", "-")
            if isinstance(value, bool):
                flags.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                text = json.dumps(value) if isinstance(value, Mapping | list) else str(value)
                flags.append(f"--{flag}={text}")
        return [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flags,
            f"--model={self.checkpoint.source}",
            f"--served-model-name={self.checkpoint.source}",
            "--host=127.0.0.1",
            f"--port={self._port}",
            # Greedy means greedy: no penalty or temperature from the checkpoint's own settings.
            "--generation-config=vllm",
            "--enable-prompt-tokens-details",
        ]  # fmt: skip

    def started(self) -> Future[None]:
        """The one start, begun at the first call; its ModelError (fatal) if it failed."""
        with self._lock:
            if self._started is None:
                self._started = Future()
                threading.Thread(target=self._start, args=[self._started], daemon=True).start()
            return self._started

    def stop(self) -> None:
        """Stop the server and wait until it is gone; it cannot be started again."""
        self._closed.set()
        with self._lock:
            started = self._started
            if started is None:
                self._started = started = Future()
                started.set_exception(ModelError("the model was closed", fatal=True))
        started.exception()  # waits for a start under way, which ends now
        self._end()

    def died(self) -> str:
        """Why the server is gone, or "" while it runs."""
        if self._process is None or self._process.poll() is None:
            return ""
        return f"vLLM's server died: {self._reason()}"

    def letter_ids(self) -> list[int]:
        """Tokens that spell one option letter."""
        if not self._letters:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(
                self.checkpoint.source,
                revision=self.checkpoint.commit,
                trust_remote_code=bool(self._options.get("trust_remote_code")),
            )
            ids = letter_tokens(tokenizer, LETTERS).values()
            self._letters = sorted({token for tokens in ids for token in tokens})
        return self._letters

    def _start(self, started: Future[None]) -> None:
        try:
            self._spawn()
            self._wait()
            if self.checkpoint.shows_images:
                self.adds_special_tokens = self._lacks_begin_token()
        except BaseException as error:
            self._end()
            if not isinstance(error, ModelError):
                error = ModelError(f"cannot start vLLM's server: {error!r}", fatal=True)
            started.set_exception(error)
        else:
            started.set_result(None)

    def _spawn(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="scalevqa-vllm-"))
        command = self.command()
        if self._template is not None:
            file = self._directory / "chat_template.jinja"
            file.write_text(self._template, "utf-8")
            command.append(f"--chat-template={file}")
        environment = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", **os.environ}
        with (self._directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, str(Path(guard.__file__)), *command],
                stdin=subprocess.PIPE,  # its closing, by us or by our death, stops the server
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, "VLLM_API_KEY": self.key},
                start_new_session=True,
            )

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._patience
        while not self._closed.wait(0.2):
            if self._process.poll() is not None:
                raise ModelError(f"vLLM's server did not start: {self._reason()}", fatal=True)
            if time.monotonic() > deadline:
                raise ModelError(
                    f"vLLM's server was not ready within {self._patience:g} s: give it longer "
                    f"with start_timeout. {self._reason()}",
                    fatal=True,
                )
            try:
                models = self._ask("/v1/models")
            except (OSError, ValueError):
                continue
            self.context = models["data"][0].get("max_model_len") or self.context
            return
        raise ModelError("the model was closed", fatal=True)

    def _lacks_begin_token(self) -> bool:
        """Whether the template leaves the begin-of-text token to the tokenizer (LLaVA-1.5).

        Transformers then adds it; vLLM does so only if it is asked to.
        """
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        try:
            with_special, alone = (
                self._ask("/tokenize", {**body, "add_special_tokens": add})["tokens"]
                for add in (True, False)
            )
        except urllib.error.HTTPError:  # no chat template: the first prompt will say so
            return False
        return bool(with_special != alone and with_special[0] != alone[0])

    def _ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.address + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)

    def _reason(self) -> str:
        """What the log says went wrong: the first error and what follows it, or its end."""
        try:
            log = (self._directory / "server.log").read_text("utf-8", "replace")
        except OSError:
            log = ""
        return reason_in(log).replace(self.key, "***")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            shutil.rmtree(self._directory, ignore_errors=True)


def reason_in(log: str) -> str:
    """What went wrong: the first error of a server's log with the lines after it, or its end.

    The first is the cause; those after it tell that a process ended because another did. One of
    few words (`KeyError: 'x'`) comes with the place in the code that raised it.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if found := _ERROR.match(line):
            said = [found[1]]
            for more in lines[place + 1 : place + 6]:
                if "Traceback" in more or _ERROR.match(more):
                    break
                said.append(_PREFIX.sub("", more))
            if len(found[1]) < 40 and len(said) == 1:
                said += [_PREFIX.sub("", before).strip() for before in lines[place - 2 : place]]
            return "\n  ".join(said)
    return "\n  ".join(["the end of its log:", *lines[-15:]]) if lines else "its log is empty"


def _image_limit(limit: int | str | Mapping[str, int] | None) -> int | None:
    if isinstance(limit, Mapping) or (isinstance(limit, str) and limit.lstrip().startswith("{")):
        limit = _mapping("limit_mm_per_prompt", limit)
        if set(limit) != {"image"}:
            raise UsageError('limit_mm_per_prompt is a number of images, or {"image": 5}')
        limit = limit["image"]
    return whole_number("limit_mm_per_prompt", limit, least=0)


def _mapping(option: str, value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise UsageError(f"{option} is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise UsageError(f'{option} is a JSON object, such as {{"max_num_seqs": 64}}')
    return value
