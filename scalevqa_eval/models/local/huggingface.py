"""`hf/PATH_OR_ID`: a checkpoint that Transformers runs in this process.

Vision-language models (Qwen2.5-VL, Qwen3-VL, LLaVA, Phi-4-multimodal and what else comes with an
image processor) and text-only ones. Here the prompts that wait become batches; what makes tensors
of them is in hf_processor.py, what answers them in hf_engine.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import Checkpoint, read_template, said, whole_number
from scalevqa_eval.types import Capabilities, Prompt, Reply

if TYPE_CHECKING:
    from scalevqa_eval.models.local.hf_engine import Engine
    from scalevqa_eval.models.local.hf_processor import Batch

# The batch that "auto" starts with.
_AUTO_GPU, _AUTO_CPU = 16, 8
_DTYPES = ("auto", "bfloat16", "float16", "float32")
# While prompts keep coming in, a batch that is not full waits this long for the next one.
_SETTLE = 0.01


def load(
    name: str,
    *,
    dtype: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
    attn: str | None = None,
    batch_size: int | str = "auto",
    min_pixels: int | str | None = None,
    max_pixels: int | str | None = None,
    resize: str = "processor",
    chat_template: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> HFModel:
    """The checkpoint in directory `name`, or of the hub; a LoRA directory comes with its base.

    The options are described in docs/engines.md. Raises MissingExtra, or UsageError for a
    checkpoint or an option that cannot be used.
    """
    try:
        import torch
        import transformers
    except ImportError:
        raise MissingExtra("hf/", "hf") from None
    if int(transformers.__version__.split(".")[0]) < 5:
        raise UsageError(f"hf/ needs Transformers 5 or newer, not {transformers.__version__}")
    if dtype not in _DTYPES:
        raise UsageError(f"dtype is {', '.join(_DTYPES)}; not {dtype!r}")
    if resize not in ("processor", "qwen-vl-utils"):
        raise UsageError(f"resize is processor or qwen-vl-utils, not {resize!r}")
    gpu = torch.cuda.is_available()
    size = None if batch_size == "auto" else whole_number("batch_size", batch_size)

    from scalevqa_eval.models.local.hf_engine import Engine
    from scalevqa_eval.models.local.hf_processor import Settings

    settings = Settings(
        dtype=dtype,
        device_map=device_map or ("auto" if gpu else None),
        attn=attn,
        min_pixels=whole_number("min_pixels", min_pixels),
        max_pixels=whole_number("max_pixels", max_pixels),
        qwen_resize=resize == "qwen-vl-utils",
        chat_template=read_template(chat_template),
        trust_remote_code=trust_remote_code,
    )
    engine = Engine(Checkpoint.find(name, revision), settings)
    return HFModel(f"hf/{name}", engine, size or (_AUTO_GPU if gpu else _AUTO_CPU))


@dataclass(slots=True, eq=False)
class _Waiting:
    prompt: Prompt
    kind: Hashable
    length: int
    reply: asyncio.Future[Reply]


class HFModel:
    """An engine and the prompts that wait for it, which it answers in batches. Use `load`.

    A batch has neighbours in length; while one is answered, the next is made ready. When memory
    runs out, `batch_size` is halved for good. Any other failure of a batch is told to the prompts
    that cause it: each is tried alone.
    """

    def __init__(self, name: str, engine: Engine, batch_size: int) -> None:
        self.name = name
        self.engine = engine
        self.batch_size = batch_size
        self.identity: Mapping[str, Any] = engine.processor.identity
        self.capabilities = Capabilities(
            max_images=None if engine.processor.takes_images else 0,
            logprobs=True,
            letters_only=True,
            # A batch that generates, one being prepared, and enough to sort by length.
            concurrency=3 * batch_size,
        )
        self._pending: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None
        self._closed = False
        # A thread each: tokenizers and decoding here, the model there.
        self._ahead = ThreadPoolExecutor(1, "hf-prepare")
        self._device = ThreadPoolExecutor(1, "hf-answer")

    async def start(self) -> None:
        """Load the weights; `reply` does it if nobody did. Raises ModelError (fatal)."""
        self._check_open()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._device, self.engine.load_weights)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, in a batch with others that wait. Raises ModelError."""
        self._check_open()
        reply = asyncio.get_running_loop().create_future()
        self._pending.append(_Waiting(prompt, *self.engine.processor.describe(prompt), reply))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await reply  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Drop what waits, end the batch under way at its next token, and free the memory."""
        self._closed = True
        _fail(self._pending, ModelError("the model was closed", fatal=True))
        if self._work is not None:
            await self._work
        self._ahead.shutdown()
        self._device.shutdown()
        self.engine.unload()

    def _check_open(self) -> None:
        if self._closed:
            raise ModelError("the model was closed", fatal=True)

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        answering = loop.create_task(asyncio.sleep(0))
        while self._pending or not answering.done():
            seen = len(self._pending)
            if seen < self.batch_size:
                await asyncio.sleep(_SETTLE)
                if not seen or len(self._pending) > seen or not answering.done():
                    continue
            if batch := self._take():
                ready = self._prepare(batch)
                await asyncio.wait([ready])
                await answering
                answering = loop.create_task(self._answer(batch, ready))

    def _take(self) -> list[_Waiting]:
        """The prompt that has waited longest and its neighbours in length."""
        self._pending = [one for one in self._pending if not one.reply.done()]
        if not self._pending:
            return []
        oldest = self._pending[0]
        alike = [one for one in self._pending if one.kind == oldest.kind]
        alike.sort(key=lambda one: one.length)
        start = min(alike.index(oldest) - self.batch_size // 2, len(alike) - self.batch_size)
        taken = alike[max(0, start) :][: self.batch_size]
        self._pending = [one for one in self._pending if one not in taken]
        return taken

    def _prepare(self, batch: Sequence[_Waiting]) -> asyncio.Future[Batch]:
        work = self._ahead.submit(self.engine.processor.prepare, [one.prompt for one in batch])
        return asyncio.wrap_future(work)

    async def _answer(self, batch: list[_Waiting], ready: asyncio.Future[Batch]) -> None:
        loop = asyncio.get_running_loop()
        try:
            replies = await loop.run_in_executor(self._device, self._run, batch, await ready)
        except Exception as error:
            failure = error.with_traceback(None)  # it would keep what is on the device
        else:
            for one, reply in zip(batch, replies, strict=True):
                if not one.reply.done():
                    one.reply.set_result(reply)
            return
        if len(batch) == 1 or (isinstance(failure, ModelError) and failure.fatal):
            _fail(batch, failure)
            return
        for one in batch:
            await self._answer([one], self._prepare([one]))

    def _run(self, batch: list[_Waiting], ready: Batch) -> Sequence[Reply]:
        """Replies to a batch, asked for in smaller ones if memory does not suffice."""
        from accelerate.utils import find_executable_batch_size
        from accelerate.utils.memory import should_reduce_batch_size

        def wanted() -> bool:
            return not self._closed and not all(one.reply.done() for one in batch)

        size = self.batch_size
        if len(batch) <= size:  # else it was made ready before the size was halved
            try:
                return self.engine.answer(ready, wanted)
            except Exception as error:
                if not should_reduce_batch_size(error):
                    raise
                if len(batch) == 1:
                    raise ModelError(
                        "a single prompt does not fit into memory: lower max_pixels or max_tokens "
                        f"({said(error)})"
                    ) from error
            size = self._halved()
        replies: list[Reply] = []

        def smaller(size: int) -> list[Reply]:
            while len(replies) < len(batch):
                prompts = [one.prompt for one in batch[len(replies) :][:size]]
                part = self._ahead.submit(self.engine.processor.prepare, prompts).result()
                replies.extend(self.engine.answer(part, wanted))
            return replies

        return find_executable_batch_size(smaller, size, self._halved)()  # type: ignore[no-any-return]

    def _halved(self) -> int:
        tried, self.batch_size = self.batch_size, max(1, self.batch_size // 2)
        if tried == 1:
            return 0  # there is nothing smaller to try
        logging.getLogger("scalevqa").warning(
            "%s: out of memory with %d prompts at once: going on with %d",
            self.name, tried, self.batch_size,
        )  # fmt: skip
        return self.batch_size


def _fail(batch: Sequence[_Waiting], failure: Exception) -> None:
    for one in batch:
        if not one.reply.done():
            one.reply.set_exception(failure)
