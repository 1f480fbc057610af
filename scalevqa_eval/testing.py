"""A server on loopback that speaks the wire formats of OpenAI, Anthropic and Gemini.

For tests of your own models, prompts and benchmarks, with no provider and no key:

    from scalevqa_eval import evaluate, load_model
    from scalevqa_eval.testing import Failure, Server

    with Server(lambda request: f"<answer>{request.letters[0]}</answer>") as server:
        model = load_model("openai/any", base_url=server.openai_url)
        server.script(Failure(429, headers={"Retry-After": "1"}))  # the next request fails
        run = evaluate(model, benchmark)
        server.seen[0].images                                      # what arrived, as bytes

By hand, `python -m scalevqa_eval.testing --port 8080` prints its address and answers every
question with a letter that depends on the request alone.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import inspect
import json
import re
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Format = Literal["openai", "anthropic", "gemini"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server got it. Header names are lower case; images in order, as bytes."""

    format: Format
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any] = field(repr=False)
    system: str = ""
    text: str = ""
    images: tuple[bytes, ...] = field(default=(), repr=False)
    media_types: tuple[str, ...] = ()
    order: str = ""  # one character a part of the user's message: i (image) or t (text)

    @property
    def letters(self) -> list[str]:
        """The letters of the options in the text, in order."""
        return re.findall(r"(?m)^\(([A-Z])\) ", self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server replies with; `filter` is a prompt that was not let through."""

    text: str | None = ""
    finish: Literal["stop", "length", "refusal", "filter"] = "stop"
    reasoning: str = ""
    prompt_tokens: int = 100
    cached_tokens: int = 20
    completion_tokens: int = 10
    top_logprobs: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in the provider's own words, or any `body` (bytes as they are, else as JSON)."""

    status: int = 500
    message: str = "the server says no"
    code: str | None = None  # what programs read: "insufficient_quota", "billing_error"
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"


def letter_by_hash(request: Request) -> str:
    """A letter of those offered, which depends on nothing but the request."""
    letters = request.letters or list("ABCD")
    hashes = [hashlib.sha256(image).hexdigest() for image in request.images]
    digest = hashlib.sha256("\0".join([request.text, *hashes]).encode()).digest()
    return f"<think>looked</think> <answer>{letters[digest[0] % len(letters)]}</answer>"


# What a server does with a request: a reply, or a function (or coroutine function) that gives
# one. A function may also give an aiohttp response.
Action = str | Answer | Failure | Callable[[Request], Any]


class Server:
    """The server, in a thread of its own. Attributes may be changed while it runs.

    `answer` is what it does with every request, `script` what with the next ones, `latency`
    (seconds) comes before each answer. `seen` holds every request, `count` says how many there
    were. With `record=False`, for measurements, requests are read and dropped.
    """

    def __init__(
        self, answer: Action = letter_by_hash, *, latency: float = 0.0, record: bool = True
    ) -> None:
        self.answer = answer
        self.latency = latency
        self.record = record
        self.seen: list[Request] = []
        self.count = 0
        self.port = 0
        self._script: deque[Action] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """The base URL for `anthropic/` and `gemini/`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL for `openai/`."""
        return f"{self.url}/v1"

    def script(self, *actions: Action) -> None:
        """What happens to the next requests, one each."""
        self._script.extend(actions)

    def start(self, port: int = 0) -> Server:
        """Listen on a port, by default a free one."""
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._serve(port), self._loop).result(10)
        return self

    def stop(self) -> None:
        """Drop what is under way and end."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def _serve(self, port: int) -> int:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def _end(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": "any"}]})
        format_ = _format_of(request.path)
        if format_ is None or request.method != "POST":
            return web.json_response({"error": {"message": "no such route"}}, status=404)
        self.count += 1
        return await self._respond(request, format_)

    async def _respond(self, request: web.Request, format_: Format) -> web.StreamResponse:
        seen = Request(format_, request.path, {}, {}, {})
        if self.record:
            try:
                seen = _parsed(format_, request, await request.read())
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                failure = Failure(400, f"{type(error).__name__} in the request: {error}")
                return web.json_response(_error(format_, failure), status=400)
            self.seen.append(seen)
        else:
            async for _ in request.content.iter_chunked(2**18):
                pass
        if self.latency:
            await asyncio.sleep(self.latency)
        given: Any = self._script.popleft() if self._script else self.answer
        if callable(given):
            given = given(seen)
        if inspect.isawaitable(given):
            given = await given
        if isinstance(given, web.StreamResponse):
            return given
        if isinstance(given, Failure):
            body = _error(format_, given) if given.body is None else given.body
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return web.Response(
                body=content, status=given.status, headers=given.headers,
                content_type=given.content_type,
            )  # fmt: skip
        reply = Answer(given) if isinstance(given, str) else given
        return web.json_response(_reply(format_, reply, f"{seen.body.get('model', 'any')}-served"))


def _format_of(path: str) -> Format | None:
    if path.endswith("/chat/completions"):
        return "openai"
    if path.endswith("/messages"):
        return "anthropic"
    return "gemini" if path.endswith(":generateContent") else None


def _parsed(format_: Format, request: web.Request, content: bytes) -> Request:
    """A request, read as strictly as the provider would; what that refuses raises."""
    body = json.loads(content)
    messages = body["contents"] if format_ == "gemini" else body["messages"]
    parts = messages[-1]["parts" if format_ == "gemini" else "content"]
    if format_ == "openai":
        system = "".join(message["content"] for message in messages[:-1])
        images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        sent = [url.removeprefix("data:").split(";base64,") for url in images]
    elif format_ == "anthropic":
        system = body.get("system", "")
        sources = [part["source"] for part in parts if part["type"] == "image"]
        sent = [[source["media_type"], source["data"]] for source in sources]
    else:
        system = "".join(
            part["text"] for part in body.get("systemInstruction", {"parts": ()})["parts"]
        )
        blobs = [part["inlineData"] for part in parts if "inlineData" in part]
        sent = [[blob["mimeType"], blob["data"]] for blob in blobs]
    return Request(
        format_,
        request.path,
        dict(request.query),
        {name.lower(): value for name, value in request.headers.items()},
        body,
        system=system,
        text="\n".join(part["text"] for part in parts if "text" in part),
        images=tuple(base64.b64decode(data, validate=True) for _, data in sent),
        media_types=tuple(media_type for media_type, _ in sent),
        order="".join("t" if "text" in part else "i" for part in parts),
    )


def _reply(format_: Format, answer: Answer, model: str) -> dict[str, Any]:
    """The reply's JSON, as each provider words it."""
    prompt, cached, written = answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens
    if format_ == "openai":
        message = {"role": "assistant", "content": answer.text}
        if answer.finish == "refusal":
            message |= {"content": None, "refusal": answer.text or "I cannot help with that."}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        reason = {"length": "length", "filter": "content_filter"}.get(answer.finish, "stop")
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        if answer.top_logprobs is not None:
            top = [{"token": token, "logprob": p} for token, p in answer.top_logprobs.items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model,
            "system_fingerprint": "fp_1", "choices": [choice],
            "usage": {
                "prompt_tokens": prompt, "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens": written, "total_tokens": prompt + written,
            },
        }  # fmt: skip
    if format_ == "anthropic":
        thought = {"type": "thinking", "thinking": answer.reasoning, "signature": "s"}
        said = {"type": "text", "text": answer.text}
        reason = {"stop": "end_turn", "length": "max_tokens"}.get(answer.finish, "refusal")
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [*[thought] * bool(answer.reasoning), *[said] * bool(answer.text)],
            "stop_reason": reason,
            "usage": {  # input_tokens leave out what the cache served
                "input_tokens": prompt - cached, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached, "output_tokens": written,
            },
        }  # fmt: skip
    usage = {
        "promptTokenCount": prompt, "cachedContentTokenCount": cached,
        "candidatesTokenCount": written, "totalTokenCount": prompt + written,
    }  # fmt: skip
    reply: dict[str, Any] = {"usageMetadata": usage, "modelVersion": model}
    if answer.finish == "filter":  # the prompt itself was blocked: there is no candidate
        return {**reply, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    shown = answer.text and answer.finish != "refusal"
    parts = [{"text": answer.reasoning, "thought": True}] if answer.reasoning else []
    parts += [{"text": answer.text}] if shown else []
    reason = {"stop": "STOP", "length": "MAX_TOKENS"}.get(answer.finish, "SAFETY")
    content = {"content": {"role": "model", "parts": parts}} if parts else {}
    return {**reply, "candidates": [{"finishReason": reason, **content}]}


def _error(format_: Format, failure: Failure) -> dict[str, Any]:
    code, message = failure.code, failure.message
    if format_ == "anthropic":
        return {"type": "error", "error": {"type": code or "api_error", "message": message}}
    if format_ == "gemini":
        status = code or "UNKNOWN"
        return {"error": {"code": failure.status, "message": message, "status": status}}
    return {"error": {"message": message, "type": "error", "param": None, "code": code}}


def main() -> None:
    """The server by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--drop-bodies", action="store_true", help="read requests, parse nothing")
    options = parser.parse_args()
    server = Server(latency=options.latency, record=not options.drop_bodies)
    server.seen = deque(maxlen=16)  # type: ignore[assignment]  # else it keeps every image
    server.start(options.port)
    with suppress(KeyboardInterrupt):
        print(server.openai_url, flush=True)  # noqa: T201 (its own address)
        threading.Event().wait()


if __name__ == "__main__":
    main()
