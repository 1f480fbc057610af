"""A real HTTP server on loopback that speaks three wire formats and misbehaves on demand.

In tests, the fixture `server`:

    server.answer = lambda seen: "<answer>B</answer>"     # any function of the request
    server.script(status(429, retry_after="2"), drop())   # faults for the next two requests
    load_model("openai/any", base_url=server.openai_url)
    server.seen                                           # every request, images as bytes

By hand, `python tests/loopback.py --port 0 --latency 0.2` prints its address and answers every
question with a letter that is a hash of the request.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import loopback_formats as formats
import pytest
from aiohttp import web
from loopback_formats import Answer, Seen

Responder = Callable[[Seen], "Answer | str"]
Fault = Callable[["Server", web.Request, str, Seen | None], Awaitable[web.StreamResponse]]


def letter_by_hash(seen: Seen) -> str:
    """A letter of those offered, which depends on nothing but the request."""
    letters = seen.letters or list("ABCD")
    digest = hashlib.sha256("\0".join([seen.text, *seen.image_hashes]).encode()).digest()
    return f"<think>looked</think> <answer>{letters[digest[0] % len(letters)]}</answer>"


# Faults: what happens to one request.


def status(
    code: int,
    message: str = "the server says no",
    *,
    error: str | None = None,
    retry_after: str | None = None,
    headers: dict[str, str] | None = None,
    body: object = None,
) -> Fault:
    """An error status in the provider's own words; `error` is the machine-readable code."""

    async def act(
        server: Server, request: web.Request, form: str, seen: Seen | None
    ) -> web.Response:
        extra = dict(headers or {})
        if retry_after is not None:
            extra["Retry-After"] = retry_after
        content = body if body is not None else formats.error_body(form, code, message, error)
        return web.json_response(content, status=code, headers=extra)

    return act


def raw(
    content: bytes, content_type: str = "application/json", code: int = 200, **headers: str
) -> Fault:
    """These very bytes."""

    async def act(
        server: Server, request: web.Request, form: str, seen: Seen | None
    ) -> web.Response:
        return web.Response(body=content, status=code, content_type=content_type, headers=headers)

    return act


def html(code: int = 200) -> Fault:
    page = b"<html><head><title>502</title></head><body>Bad gateway</body></html>"
    return raw(page, "text/html", code)


def bad_json() -> Fault:
    return raw(b'{"choices": [{"mess')


def wrong_schema() -> Fault:
    return raw(b'{"hello": "world", "choices": null, "content": null, "candidates": null}')


def answer(text: str | None = "", **fields: object) -> Fault:
    """One answer that differs from the others: empty, refused, cut, filtered, huge."""

    async def act(
        server: Server, request: web.Request, form: str, seen: Seen | None
    ) -> web.Response:
        return server.respond(form, Answer(text, **fields), seen)  # type: ignore[arg-type]

    return act


def drop(after: bytes | None = None) -> Fault:
    """Cut the connection: before any reply, or after these bytes of its body."""

    async def act(
        server: Server, request: web.Request, form: str, seen: Seen | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if after is not None:
            response.content_length = len(after) + 1000
            await response.prepare(request)
            await response.write(after)
        if request.transport is not None:
            request.transport.abort() if after is None else request.transport.close()
        return response

    return act


def silent() -> Fault:
    """No reply until `server.release()` or the end of the test."""

    async def act(
        server: Server, request: web.Request, form: str, seen: Seen | None
    ) -> web.Response:
        await server.released.wait()
        return server.respond(form, Answer("late"), seen)

    return act


class Server:
    """The server in a thread of its own. Attributes may be changed while it runs."""

    def __init__(self, latency: float = 0.0, record: bool = True) -> None:
        self.latency = latency
        self.record = record
        self.answer: Responder = letter_by_hash
        self.seen: list[Seen] = []
        self.count = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.early: Fault | None = None  # happens before the body is read
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """For Anthropic and Gemini."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def script(self, *faults: Fault | None) -> None:
        """What happens to the next requests, one each (None: a usual answer)."""
        self.faults.extend(faults)

    def release(self) -> None:
        """Let requests under `silent()` go on."""
        self._loop.call_soon_threadsafe(self.released.set)

    def start(self, port: int = 0) -> Server:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._serve(port), self._loop).result(10)
        return self

    def stop(self) -> None:
        self.release()
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, port: int) -> int:
        self.released = asyncio.Event()
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": "any"}]})
        form = formats.format_of(request.path)
        if form is None or request.method != "POST":
            return web.json_response({"error": {"message": "no such route"}}, status=404)
        self.count += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request, form)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, form: str) -> web.StreamResponse:
        if self.early is not None:
            return await self.early(self, request, form, None)
        seen = await self._read(request, form)
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self.faults.popleft() if self.faults else self.always
        if fault is not None:
            return await fault(self, request, form, seen)
        given = self.answer(seen) if seen is not None else "<answer>A</answer>"
        return self.respond(form, Answer(given) if isinstance(given, str) else given, seen)

    async def _read(self, request: web.Request, form: str) -> Seen | None:
        if not self.record:  # for measurements: the body is read and dropped
            async for _ in request.content.iter_chunked(2**18):
                pass
            return None
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        seen = formats.read(form, request.method, request.path, dict(request.query), headers, body)
        self.seen.append(seen)
        return seen

    def respond(self, form: str, given: Answer, seen: Seen | None) -> web.Response:
        model = str(seen.body.get("model", "any")) if seen is not None else "any"
        return web.Response(
            body=json.dumps(formats.write(form, given, model)).encode(),
            content_type="application/json",
        )


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server().start()
    yield running
    running.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--drop-bodies", action="store_true", help="read requests, parse nothing")
    options = parser.parse_args()
    running = Server(options.latency, record=not options.drop_bodies).start(options.port)
    # A long run would otherwise keep every image it was sent.
    running.seen = deque(maxlen=16)  # type: ignore[assignment]
    print(running.openai_url, flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    running.stop()


if __name__ == "__main__":
    main()
