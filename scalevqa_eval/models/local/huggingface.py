"""`hf/PATH_OR_ID`: a checkpoint that Transformers runs in this process.

Vision-language models (Qwen2.5-VL, Qwen3-VL, LLaVA, Phi-4-multimodal and what else comes with an
image processor) and text-only ones. The prompts that wait in `reply` are what batches are made
of; the weights and all of torch are in hf_engine.py.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import Checkpoint, read_template, said, whole_number
from scalevqa_eval.types import Capabilities, Prompt, Reply

if TYPE_CHECKING:
    from scalevqa_eval.models.local.hf_engine import Batch, Engine

T = TypeVar("T")  # what is asked
P = TypeVar("P")  # a batch made ready
R = TypeVar("R")  # what is answered

# What "auto" starts with; it is halved when memory does not suffice.
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

    `dtype` is auto (as saved), bfloat16, float16 or float32. `device_map` is handed to
    Transformers; by default all GPUs there are, else the CPU. `attn` is its attention
    implementation (sdpa, flash_attention_2, eager). `batch_size` is a number, or auto: starts
    large and is halved when memory runs out. `min_pixels` and `max_pixels` bound the images of
    models that take any size; `resize="qwen-vl-utils"` makes them that size as Qwen's own
    examples do, not as the processor does. `chat_template` is a Jinja file to use instead of
    the model's. `trust_remote_code` runs Python code that comes with the checkpoint.

    Raises MissingExtra, or UsageError for a checkpoint or an option that cannot be used.
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
    automatic = batch_size == "auto"
    size = _AUTO_GPU if torch.cuda.is_available() else _AUTO_CPU
    if not automatic:
        size = whole_number("batch_size", batch_size) or size

    from scalevqa_eval.models.local.hf_engine import Engine, Settings

    engine = Engine(
        Checkpoint.find(name, revision),
        Settings(
            dtype=dtype,
            device_map=device_map,
            attn=attn,
            min_pixels=whole_number("min_pixels", min_pixels),
            max_pixels=whole_number("max_pixels", max_pixels),
            qwen_resize=resize == "qwen-vl-utils",
            chat_template=read_template(chat_template),
            trust_remote_code=trust_remote_code,
        ),
    )
    return HFModel(name, engine, size, automatic)


class HFModel:
    """A checkpoint and the prompts that wait for it. Use `load`."""

    def __init__(self, name: str, engine: Engine, size: int, automatic: bool) -> None:
        self.name = f"hf/{name}"
        self.identity: Mapping[str, Any] = engine.identity
        self.capabilities = Capabilities(
            max_images=None if engine.takes_images else 0,
            logprobs=True,
            letters_only=True,
            # A batch that generates, one being prepared, and enough to sort by length.
            concurrency=3 * size,
        )
        self.notes: list[str] = []
        self.engine = engine
        self.queue: Queue[Prompt, Batch, Reply] = Queue(
            engine.prepare,
            engine.answer,
            size=size,
            shrink=automatic,
            length=engine.estimate,
            kind=lambda prompt: (bool(prompt.images), _chooses(prompt)),
            say=self._say,
        )

    async def start(self) -> None:
        """Load the weights; `reply` does it if nobody did. Raises ModelError (fatal)."""
        await asyncio.to_thread(self.engine.load_weights)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, in a batch with others that wait. Raises ModelError."""
        try:
            return await asyncio.wrap_future(self.queue.submit(prompt))
        except ModelError:
            raise
        except Exception as error:  # model code raises all sorts
            raise ModelError(
                f"{self.name} failed: {type(error).__name__}: {said(error)}"
            ) from error

    async def aclose(self) -> None:
        """Stop generating and free the memory."""
        self.engine.stop.set()
        await asyncio.to_thread(self.queue.close)
        self.engine.unload()

    def _say(self, note: str) -> None:
        self.notes.append(note)
        logging.getLogger("scalevqa").warning("%s: %s", self.name, note)


