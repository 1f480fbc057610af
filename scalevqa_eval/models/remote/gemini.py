"""`gemini/NAME`: Google's Gemini API."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import httpx2

from scalevqa_eval.errors import MissingExtra, ModelError
from scalevqa_eval.models.remote import http as remote
from scalevqa_eval.models.remote.transport import http_client
from scalevqa_eval.models.secrets import key_from_environment, mask
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

if TYPE_CHECKING:
    from google import genai
    from google.genai import errors, types

OFFICIAL = "https://generativelanguage.googleapis.com"
_FINISH: Mapping[str, FinishReason] = {
    "": "stop",
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
}
# The SDK offers no raw body: it gets short stand-ins for the images, and they are put in as the
# request leaves (`_put_images`).
_body: ContextVar[remote.Body] = ContextVar("body")


def load(
    name: str,
    *,
    base_url: str | None = None,
    timeout: float = 600.0,
    api_key_env: str = "",
    extra_body: Mapping[str, Any] | str | None = None,
) -> GeminiModel:
    """The model `name` of the Gemini API, or of the compatible server at `base_url`.

    `timeout` is in seconds, for one attempt. The key is read from the environment variable
    GEMINI_API_KEY, else GOOGLE_API_KEY, or from the one that `api_key_env` names. Thinking is
    left to the model's default; `extra_body` (a mapping or JSON text) adds fields, such as
    {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}. Raises MissingExtra
    without the SDK, UsageError without a key.
    """
    try:
        from google import genai  # noqa: F401
    except ImportError:
        raise MissingExtra("gemini/", "gemini") from None
    url = remote.check_url(base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or OFFICIAL)
    variables = (api_key_env,) if api_key_env else ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    key = key_from_environment(*variables, engine="gemini")
    seconds = remote.check_timeout(timeout)
    return GeminiModel(name, url, key, seconds, remote.parse_extra(extra_body))


class GeminiModel:
    """A model behind generateContent. Use `load`."""

    def __init__(
        self, name: str, base_url: str, key: str, timeout: float, extra_body: dict[str, Any]
    ) -> None:
        self._name = name
        self._base_url = base_url
        self._key = key
        self._timeout = timeout
        self.name = f"gemini/{name}"
        self.identity: Mapping[str, Any] = {
            "base_url": mask(base_url, key),
            "extra_body": extra_body,
        }
        # A request may have 20 MB in all, which leaves each of three views 5 MB before base64.
        self.capabilities = Capabilities(
            max_images=3600,
            max_image_bytes=5 * 1000 * 1000,
            media_types=("image/jpeg", "image/png", "image/webp"),
        )

        def connect() -> tuple[genai.Client, httpx2.AsyncClient]:
            from google import genai
            from google.genai import types

            connections = http_client(timeout)
            connections.event_hooks["request"].append(_put_images)
            options = types.HttpOptions(
                base_url=base_url,
                timeout=int(timeout * 1000),
                httpx_async_client=connections,
                extra_body=extra_body or None,
            )
            return genai.Client(api_key=key, vertexai=False, http_options=options), connections

        self._clients = remote.PerLoop(connect)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        import pydantic
        from google.genai import errors

        body = remote.Body()
        contents, config = self._request(prompt, body)
        started = time.perf_counter()
        _body.set(body)
        try:
            async with asyncio.timeout(self._timeout):
                client, _ = self._clients.get()
                response = await client.aio.models.generate_content(
                    model=self._name, contents=contents, config=config
                )
        except errors.APIError as error:
            raise self._status_error(error) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:  # TimeoutError too
            raise remote.connection_error(
                "gemini", self._base_url, error, self._timeout, self._key
            ) from None
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            # What the SDK runs into when a reply is no JSON, or JSON of another shape.
            detail = "" if isinstance(error, pydantic.ValidationError) else str(error)
            content = getattr(error, "doc", detail).encode("utf-8", "replace")
            what = "something that is no reply"
            raise remote.garbled("gemini", what, content, self._key) from None
        return self._read(response, time.perf_counter() - started)

    async def aclose(self) -> None:
        """Close the connections."""
        opened = self._clients.take()
        if opened is not None:
            client, connections = opened
            client.close()
            await connections.aclose()

    def _request(
        self, prompt: Prompt, body: remote.Body
    ) -> tuple[types.Content, types.GenerateContentConfig]:
        from google.genai import types

        sampling = prompt.sampling
        if sampling.letters_only or sampling.logprobs:
            raise ModelError("gemini/ has no log-probabilities or letters-only", fatal=True)
        parts = []
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                stand_in = base64.b64decode(body.image(part.load()))
                parts.append(types.Part.from_bytes(data=stand_in, mime_type=part.media_type))
            else:
                parts.append(types.Part.from_text(text=part.text))
        config = types.GenerateContentConfig(
            system_instruction=prompt.system or None,
            max_output_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
        )
        return types.Content(role="user", parts=parts), config

    def _status_error(self, error: errors.APIError) -> ModelError:
        headers = dict(getattr(error.response, "headers", None) or {})
        details = _error_details(error.details)
        text = str(details)
        wait = re.search(r"'retryDelay': '([0-9.]+)s'", text)
        if wait and "retry-after" not in headers:
            headers["retry-after"] = wait.group(1)
        message = remote.page_text(error.message or "")
        wrong_key = "API_KEY_INVALID" in text or "api key not valid" in message.lower()
        # A limit per day does not heal while a run waits.
        used_up = error.code == 429 and "PerDay" in text
        fatal = wrong_key or used_up or error.status == "FAILED_PRECONDITION"
        return remote.status_error("gemini", error.code, message, headers, self._key, fatal=fatal)

    def _read(self, response: types.GenerateContentResponse, latency: float) -> Reply:
        feedback = response.prompt_feedback
        blocked = feedback is not None and feedback.block_reason is not None
        empty = all(
            c.content is None and c.finish_reason is None for c in response.candidates or ()
        )
        if empty and not blocked:
            raise remote.garbled("gemini", "JSON without a candidate", b"", self._key)
        text, reasoning, finish = "", "", "SAFETY"
        if response.candidates:
            candidate = response.candidates[0]
            finish = candidate.finish_reason.value if candidate.finish_reason else ""
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.thought:
                    reasoning += part.text or ""
                else:
                    text += part.text or ""
        return Reply(
            text=text,
            finish=_FINISH.get(finish, "other"),
            usage=_usage(response.usage_metadata),
            latency=latency,
            model=response.model_version or "",
            reasoning=reasoning,
        )


async def _put_images(request: httpx2.Request) -> None:
    body = _body.get().fill(request.content)
    request.stream = body
    request.headers["Content-Length"] = str(body.length)


def _error_details(body: object) -> object:
    error = body.get("error") if isinstance(body, dict) else None
    return error.get("details") if isinstance(error, dict) else None


def _usage(usage: types.GenerateContentResponseUsageMetadata | None) -> Usage:
    """Thoughts are paid for as output, so they count as completion."""
    if usage is None:
        return Usage()
    written = (usage.candidates_token_count, usage.thoughts_token_count)
    known = [count for count in written if count is not None]
    return Usage(
        prompt_tokens=usage.prompt_token_count,
        cached_tokens=usage.cached_content_token_count,
        completion_tokens=sum(known) if known else None,
    )
