"""The fixture `server`: a loopback server, and faults that no well-behaved server has.

server.answer = lambda seen: "<answer>B</answer>"
server.script(Failure(429), Cut(), silent)       # the next three requests
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from scalevqa_eval.testing import Failure, Request, Server, letter_by_hash

__all__ = ["Cut", "Server", "html", "letter_by_hash", "server", "silent"]


class Cut(web.StreamResponse):
    """The connection is cut: before any answer, or after these bytes of its body."""

    def __init__(self, after: bytes = b"") -> None:
        super().__init__(headers={"Content-Type": "application/json"})
        self._after = after

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        assert request.transport is not None
        if not self._after:
            request.transport.abort()
            raise ConnectionResetError
        self.content_length = len(self._after) + 1000
        writer = await super().prepare(request)
        await self.write(self._after)
        request.transport.close()
        return writer


async def silent(seen: Request) -> str:
    """No reply until the end of the test."""
    await asyncio.Event().wait()
    return "late"


def html(status: int = 200) -> Failure:
    page = b"<html><head><title>502</title></head><body>Bad gateway</body></html>"
    return Failure(status, body=page, content_type="text/html")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
