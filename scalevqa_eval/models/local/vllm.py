"""`vllm/PATH_OR_ID`: vLLM's asynchronous engine in this process.

Continuous batching: all prompts that wait in `reply` are the batch. The engine belongs to an
event loop of its own, in a thread, so that it can be used from any loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Coroutine, Mapping
from importlib import import_module
from typing import Any, TypeVar

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.decoding import Decoder
from scalevqa_eval.models.local.image_sets import FirstOfSet
from scalevqa_eval.models.local.vllm_options import VLLMOptions, read_options
from scalevqa_eval.models.local.vllm_requests import (
    chat_parameters,
    read_output,
    sampling_parameters,
)
from scalevqa_eval.models.local.watcher import Watcher
from scalevqa_eval.types import Capabilities, ImagePart, Prompt, Reply

T = TypeVar("T")


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
) -> VLLMModel:
    """The checkpoint in directory `name`, or of the hub.

    The options are vLLM's own of the same names; `limit_mm_per_prompt` may be just a number of
    images. `min_pixels` and `max_pixels` bound the images of models that take any size.
    `chat_template` is a Jinja file to use instead of the model's. `engine_args` (a mapping or
    JSON text) adds any other argument of vLLM's engine. `trust_remote_code` runs Python code
    that comes with the checkpoint.

    Raises MissingExtra, or UsageError for a checkpoint or an option that cannot be used.
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
    quiet_environment(os.environ)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "vllm":
            raise MissingExtra("vllm/", "vllm") from None
        raise UsageError(f"vLLM is installed but cannot be imported: {error}") from error
    _keep_yaml_dates()
    try:
        config = AsyncEngineArgs(
            disable_log_stats=True, **options.engine_arguments()
        ).create_engine_config()
    except (TypeError, ValueError, OSError, NotImplementedError) as error:
        raise UsageError(f"vLLM cannot run {name}: {_message(error)}") from error
    return VLLMModel(options, config)


def quiet_environment(environment: Any) -> None:
    """Settings that vLLM reads from the environment; what the user has set is kept."""
    environment.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    environment.setdefault("VLLM_NO_USAGE_STATS", "1")
    # A fork would copy locks that our threads hold.
    environment.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")


def _keep_yaml_dates() -> None:
    """Undo what lm-format-enforcer does to PyYAML for the whole process: dates become text.

    vLLM imports it with the first constrained reply; here it is imported earlier, and the
    constructor of dates is put back.
    """
    import yaml

    constructors = yaml.SafeLoader.yaml_constructors
    dates = constructors["tag:yaml.org,2002:timestamp"]
    with contextlib.suppress(Exception):  # it is not needed, whatever is wrong with it
        import_module("lmformatenforcer.external.jsonschemaobjectutil")
    constructors["tag:yaml.org,2002:timestamp"] = dates


