"""Connections for the providers' SDKs: aiohttp under httpx2, replies bounded, no redirects.

All three SDKs take an `httpx2.AsyncClient`. Its own transport costs twice the CPU of aiohttp's
for requests of megabytes, so this one hands the bytes to aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
import weakref
from collections.abc import AsyncIterator, Iterator

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

# A reply is a few kB; 16 MB is far above any model's longest and bounds what a server can cost.
MAX_REPLY_BYTES = 16 * 1024 * 1024
# Below the 5 s after which common servers (uvicorn) drop an idle connection, as we might be
# writing into it just then.
_KEEP_ALIVE_SECONDS = 4.0
_CONNECT_SECONDS = 30.0


class ReplyTooLong(httpx2.RequestError):
    """A reply of more than 16 MB."""


def http_client(timeout: float) -> httpx2.AsyncClient:
    """Connections for one SDK client in one event loop; `timeout` (seconds) is for silence.

    A redirect is not followed: it would carry the key and the images to a place that the user
    did not name. Replies are asked for uncompressed, so that the bound is on what ends up in
    memory. Proxies are taken from the environment.
    """
    return httpx2.AsyncClient(
        transport=AiohttpTransport(),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,  # proxies are read below, and ~/.netrc must not be
        headers={"Accept-Encoding": "identity"},
    )


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2's requests with aiohttp. Failures are raised as httpx2's errors."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    def _open(self, url: httpx2.URL) -> aiohttp.ClientSession:
        # Certificates are read (60 ms) for https only.
        context = httpx2.create_ssl_context() if url.scheme == "https" else True
        self._proxy = _proxy_for(url)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=context, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Else aiohttp reads ~/.netrc at every request, and sends what it finds there.
            trust_env=False,
        )
        # Models that nobody closes must not end in "Unclosed client session" on the terminal.
        weakref.finalize(self, _hang_up, session, asyncio.get_running_loop())
        return session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; the response's body is still to be read."""
        if self._session is None:
            self._session = self._open(request.url)
        limits = request.extensions.get("timeout", {})
        with _httpx2_errors(request):
            response = await self._session.request(
                request.method,
                # httpx2 has made a header of a user name and password in the address.
                URL(str(request.url), encoded=True).with_user(None),
                headers=CIMultiDict(request.headers.multi_items()),
                data=request.stream,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_SECONDS, sock_read=limits.get("read")
                ),
            )
        return httpx2.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_Reply(response, request),
            request=request,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class _Reply(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        with _httpx2_errors(self._request):
            async for chunk in self._response.content.iter_any():
                seen += len(chunk)
                if seen > MAX_REPLY_BYTES:
                    message = f"the reply is longer than {MAX_REPLY_BYTES // 2**20} MB"
                    raise ReplyTooLong(message, request=self._request)
                yield chunk

    async def aclose(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def _proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment names for an address; aiohttp knows http proxies only."""
    if urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    return proxy if proxy.startswith(("http://", "https://")) else None


@contextlib.contextmanager
def _httpx2_errors(request: httpx2.Request) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:  # aiohttp's time-outs are among them
        raise httpx2.TimeoutException(str(error), request=request) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx2.UnsupportedProtocol(str(error), request=request) from error
    except aiohttp.ClientPayloadError as error:
        raise httpx2.ReadError("the reply broke off", request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.NetworkError(str(error), request=request) from error


def _hang_up(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close what was left open: in its loop while that runs, else on the spot."""
    if session.closed:
        return
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(session.close(), loop)
        return
    # The loop is over and its sockets with it: closing has nothing to wait for.
    with contextlib.suppress(StopIteration, RuntimeError):
        session.close().send(None)
