"""A model behind HTTP: a prompt in the provider's format, its answer as a reply or an error."""

from __future__ import annotations

import email.utils
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.remote.http import Answer, Body, Connection
from scalevqa_eval.types import Capabilities, FinishReason, Prompt, Reply


class Failure(NamedTuple):
    """What a provider's error means beyond its status.

    `fatal`: the account or a setting is wrong, so that no question can succeed. `refused`: the
    prompt was filtered, which is an answer. `hint` says what to do, `retry_after` (seconds) when
    to ask again if no header does.
    """

    fatal: bool = False
    refused: bool = False
    hint: str = ""
    retry_after: float | None = None


class RemoteModel(ABC):
    """One prompt, one request; retries are the runner's. A provider adds its format.

    `path` follows the base URL. Answers are parsed JSON of any shape: see `dig`.
    """

    path: str

    def __init__(
        self,
        name: str,
        connection: Connection,
        capabilities: Capabilities,
        identity: Mapping[str, Any],
        extra_body: Mapping[str, Any] | str | None = None,
    ) -> None:
        self._connection, self._extra = connection, _parse_extra(extra_body)
        self.name = f"{connection.engine}/{name}"
        self.capabilities = capabilities
        self.identity: Mapping[str, Any] = {
            "base_url": connection.shown, **identity, "extra_body": self._extra,
        }  # fmt: skip

    @abstractmethod
    def request(self, prompt: Prompt, image: Callable[[bytes], str]) -> dict[str, Any]:
        """The JSON to send; `image` gives what stands for an image's base64 text."""

    @abstractmethod
    def read(self, data: dict[str, Any], prompt: Prompt) -> Reply | None:
        """The reply in an answer's JSON, None if there is none."""

    @abstractmethod
    def explain(self, status: int, error: object) -> Failure:
        """What is special about an error."""

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt. Raises ModelError."""
        sampling, able = prompt.sampling, self.capabilities
        if sampling.logprobs and not able.logprobs:
            raise ModelError(f"{self.name} gives no log-probabilities", fatal=True)
        if sampling.letters_only and prompt.options and not able.letters_only:
            text = f"{self.name} cannot be held to letters (openai/ can with server=vllm)"
            raise ModelError(text, fatal=True)
        body = Body()
        payload = self.request(prompt, body.image)
        body.fill(_merged(payload, self._extra))
        started = time.perf_counter()
        answer = await self._connection.post(self.path, body)
        latency = time.perf_counter() - started
        reply = replace(self._read(prompt, answer), latency=latency)
        texts = (reply.text, reply.reasoning, reply.model)
        text, reasoning, model = map(self._connection.without_key, texts)
        return replace(reply, text=text, reasoning=reasoning, model=model)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    def _read(self, prompt: Prompt, answer: Answer) -> Reply:
        try:
            data = json.loads(answer.content)
        except (ValueError, RecursionError):
            data = None
        error = dig(data, "error")
        if not 200 <= answer.status < 300 or error:
            return self._failed(answer, error or data)
        reply = self.read(data, prompt) if isinstance(data, dict) else None
        if reply is None:  # a proxy's error page heals, so it may be tried again
            what = "JSON that is no reply" if data is not None else "no JSON"
            what = "a web page" if b"<html" in answer.content[:2000].lower() else what
            start = self._connection.shortened(answer.content[:4000].decode("utf-8", "replace"))
            text = f"the server answered {what} instead of a reply: {start[:200]!r}"
            raise self._connection.error(text, retryable=True)
        return reply

    def _failed(self, answer: Answer, error: object) -> Reply:
        """The reply that an error stands for (a filtered prompt). Raises ModelError for others."""
        status = answer.status
        if status < 300:  # some gateways report failures with status 200
            code = dig(error, "code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
        failure = self.explain(status, error)
        if failure.refused:
            return Reply("", "refusal")
        page = answer.content[:4000].decode("utf-8", "replace")
        page = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", " ", page)
        message = text_of(dig(error, "message")) or text_of(error) or str(error or page)
        hint = failure.hint or _HINTS.get(300 if 300 <= status < 400 else status, "")
        said = (f"status {status}", hint, self._connection.shortened(message))
        fatal = failure.fatal or status in _FATAL or 300 <= status < 400
        wait = _retry_after(answer.headers)
        raise self._connection.error(
            ": ".join(filter(None, said)),
            retryable=not fatal and (status in _RETRYABLE or 500 <= status != 501),
            rate_limited=not fatal and status in _RATE_LIMITED,
            retry_after=None if fatal else failure.retry_after if wait is None else wait,
            fatal=fatal,
        )


# 403 is none of the fatal ones, as gateways send it for a single question that was moderated;
# a key that may do nothing at all fails one question after the other, and the runner sees that.
_FATAL = frozenset({401, 402, 404, 405, 407})
_RETRYABLE = frozenset({408, 409, 425, 429})
_RATE_LIMITED = frozenset({429, 503, 529})
_LONGEST_WAIT = 1e6  # seconds; nobody waits so long, and more digits help nobody
_HINTS: Mapping[int, str] = {
    300: "the server redirects: give the new address as the base URL",
    401: "the key was not accepted",
    402: "the account has no credit",
    403: "the question was moderated, or the key may not do this",
    404: "no such model, or the base URL is wrong",
    405: "the base URL is wrong",
    407: "the proxy wants a login",
    413: "the request is too large for this server: smaller or fewer images are needed",
    429: "too many requests",
    529: "overloaded",
}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: `retry-after-ms`, `Retry-After` as seconds or date."""
    value = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif (date := email.utils.parsedate_tz(value)) is not None:
            seconds = email.utils.mktime_tz(date) - time.time()
        else:
            seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT) if abs(seconds) < float("inf") else None


def dig(value: Any, *path: str | int) -> Any:
    """What lies at `path` in parsed JSON; None if there is nothing of the kind."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and len(value) > step else None
    return value


def text_of(value: object) -> str:
    """A string, or "" for what is none."""
    return value if isinstance(value, str) else ""


def finish_of(reason: object, known: Mapping[str, FinishReason]) -> FinishReason:
    """A provider's finish reason in our words; without one the reply is whole."""
    return "stop" if reason is None else known.get(text_of(reason), "other")


def items(value: object) -> list[Any]:
    """A list, or [] for what is none."""
    return value if isinstance(value, list) else []


def _parse_extra(value: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """The option `extra_body`: a mapping, or JSON text of one. Raises UsageError."""
    try:
        value = json.loads(value) if isinstance(value, str) and value else value or {}
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"extra_body is no JSON ({error}): write '{{\"top_k\": 1}}'") from None
    if not isinstance(value, Mapping):
        raise UsageError("extra_body must be a JSON object, such as '{\"top_k\": 1}'")
    return dict(value)


def _merged(payload: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`payload` with the fields of `extra`, which reach into nested objects."""
    merged = dict(payload)
    for key, value in extra.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged
