"""What the adapters of remote models share: bodies, connections, and reading failures.

The SDKs build a body as one Python string, which costs several copies of every image. Here a
body is the JSON around the images as bytes, and the images are base64-encoded piece by piece
while they are sent: at 64 requests in flight that is the difference between 40 MB and 500 MB.
"""

from __future__ import annotations

import asyncio
import binascii
import email.utils
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx2

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.remote.transport import ReplyTooLong
from scalevqa_eval.models.secrets import mask

# Divisible by 3, so that pieces of base64 join without padding between them.
_PIECE = 3 * 64 * 1024
_MESSAGE_LENGTH = 400

T = TypeVar("T")


class Body(httpx2.AsyncByteStream):
    """A JSON body with images in it, sent in pieces; it can be iterated any number of times.

    Call `image` for the text to put where an image goes, then `fill` with the whole JSON.
    """

    def __init__(self) -> None:
        self._marker = uuid.uuid4().hex
        self._images: list[bytes] = []
        self._fragments: list[bytes] = []

    def image(self, data: bytes) -> str:
        """Stands for the base64 text of `data` in the JSON; is base64 text itself."""
        self._images.append(data)
        return f"{self._marker}{len(self._images) - 1:08d}"

    def fill(self, text: bytes) -> Body:
        """Take the JSON, in which every image's text occurs once, in the order of the calls."""
        first, *rest = text.split(self._marker.encode("ascii"))
        numbers = [int(fragment[:8]) for fragment in rest]
        if numbers != list(range(len(self._images))):
            raise ValueError("each image must stand in the JSON once, in order")
        self._fragments = [first, *(fragment[8:] for fragment in rest)]
        return self

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        encoded = sum((len(data) + 2) // 3 * 4 for data in self._images)
        return encoded + sum(map(len, self._fragments))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._fragments[0]
        for data, after in zip(self._images, self._fragments[1:], strict=True):
            view = memoryview(data)
            for start in range(0, len(view), _PIECE):
                yield binascii.b2a_base64(view[start : start + _PIECE], newline=False)
            yield after


def dump(payload: Mapping[str, Any]) -> bytes:
    """JSON as ASCII, so that no text of a question can make it invalid."""
    return json.dumps(payload, allow_nan=False).encode("ascii")


class PerLoop(Generic[T]):
    """One client for each event loop, as connections cannot move from loop to loop.

    A notebook, `asyncio.run` called twice and a test all bring loops of their own.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: T | None = None

    def get(self) -> T:
        """The client of the running loop, made at the first call."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._make(), loop
        return self._client

    def take(self) -> T | None:
        """The running loop's client for closing, if there is one; it is not given out again."""
        client = self._client if self._loop is asyncio.get_running_loop() else None
        self._client = self._loop = None
        return client


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait: `retry-after-ms`, `Retry-After` as seconds or date."""
    try:
        return max(0.0, float(headers.get("retry-after-ms", "")) / 1000)
    except ValueError:
        pass
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        parsed = email.utils.parsedate_tz(value)
        if parsed is None:
            return None
        seconds = email.utils.mktime_tz(parsed) - time.time()
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None


_RETRYABLE = frozenset({408, 409, 425, 429})
_FATAL = frozenset({401, 402, 403, 404, 405})
_HINTS = {
    401: "the key was not accepted",
    402: "the account has no credit",
    403: "the key may not do this",
    404: "no such model, or the base URL is wrong",
    405: "the base URL is wrong",
    413: "the request is too large for this server: smaller or fewer images are needed",
    429: "too many requests",
    529: "overloaded",
}


def status_error(
    engine: str,
    status: int,
    detail: str,
    headers: Mapping[str, str],
    *keys: str,
    fatal: bool = False,
) -> ModelError:
    """A status code as ModelError. `fatal` overrules: the account or the setting is wrong."""
    hint = _HINTS.get(status, "")
    if 300 <= status < 400:
        hint = "the server redirects: give the new address as the base URL"
    parts = [f"{engine}: status {status}", hint, shorten(detail)]
    retryable = status in _RETRYABLE or (status >= 500 and status not in (501, 505))
    fatal = fatal or status in _FATAL or 300 <= status < 400
    return ModelError(
        mask(": ".join(part for part in parts if part), *keys),
        retryable=retryable and not fatal,
        rate_limited=status in (429, 503, 529) and not fatal,
        retry_after=None if fatal else retry_after(headers),
        fatal=fatal,
    )


def connection_error(
    engine: str, url: str, error: BaseException, timeout: float, *keys: str
) -> ModelError:
    """What an SDK raises when there was no whole reply, as ModelError."""
    cause = error.__cause__ or error
    if isinstance(cause, ReplyTooLong):
        return ModelError(mask(f"{engine}: {shorten(str(cause))}", *keys))
    if isinstance(error, TimeoutError) or isinstance(cause, httpx2.TimeoutException):
        return ModelError(
            mask(f"{engine}: no reply from {url} within {timeout:g} s", *keys), retryable=True
        )
    reason = shorten(str(cause)) or type(cause).__name__
    retryable = not isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL)
    return ModelError(
        mask(f"{engine}: the connection to {url} failed: {reason}", *keys),
        retryable=retryable,
        fatal=not retryable,
    )


def page_text(page: str) -> str:
    """What an error page says, without its tags."""
    return re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", " ", page[:4000])


def shorten(text: str) -> str:
    """One line of at most 400 characters, for a message."""
    line = " ".join(text[: 10 * _MESSAGE_LENGTH].split())
    return line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + "…"


def garbled(engine: str, what: str, content: bytes, *keys: str) -> ModelError:
    """A reply with status 200 that is none; a proxy's error page heals, so it may be retried."""
    start = shorten(content[:200].decode("utf-8", "replace"))
    return ModelError(
        mask(f"{engine}: the server answered {what}: {start!r}", *keys), retryable=True
    )


def read_json(engine: str, content: bytes, *keys: str) -> dict[str, Any]:
    """The JSON object in a reply's body. Raises ModelError if there is none."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        what = "a web page" if b"<html" in content[:2000].lower() else "no JSON"
        raise garbled(engine, f"{what} instead of a reply", content, *keys) from None
    if not isinstance(data, dict):
        raise garbled(engine, "JSON that is no reply", content, *keys)
    return data


def as_count(value: object) -> int | None:
    """A token count, or None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_text(value: object) -> str:
    """A string, or "" for what is none."""
    return value if isinstance(value, str) else ""


def check_url(url: str) -> str:
    """A base URL without its last slash. Raises UsageError for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"base_url must look like http://localhost:8000/v1, not {mask(url)!r}")
    if parts.query or parts.fragment:
        raise UsageError(f"base_url must end with its path, without ? or #: {mask(url)!r}")
    return url.rstrip("/")


def check_timeout(timeout: float | str) -> float:
    """Seconds above 0. Raises UsageError."""
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"timeout must be seconds above 0, not {timeout!r}")
    return seconds


def parse_extra(value: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """The option `extra_body`: a mapping, or JSON text of one. Raises UsageError."""
    if not value:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise UsageError(f"extra_body is no JSON ({error}): write '{{\"top_k\": 1}}'") from None
    if not isinstance(value, Mapping):
        raise UsageError("extra_body must be a JSON object, such as '{\"top_k\": 1}'")
    return dict(value)