class VLLMModel:
    """An engine in this process. Use `load`."""

    def __init__(self, options: VLLMOptions, config: Any) -> None:
        self._options = options
        self._config = config
        model = config.model_config
        self.name = f"vllm/{options.name}"
        self.identity: Mapping[str, Any] = {
            **options.identity(),
            "dtype": str(model.dtype).removeprefix("torch."),
            "max_model_len": model.max_model_len,
        }
        self.capabilities = Capabilities(
            max_images=options.max_images if model.is_multimodal_model else 0,
            logprobs=True,
            letters_only=True,
            concurrency=64,
        )
        self._ranks = config.parallel_config.data_parallel_size
        self._decode = Decoder()
        self._sets = FirstOfSet()
        self._numbers = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: Any = None
        self._watcher: Watcher | None = None
        self._starting: asyncio.Lock | None = None
        self._lock = threading.Lock()
        self._closed = False

    async def start(self) -> None:
        """Load the weights and start the engine. Raises ModelError (fatal)."""
        await self._on_loop(self._start())

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt. Raises ModelError."""
        return await self._on_loop(self._reply(prompt))

    async def aclose(self) -> None:
        """Stop the engine and its processes."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._shut_down(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()

    async def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every worker (vLLM's `collective_rpc`); for measurements."""
        return await self._on_loop(self._call(method, arguments))

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._closed:
                work.close()
                raise ModelError("the model was closed", fatal=True)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._starting = asyncio.Lock()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="vllm", daemon=True
                )
                self._thread.start()
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wrap_future(future)

    async def _start(self) -> Any:
        assert self._starting is not None
        async with self._starting:
            if self._engine is None:
                from vllm.v1.engine.async_llm import AsyncLLM

                self._watcher = Watcher()
                try:
                    with self._watcher.collecting():
                        self._engine = AsyncLLM.from_vllm_config(
                            self._config, disable_log_stats=True
                        )
                except Exception as error:  # weights, devices, worker processes
                    raise ModelError(
                        f"vLLM cannot start {self._options.name}: {_message(error)} "
                        "(VLLM_LOGGING_LEVEL=INFO shows its log)",
                        fatal=True,
                    ) from error
            return self._engine

    async def _shut_down(self) -> None:
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None
        if self._watcher is not None:
            self._watcher.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _call(self, method: str, arguments: tuple[Any, ...]) -> list[Any]:
        engine = await self._start()
        return list(await engine.collective_rpc(method, args=arguments))

    async def _reply(self, prompt: Prompt) -> Reply:
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        engine = await self._start()
        started = time.perf_counter()
        try:
            shown = await self._render(engine, prompt)
            own = {}
            if prompt.sampling.temperature is None:
                own = engine.model_config.get_diff_sampling_param()
            async with self._sets.turn(prompt) as read:
                output = None
                stream = engine.generate(
                    shown,
                    sampling_parameters(
                        prompt, engine.renderer.tokenizer, own, stream=read is not None
                    ),
                    f"{prompt.question_id}-{next(self._numbers)}",
                    data_parallel_rank=self._rank(prompt),
                )
                async for so_far in stream:
                    output = so_far
                    if read is not None:
                        read()
        except EngineDeadError:
            raise ModelError(
                "vLLM's engine died (VLLM_LOGGING_LEVEL=INFO shows its log); the same command "
                "continues the run",
                fatal=True,
            ) from None
        except ModelError:
            raise
        except (VLLMClientError, EngineGenerateError, ValueError, TypeError) as error:
            reason = _message(error)
            fatal = "chat template" in reason.lower()
            raise ModelError(f"vLLM refused the prompt: {reason}", fatal=fatal) from error
        return read_output(
            prompt,
            output,
            engine.renderer.tokenizer,
            self._options.source,
            time.perf_counter() - started,
        )

    async def _render(self, engine: Any, prompt: Prompt) -> Any:
        """Tokens and pixels of a prompt, in vLLM's terms."""
        if prompt.images and self.capabilities.max_images == 0:
            raise ModelError(f"{self._options.source} is a text-only model or may show no images")
        messages = [{"role": "user", "content": await self._content(prompt)}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        # The template writes the begin-of-text token itself.
        tokens = engine.renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)
        _, prompts = await engine.renderer.render_chat_async(
            [messages], chat_parameters(self._options.chat_template), tokens
        )
        return prompts[0]

    async def _content(self, prompt: Prompt) -> Any:
        if not prompt.images:
            return prompt.user_text
        content: list[dict[str, Any]] = []
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                picture = await asyncio.to_thread(self._decode, part)
                # The id makes the engine's own caches recognise an image without hashing it.
                content.append({"type": "image_pil", "image_pil": picture, "uuid": part.sha256})
            else:
                content.append({"type": "text", "text": part.text})
        return content

    def _rank(self, prompt: Prompt) -> int | None:
        """With several replicas, those that saw an image set get all questions about it."""
        if self._ranks == 1 or not prompt.images:
            return None
        mixed = sum(int(part.sha256[:8], 16) for part in prompt.images)
        return mixed % int(self._ranks)


def _message(error: BaseException) -> str:
    """The text of an error in one line of at most 500 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:500]
