"""Ask a model one prompt: from the cache, or with the only retry policy of the package.

Models never retry; they raise ModelError, which says whether another try may help.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.models import Model, StartableModel
from scalevqa_eval.models.base import checked
from scalevqa_eval.models.secrets import mask
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.types import Prompt, Reply

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits grow from `base` by doubling up to `cap` seconds, with jitter.

    `time_limit` bounds one question with all its tries and waits; waiting for a place in the
    throttle is no fault of the question and does not count. A wait that the other side asks for
    (Retry-After) is honoured if it fits into that.
    """

    base: float = 1.0
    cap: float = 60.0
    time_limit: float = 1200.0

    def wait(self, failures: int, error: ModelError, draw: random.Random) -> float:
        """Seconds to wait after the given number of failures (from 1)."""
        grown = min(self.cap, self.base * 2.0 ** min(failures - 1, 30)) * draw.uniform(0.5, 1.0)
        return max(grown, error.retry_after or 0.0)


class Throttle:
    """How many prompts may be under way: halved when the other side asks, grown back slowly.

    The rule of congestion control (additive increase, multiplicative decrease). One burst of
    refusals counts once: requests that were sent before the last decrease do not cut again.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = float(maximum)
        self._busy = 0
        self._changed = asyncio.Condition()
        self._cut_at = float("-inf")
        self._closed_until = float("-inf")

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free place and hold it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._busy < max(1, int(self.limit)))
            self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            async with self._changed:
                self._changed.notify_all()

    async def opened(self, deadline: float) -> float:
        """Wait while the other side wants no traffic; gives the time at which that was over.

        Raises ModelError at once if it wants none until after `deadline`.
        """
        while (pause := self._closed_until - time.monotonic()) > 0:
            if self._closed_until >= deadline:
                raise ModelError(f"the server wants no request for {pause:.0f} s (Retry-After)")
            await asyncio.sleep(pause)
        return time.monotonic()

    def succeeded(self) -> None:
        self.limit = min(float(self.maximum), self.limit + 1.0 / self.limit)

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """Lower the limit after a 429 to a request of the time `sent_at`."""
        now = time.monotonic()
        if retry_after:
            self._closed_until = max(self._closed_until, now + retry_after)
        if sent_at >= self._cut_at:
            self._cut_at = now
            self.limit = max(1.0, self.limit / 2)


@dataclass(frozen=True, slots=True)
class Asked:
    """A reply, or why there is none, after so many attempts; without any it was in the cache."""

    reply: Reply | None
    attempts: int
    error: ModelError | None = None


class Asker:
    """Asks one model for one run: `on_retry` hears before each wait why there is one."""

    def __init__(
        self,
        model: Model,
        policy: RetryPolicy,
        replies: ReplyCache,
        throttle: Throttle,
        on_retry: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.model, self.policy, self.replies = model, policy, replies
        self.throttle, self.on_retry = throttle, on_retry
        self._draw = random.Random(0)
        self._starting: asyncio.Future[None] | None = None

    async def ask(self, prompt: Prompt) -> Asked:
        """Ask until there is a reply, the error cannot heal, or the time limit is reached.

        A place in the throttle is given up while waiting between tries, so that one question that
        waits does not hold the others up. Never raises ModelError; it is returned.
        """
        digest = prompt.digest()
        if (known := self.replies.get(digest)) is not None:
            await asyncio.sleep(0)  # let Ctrl-C in
            return Asked(known, 0)
        try:
            await self._started()
        except ModelError as error:
            return Asked(None, 0, error)
        deadline = time.monotonic() + self.policy.time_limit
        attempts = 0
        while True:
            attempts += 1
            sent_at = queued_at = time.monotonic()
            try:
                async with self.throttle.slot():
                    deadline += time.monotonic() - queued_at
                    sent_at = await self.throttle.opened(deadline)
                    reply = await self._one_try(prompt, deadline)
            except ModelError as error:
                if error.rate_limited:
                    self.throttle.refused(sent_at, error.retry_after)
                if error.fatal or not error.retryable:
                    return Asked(None, attempts, error)
                pause = self.policy.wait(attempts, error, self._draw)
                if time.monotonic() + pause >= deadline:
                    limit = f"gave up after {attempts} tries in {self.policy.time_limit:g} s"
                    return Asked(None, attempts, ModelError(f"{error} ({limit})", retryable=True))
                self.on_retry(str(error))
            else:
                self.throttle.succeeded()
                self.replies.put(digest, reply)
                return Asked(reply, attempts)
            await asyncio.sleep(pause)

    async def _started(self) -> None:
        """Start the model before its first prompt, so that loading counts for no question."""
        if self._starting is None and isinstance(self.model, StartableModel):
            self._starting = asyncio.ensure_future(self._guarded(self.model.start()))
        if self._starting is not None:
            await self._starting

    async def _one_try(self, prompt: Prompt, deadline: float) -> Reply:
        started = time.monotonic()
        try:
            async with asyncio.timeout(max(0.001, deadline - started)):
                reply = await self._guarded(self.model.reply(prompt))
                return checked(reply, self.model.name)
        except TimeoutError:
            waited = time.monotonic() - started
            raise ModelError(f"no reply within {waited:.0f} s", retryable=True) from None

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        """A fault in a model's code costs its question, not the run."""
        try:
            return await work
        except (ScaleVQAError, TimeoutError):
            raise
        except (Exception, SystemExit) as error:
            said = f"{self.model.name} failed with {type(error).__name__}: {error}"
            raise ModelError(mask(said)) from error
