"""Makes batches of the prompts that wait. Knows nothing of models; see hf.py for its use.

Two threads work hand in hand: one prepares the next batch (tokens, pixels) while the other
generates. A batch holds neighbours in length, so that little of it is padding.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scalevqa_eval.errors import ModelError

T = TypeVar("T")  # what is asked
P = TypeVar("P")  # a batch made ready
R = TypeVar("R")  # what is answered

_log = logging.getLogger("scalevqa")
# While prompts keep coming in, a batch that is not full waits this long for the next one.
_SETTLE = 0.01


class OutOfMemory(Exception):
    """A batch did not fit into the device's memory."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    length: int
    kind: Hashable
    future: Future[R] = field(default_factory=Future)


class Batcher(Generic[T, P, R]):
    """Collects items from any thread, answers them in batches.

    `prepare` and `run` are called in the two threads; `run` raises OutOfMemory if the batch was
    too large, whereupon an automatic `size` is halved for good and the batch is done in parts.
    Any other failure of a batch is narrowed down to the items that cause it. `kind` says which
    items can share a batch and `length` (tokens, roughly) which are neighbours.
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
        say: Callable[[str], None] = _log.warning,
    ) -> None:
        self._prepare, self._run = prepare, run
        self._length, self._kind = length, kind
        self._say = say
        self.size = size
        self._shrink = shrink
        self._pending: list[_Waiting[T, R]] = []
        self._ready: tuple[list[_Waiting[T, R]], P | Exception] | None = None
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def submit(self, item: T) -> Future[R]:
        """Queue an item; its future holds the answer, or the exception that it met."""
        waiting: _Waiting[T, R] = _Waiting(item, self._length(item), self._kind(item))
        with self._changed:
            if self._closed:
                raise ModelError("the model was closed", fatal=True)
            if not self._threads:
                self._start()
            self._pending.append(waiting)
            self._changed.notify_all()
        return waiting.future

    def close(self) -> None:
        """Drop what waits, let the batch under way end, and stop the threads."""
        with self._changed:
            self._closed = True
            for waiting in self._pending:
                waiting.future.cancel()
            self._pending.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @property
    def closed(self) -> bool:
        return self._closed

    def _start(self) -> None:
        for work in (self._prepare_batches, self._answer_batches):
            # Daemons: an interpreter that exits without close() must not hang on generation.
            thread = threading.Thread(target=work, name=f"hf{work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _prepare_batches(self) -> None:
        while (batch := self._next_batch()) is not None:
            made = self._attempt(batch)
            with self._changed:
                self._ready = batch, made
                self._changed.notify_all()

    def _next_batch(self) -> list[_Waiting[T, R]] | None:
        """Wait until a batch is full, or nothing else is under way and no more prompts come."""
        with self._changed:
            while not self._closed:
                seen = len(self._pending)
                if self._ready is not None or not seen or (self._busy and seen < self.size):
                    self._changed.wait()
                elif seen >= self.size or not self._changed.wait(_SETTLE):
                    batch = self._take()
                    if batch:
                        return batch
            return None

    def _take(self) -> list[_Waiting[T, R]]:
        """The item that has waited longest and its neighbours in length."""
        oldest = self._pending[0]
        alike = sorted(
            (waiting for waiting in self._pending if waiting.kind == oldest.kind),
            key=lambda waiting: waiting.length,
        )
        place = alike.index(oldest)
        start = max(0, min(place - self.size // 2, len(alike) - self.size))
        taken = alike[start : start + self.size]
        chosen = set(map(id, taken))
        self._pending = [waiting for waiting in self._pending if id(waiting) not in chosen]
        # Whoever asked may have given up meanwhile.
        return [waiting for waiting in taken if waiting.future.set_running_or_notify_cancel()]

    def _attempt(self, batch: Sequence[_Waiting[T, R]]) -> P | Exception:
        try:
            return self._prepare([waiting.item for waiting in batch])
        except Exception as error:  # told to whoever asked
            return error

    def _answer_batches(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._ready is not None or self._closed)
                if self._ready is None:
                    return
                batch, made = self._ready
                self._ready, self._busy = None, True
                self._changed.notify_all()
            if len(batch) > self.size:  # made ready before the size was halved
                self._answer_parts(batch)
            else:
                self._answer(batch, made)

    def _answer_parts(self, batch: list[_Waiting[T, R]]) -> None:
        while batch:
            part, batch = batch[: self.size], batch[self.size :]
            self._answer(part, self._attempt(part))

    def _answer(self, batch: list[_Waiting[T, R]], made: P | Exception) -> None:
        if isinstance(made, Exception):
            self._failed(batch, made)
            return
        failure: Exception | None = None
        answers: Sequence[R] = ()
        try:
            answers = self._run(made)
        except Exception as error:
            # The traceback would keep what is on the device alive while smaller parts are tried.
            failure = error.with_traceback(None)
        if failure is not None:
            self._failed(batch, failure)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.future.set_result(answer)

    def _failed(self, batch: list[_Waiting[T, R]], failure: Exception) -> None:
        if isinstance(failure, OutOfMemory):
            if self._shrink and len(batch) > 1:
                self._halve(len(batch))
                self._answer_parts(batch)
            else:
                self._out_of_memory(batch, failure)
            return
        fatal = isinstance(failure, ModelError) and failure.fatal
        if len(batch) > 1 and not fatal and not self._closed:
            middle = len(batch) // 2
            for part in (batch[:middle], batch[middle:]):
                self._answer(part, self._attempt(part))
            return
        for waiting in batch:
            waiting.future.set_exception(failure)

    def _halve(self, tried: int) -> None:
        self.size = max(1, min(self.size, tried) // 2)
        self._say(f"out of memory with {tried} prompts at once: going on with {self.size}")

    def _out_of_memory(self, batch: Sequence[_Waiting[T, R]], error: OutOfMemory) -> None:
        if len(batch) > 1:
            what = f"a batch of {len(batch)} does not fit into memory: use batch_size=auto"
        else:
            what = "a single prompt does not fit into memory: lower max_pixels or max_tokens"
        for waiting in batch:
            waiting.future.set_exception(ModelError(f"{what} ({error})", fatal=len(batch) > 1))
