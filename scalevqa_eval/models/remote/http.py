"""One HTTP client for all providers: a request is sent, its answer is read, once.

No provider's SDK is used: they copy every image into strings (docs/models.md), hand on a web page
with status 200 as a reply, and send headers from the environment to any address. What is left of
them is three JSON formats, which stand in openai.py, anthropic.py and gemini.py.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import urllib.request
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.secrets import HIDDEN, mask

# A reply is a few kB; 16 MB is far above any model's longest and bounds what a server can cost.
MAX_REPLY_BYTES = 16 * 1024 * 1024
# Below the 5 s after which common servers (uvicorn) drop an idle connection, as we might be
# writing into it just then.
_KEEP_ALIVE_SECONDS = 4.0
_CONNECT_SECONDS = 30.0
# Divisible by 3, so that pieces of base64 join without padding between them.
_PIECE = 3 * 64 * 1024
_MESSAGE_LENGTH = 400


class Body:
    """A JSON body whose images are encoded piece by piece while they are sent.

    `image` gives the text to put where an image goes; images stand in the order of the calls.
    """

    def __init__(self) -> None:
        self._marker = uuid.uuid4().hex
        self._images: list[bytes] = []
        self._texts: list[bytes] = []

    def image(self, data: bytes) -> str:
        """Stands for the base64 text of `data` in the JSON."""
        self._images.append(data)
        return self._marker

    def fill(self, payload: Mapping[str, Any]) -> Body:
        """Take the JSON: as ASCII, so that no text of a question can make it invalid."""
        text = json.dumps(payload, allow_nan=False).encode("ascii")
        self._texts = text.split(self._marker.encode("ascii"))
        if len(self._texts) != len(self._images) + 1:
            raise ModelError("extra_body takes the place of the images", fatal=True)
        return self

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        encoded = sum((len(data) + 2) // 3 * 4 for data in self._images)
        return encoded + sum(map(len, self._texts))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._texts[0]
        for data, after in zip(self._images, self._texts[1:], strict=True):
            view = memoryview(data)
            for start in range(0, len(view), _PIECE):
                yield binascii.b2a_base64(view[start : start + _PIECE], newline=False)
            yield after


class Answer(NamedTuple):
    """What a server sent, at most 16 MB; `headers` by names in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """One address, and the sockets to it; `secrets` are masked in all that is raised.

    A redirect is not followed: it would carry the key and the images to a place that the user
    did not name. Proxies are taken from the environment; ~/.netrc is not read. Raises UsageError
    for what is no base URL, no time-out, or no proxy that can be used.
    """

    def __init__(
        self,
        engine: str,
        base_url: str,
        headers: Mapping[str, str],
        timeout: float | str,
        secrets: tuple[str, ...] = (),
    ) -> None:
        parts = urlsplit(check_url(base_url))
        userinfo, at, host = parts.netloc.rpartition("@")
        self.engine = engine
        shown = f"{parts.scheme}://{at and HIDDEN + at}{host}{parts.path}"
        self.shown = mask(shown, *secrets)
        self._url = f"{parts.scheme}://{host}{parts.path}"
        self._headers = {"Content-Type": "application/json", **headers}
        self._secrets = secrets
        if at:
            login = unquote(userinfo)
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
            self._secrets += (userinfo.partition(":")[2], login.partition(":")[2])
        self._timeout = _seconds(timeout)
        self._proxy = _proxy_for(parts.scheme, parts.hostname or "")
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hang_up: Callable[[], object] = lambda: None

    async def post(self, path: str, body: Body) -> Answer:
        """Send `body` to the base URL and `path`. Raises ModelError if no whole answer came."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._opened().post(
                    self._url + quote(path, safe="/:"),
                    data=body,
                    headers={**self._headers, "Content-Length": str(body.length)},
                    allow_redirects=False,
                    proxy=self._proxy,
                ) as response,
            ):
                return Answer(response.status, response.headers, await self._read(response))
        except TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise self.error(f"{self.shown} cannot be reached", retryable=True) from None
            text = f"no reply from {self.shown} within {self._timeout:g} s"
            raise self.error(text, retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            # These stay as they are: a certificate that is not trusted, an impossible address.
            fatal = isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.InvalidURL)
            reason = self.shortened(str(error)) or type(error).__name__
            text = f"the connection to {self.shown} failed: {reason}"
            raise self.error(text, retryable=not fatal, fatal=fatal) from None

    async def aclose(self) -> None:
        """Close the sockets; a later `post` opens others."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    def error(self, text: str, **flags: Any) -> ModelError:
        """A ModelError whose text names the engine and holds no secret."""
        return ModelError(f"{self.engine}: {mask(text, *self._secrets)}", **flags)

    def shortened(self, text: str) -> str:
        """One line of at most 400 characters; masked first, as half a key is hidden by none."""
        line = " ".join(mask(text[: 25 * _MESSAGE_LENGTH], *self._secrets).split())
        return line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + "…"

    def without_key(self, text: str) -> str:
        """A reply without the key, should the server echo it; a short one may be a word."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN) if len(secret) >= 16 else text
        return text

    def _opened(self) -> aiohttp.ClientSession:
        """The session of the running event loop: a notebook or a second `asyncio.run` has another,
        and connections cannot move from loop to loop."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._hang_up()
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "scalevqa-eval", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                trust_env=False,  # else ~/.netrc is read at every request, and sent
            )
            # Models that nobody closes must not end in "Unclosed client session".
            self._hang_up = weakref.finalize(self, _close, self._session, loop)
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > MAX_REPLY_BYTES:
                raise self.error(f"the reply is longer than {MAX_REPLY_BYTES // 2**20} MB")
        return bytes(content)


def _close(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close what was left open: in its loop while that runs, else on the spot."""
    if session.closed:
        return
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(session.close(), loop)
        return
    with contextlib.suppress(StopIteration, RuntimeError):
        session.close().send(None)  # its sockets ended with the loop: there is nothing to wait for


def check_url(url: str) -> str:
    """A base URL without its last slash. Raises UsageError for what is none."""
    shown = mask(url if "@" not in url else HIDDEN + "@" + url.rpartition("@")[2])
    try:
        parts = urlsplit(url)
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:  # an IPv6 address without its end, a port that is no number
        bad = True
    if bad or not url.isprintable() or " " in url:
        raise UsageError(f"base_url must look like http://localhost:8000/v1, not {shown!r}")
    if parts.query or parts.fragment:
        raise UsageError(f"base_url must end with its path, without ? or #: {shown!r}")
    return url.rstrip("/")


def _seconds(timeout: float | str) -> float:
    try:
        seconds = float(timeout)
    except (ValueError, TypeError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"timeout must be seconds above 0, not {timeout!r}")
    return seconds


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for an address. Raises UsageError for SOCKS."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise UsageError(
            f"the proxy {mask(proxy)} of the environment cannot be used, only http:// ones: "
            f"set {scheme}_proxy, or no_proxy={host}"
        )
    return proxy
