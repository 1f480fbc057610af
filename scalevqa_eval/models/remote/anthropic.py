"""`anthropic/NAME`: Anthropic's Messages, and servers that speak them (vLLM does)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from scalevqa_eval.errors import MissingExtra, ModelError
from scalevqa_eval.models.remote import http as remote
from scalevqa_eval.models.remote.transport import http_client
from scalevqa_eval.models.secrets import key_from_environment, mask
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

if TYPE_CHECKING:
    import anthropic

OFFICIAL = "https://api.anthropic.com"
# 5 MB is the limit for an image's base64 text, which is a third longer than the image.
_MAX_IMAGE_BYTES = 5 * 1024 * 1024 * 3 // 4
_FINISH: Mapping[object, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


def load(
    name: str,
    *,
    base_url: str | None = None,
    timeout: float = 600.0,
    api_key_env: str = "ANTHROPIC_API_KEY",
    prompt_cache: bool = True,
    extra_body: Mapping[str, Any] | str | None = None,
) -> AnthropicModel:
    """The model `name` of Anthropic, or of the compatible server at `base_url` (without /v1).

    `timeout` is in seconds, for one attempt. `api_key_env` names the environment variable that
    holds the key. `prompt_cache` marks the last image as the end of what the provider may cache:
    questions about the same images then pay a tenth for them, others a quarter more. Requests
    carry no temperature, top_p or seed, which current models refuse; `extra_body` adds fields
    (a mapping or JSON text). Raises MissingExtra without the SDK, UsageError without a key.
    """
    try:
        import anthropic  # noqa: F401
    except ImportError:
        raise MissingExtra("anthropic/", "anthropic") from None
    url = remote.check_url(base_url or os.environ.get("ANTHROPIC_BASE_URL") or OFFICIAL)
    key = key_from_environment(api_key_env, engine="anthropic")
    seconds = remote.check_timeout(timeout)
    return AnthropicModel(name, url, key, seconds, prompt_cache, remote.parse_extra(extra_body))


class AnthropicModel:
    """A model behind the Messages API. Use `load`."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        timeout: float,
        prompt_cache: bool,
        extra_body: dict[str, Any],
    ) -> None:
        self._name = name
        self._base_url = base_url
        self._key = key
        self._timeout = timeout
        self._prompt_cache = prompt_cache
        self._extra_body = extra_body
        self.name = f"anthropic/{name}"
        self.identity: Mapping[str, Any] = {
            "base_url": mask(base_url, key),
            "omit": ["seed", "temperature", "top_p"],
            "extra_body": extra_body,
        }
        self.capabilities = Capabilities(
            max_images=100, max_image_bytes=_MAX_IMAGE_BYTES, max_image_side=8000
        )

        def connect() -> anthropic.AsyncAnthropic:
            import anthropic

            return anthropic.AsyncAnthropic(
                api_key=key,
                base_url=base_url,
                timeout=timeout,
                max_retries=0,
                http_client=http_client(timeout),
            )

        self._clients = remote.PerLoop(connect)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        import anthropic

        body = self._body(prompt)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._clients.get().post(
                    "/v1/messages",
                    cast_to=httpx2.Response,
                    content=body,
                    options={"headers": {"Content-Length": str(body.length)}},
                )
        except anthropic.APIStatusError as error:
            raise self._status_error(error) from None
        except (anthropic.AnthropicError, TimeoutError) as error:
            raise remote.connection_error(
                "anthropic", self._base_url, error, self._timeout, self._key
            ) from None
        return self._read(response.content, time.perf_counter() - started)

    async def aclose(self) -> None:
        """Close the connections."""
        client = self._clients.take()
        if client is not None:
            await client.close()

    def _body(self, prompt: Prompt) -> remote.Body:
        if prompt.sampling.letters_only or prompt.sampling.logprobs:
            raise ModelError("anthropic/ has no log-probabilities or letters-only", fatal=True)
        body = remote.Body()
        content: list[dict[str, Any]] = []
        last_image: dict[str, Any] | None = None
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                source = {"type": "base64", "media_type": part.media_type}
                source["data"] = body.image(part.load())
                last_image = {"type": "image", "source": source}
                content.append(last_image)
            elif part.text:  # an empty block is refused
                content.append({"type": "text", "text": part.text})
        if last_image is not None and self._prompt_cache:
            last_image["cache_control"] = {"type": "ephemeral"}
        payload: dict[str, Any] = {
            "model": self._name,
            "max_tokens": prompt.sampling.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if prompt.system:
            payload["system"] = prompt.system
        return body.fill(remote.dump({**payload, **self._extra_body}))

    def _status_error(self, error: anthropic.APIStatusError) -> ModelError:
        body = error.body
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            detail = remote.as_text(body["error"].get("message"))
            kind = remote.as_text(body["error"].get("type"))
        else:
            detail, kind = remote.page_text(error.response.text), ""
        no_money = kind == "billing_error" or "credit balance" in detail.lower()
        return remote.status_error(
            "anthropic",
            error.status_code,
            detail,
            error.response.headers,
            self._key,
            fatal=no_money,
        )

    def _read(self, content: bytes, latency: float) -> Reply:
        data = remote.read_json("anthropic", content, self._key)
        blocks = data.get("content")
        reason = data.get("stop_reason")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise remote.garbled("anthropic", "JSON without content", content, self._key)
        texts = [block for block in blocks if block.get("type") == "text"]
        thoughts = [block for block in blocks if block.get("type") == "thinking"]
        return Reply(
            text="".join(remote.as_text(block.get("text")) for block in texts),
            finish="stop" if reason is None else _FINISH.get(reason, "other"),
            usage=_usage(data.get("usage")),
            latency=latency,
            model=remote.as_text(data.get("model")),
            reasoning="\n".join(remote.as_text(block.get("thinking")) for block in thoughts),
        )


def _usage(usage: object) -> Usage:
    """`input_tokens` leaves out what was read from the cache or written to it: all are summed."""
    if not isinstance(usage, dict):
        return Usage()
    fresh = remote.as_count(usage.get("input_tokens"))
    cached = remote.as_count(usage.get("cache_read_input_tokens"))
    written = remote.as_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        cached_tokens=cached,
        completion_tokens=remote.as_count(usage.get("output_tokens")),
    )