def _chooses(prompt: Prompt) -> bool:
    return prompt.sampling.logprobs or prompt.sampling.letters_only


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    length: int
    kind: Hashable
    future: Future[R] = field(default_factory=Future)

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Queue(Generic[T, P, R]):
    """Collects items from any thread and answers them in batches of neighbours in length.

    One thread answers (`run`), while another makes the next batch ready (`prepare`). When memory
    runs out, accelerate's `find_executable_batch_size` frees it and halves `size` for good, if
    it may `shrink`. Any other failure of a batch is told to the items that cause it: each is
    tried alone. `kind` says which items can share a batch, `length` (tokens, roughly) which are
    neighbours.
    """

    def __init__(
        self,
        prepare: Callable[[Sequence[T]], P],
        run: Callable[[P], Sequence[R]],
        *,
        size: int,
        shrink: bool,
        length: Callable[[T], int],
        kind: Callable[[T], Hashable],
        say: Callable[[str], None],
    ) -> None:
        self._prepare, self._run = prepare, run
        self._length, self._kind, self._say = length, kind, say
        self.size = size
        self._shrink = shrink
        self._pending: list[_Waiting[T, R]] = []
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, item: T) -> Future[R]:
        """Queue an item; its future holds the answer, or the exception that it met."""
        waiting: _Waiting[T, R] = _Waiting(item, self._length(item), self._kind(item))
        with self._changed:
            if self._closed:
                raise ModelError("the model was closed", fatal=True)
            if self._thread is None:
                # A daemon: an interpreter that exits without close() must not hang on generation.
                self._thread = threading.Thread(target=self._work, name="hf", daemon=True)
                self._thread.start()
            self._pending.append(waiting)
            self._changed.notify_all()
        return waiting.future

    def close(self) -> None:
        """Drop what waits, let the batch under way end, and stop the threads."""
        self._shut()
        if self._thread is not None:
            self._thread.join()

    def _shut(self) -> None:
        with self._changed:
            self._closed = True
            for waiting in self._pending:
                waiting.future.cancel()
            self._pending.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        from accelerate.utils import find_executable_batch_size

        with ThreadPoolExecutor(1, "hf-prepare") as ahead:
            coming: list[Future[Any]] = []

            def serve(size: int) -> None:
                """Answer until closed; leaves with an error only when memory runs out."""
                while True:
                    found = (coming.pop() if coming else ahead.submit(self._next)).result()
                    if found is None:
                        return
                    batch, made = found
                    if len(batch) > size:  # made ready before the size was halved
                        self._put_back(batch)
                        continue
                    self._busy = True
                    coming.append(ahead.submit(self._next))
                    try:
                        self._answer(batch, made)
                    finally:
                        with self._changed:
                            self._busy = False
                            self._changed.notify_all()

            try:
                find_executable_batch_size(serve, self.size, self._halved)()
            finally:
                self._shut()

    def _halved(self) -> int:
        tried, self.size = self.size, max(1, self.size // 2)
        self._say(f"out of memory with {tried} prompts at once: going on with {self.size}")
        return self.size

    def _next(self) -> tuple[list[_Waiting[T, R]], P | Exception] | None:
        """The next batch, once it is full, or nothing is under way and no more prompts come."""
        with self._changed:
            while not self._closed:
                seen = len(self._pending)
                if not seen or (self._busy and seen < self.size):
                    self._changed.wait()
                elif seen >= self.size or not self._changed.wait(_SETTLE):
                    batch = self._take()
                    break
            else:
                return None
        return batch, self._attempt(batch)

    def _take(self) -> list[_Waiting[T, R]]:
        """The item that has waited longest and its neighbours in length."""
        self._pending = [one for one in self._pending if not one.future.cancelled()]
        if not self._pending:
            return []
        oldest = self._pending[0]
        alike = sorted(
            (one for one in self._pending if one.kind == oldest.kind), key=lambda one: one.length
        )
        place = alike.index(oldest)
        start = max(0, min(place - self.size // 2, len(alike) - self.size))
        taken = alike[start : start + self.size]
        self._pending = [one for one in self._pending if one not in taken]
        return taken

    def _put_back(self, batch: list[_Waiting[T, R]]) -> None:
        with self._changed:
            if self._closed:
                for waiting in batch:
                    waiting.future.cancel()
            else:
                self._pending[:0] = batch

    def _attempt(self, batch: Sequence[_Waiting[T, R]]) -> P | Exception:
        try:
            return self._prepare([waiting.item for waiting in batch])
        except Exception as error:  # told to whoever asked
            return error

    def _answer(self, batch: list[_Waiting[T, R]], made: P | Exception) -> None:
        """Answer a batch, or fail each of its items; raises only if memory runs out."""
        from accelerate.utils.memory import should_reduce_batch_size

        if not batch:
            return
        try:
            if isinstance(made, Exception):
                raise made
            answers = self._run(made)
        except Exception as error:
            full = should_reduce_batch_size(error)
            if full and len(batch) > 1 and self._shrink:
                self._put_back(batch)
                raise
            failure: Exception = error.with_traceback(None)
            if full:
                what = "a single prompt does not fit into memory: lower max_pixels or max_tokens"
                if len(batch) > 1:
                    what = f"a batch of {len(batch)} does not fit into memory: use batch_size=auto"
                failure = ModelError(f"{what} ({said(error)})", fatal=len(batch) > 1)
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.future.set_running_or_notify_cancel():
                    waiting.future.set_result(answer)
            return
        # Out here, so that no traceback keeps what is on the device.
        if len(batch) == 1 or self._closed or (isinstance(failure, ModelError) and failure.fatal):
            for waiting in batch:
                waiting.fail(failure)
            return
        for waiting in batch:
            self._answer([waiting], self._attempt([waiting]))
