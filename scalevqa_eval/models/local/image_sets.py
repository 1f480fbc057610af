"""Lets the first question about an image set go ahead of the others.

Engines cache what they computed of a prompt's beginning. Questions that are asked at the same
moment find nothing cached yet, so each would compute the images again; here the others wait
until the first one's prompt has been read, which takes far less time than its reply.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from scalevqa_eval.types import Prompt

_REMEMBERED = 10_000  # image sets


class FirstOfSet:
    """Remembers which image sets have been shown to an engine. For one event loop."""

    def __init__(self) -> None:
        self._shown: OrderedDict[tuple[str, ...], asyncio.Event] = OrderedDict()

    @asynccontextmanager
    async def turn(self, prompt: Prompt) -> AsyncIterator[Callable[[], None] | None]:
        """Wait until it is this prompt's turn.

        The first prompt of a set gets a function to call once its prompt has been read (leaving
        calls it too); all others get None.
        """
        images = tuple(part.sha256 for part in prompt.images)
        known = self._shown.get(images)
        if not images or known is not None:
            if known is not None:
                await known.wait()
            yield None
            return
        read = self._shown[images] = asyncio.Event()
        if len(self._shown) > _REMEMBERED:
            _, oldest = self._shown.popitem(last=False)
            oldest.set()
        try:
            yield read.set
        except BaseException:
            # It may have failed before anything was computed: the next one goes first.
            self._shown.pop(images, None)
            raise
        finally:
            read.set()
