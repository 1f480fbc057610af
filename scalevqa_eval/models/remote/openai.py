"""`openai/NAME`: OpenAI's chat completions, and every server that speaks them.

With a base URL this is how vLLM, SGLang, Ollama, DashScope, OpenRouter and others are used.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.remote import http as remote
from scalevqa_eval.models.remote.transport import http_client
from scalevqa_eval.models.secrets import key_from_environment, mask
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

OFFICIAL = "https://api.openai.com/v1"
SERVERS = ("", "vllm")

# Sent to local servers, which ask for a key but do not look at it.
_PLACEHOLDER = "unused"
# These take only the default temperature; their "chat" variants do not reason.
_REASONING = re.compile(r"(?:o\d|gpt-5)(?!.*-chat)")
_OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_FILTERED = ("content_filter", "content_policy_violation", "data_inspection_failed")
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_FINISH: Mapping[object, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refusal",
}


def load(
    name: str,
    *,
    base_url: str | None = None,
    timeout: float = 600.0,
    api_key_env: str = "OPENAI_API_KEY",
    server: str = "",
    max_tokens_field: str = "",
    omit: str = "",
    detail: str = "high",
    extra_body: Mapping[str, Any] | str | None = None,
) -> OpenAIModel:
    """The model `name` of OpenAI, or of the OpenAI-compatible server at `base_url`.

    `timeout` is in seconds, for one attempt. `api_key_env` names the environment variable that
    holds the key; with a base URL it may be unset. `server="vllm"` allows what vLLM adds
    (replies constrained to option letters). `max_tokens_field` is `max_tokens` or
    `max_completion_tokens` (by default the latter for OpenAI itself). `omit` lists request
    fields to leave out, e.g. "temperature,seed" ("none": leave out nothing); by default OpenAI's
    reasoning models get no temperature and top_p, which they refuse. `detail` is how finely
    images are looked at ("" leaves it out). `extra_body` adds fields to every request, as a
    mapping or JSON text. Raises UsageError for a missing key or an impossible option.
    """
    url = remote.check_url(base_url or os.environ.get("OPENAI_BASE_URL") or OFFICIAL)
    if server not in SERVERS:
        raise UsageError(f"server is vllm or left out, not {server!r}")
    if max_tokens_field not in ("", "max_tokens", "max_completion_tokens"):
        raise UsageError("max_tokens_field is max_tokens or max_completion_tokens")
    official = urlsplit(url).hostname == urlsplit(OFFICIAL).hostname
    default = None if official else _PLACEHOLDER
    key = key_from_environment(api_key_env, engine="openai", default=default)
    if omit:
        left_out = {field.strip() for field in omit.split(",")} - {"none", ""}
    else:
        left_out = {"temperature", "top_p"} if official and _REASONING.match(name) else set()
    fields = {
        "max_tokens": max_tokens_field or ("max_completion_tokens" if official else "max_tokens"),
        "omit": sorted(left_out),
        "detail": detail,
        "extra_body": remote.parse_extra(extra_body),
    }
    return OpenAIModel(name, url, key, remote.check_timeout(timeout), server, fields, official)


class OpenAIModel:
    """A chat-completions model. Use `load`."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        timeout: float,
        server: str,
        fields: Mapping[str, Any],
        official: bool,
    ) -> None:
        self._name = name
        self._base_url = base_url
        self._keys = () if key == _PLACEHOLDER else (key,)
        self._timeout = timeout
        self._fields = fields
        self.name = f"openai/{name}"
        self.identity: Mapping[str, Any] = {
            "base_url": mask(base_url, *self._keys),
            "server": server,
            **fields,
        }
        # OpenAI takes 1,500 images and 512 MB a request; other servers have their own limits.
        self.capabilities = Capabilities(
            max_images=1500 if official else None,
            max_image_bytes=20 * 1024 * 1024 if official else None,
            logprobs=not (official and "temperature" in fields["omit"]),
            letters_only=server == "vllm",
            concurrency=8 if official else 64,
        )

        def connect() -> openai.AsyncOpenAI:
            return openai.AsyncOpenAI(
                api_key=key,
                base_url=base_url,
                timeout=timeout,
                max_retries=0,
                http_client=http_client(timeout),
            )

        self._clients = remote.PerLoop(connect)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt with one request. Raises ModelError."""
        body = self._body(prompt)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._clients.get().post(
                    "/chat/completions",
                    cast_to=httpx2.Response,
                    content=body,
                    options={"headers": {"Content-Length": str(body.length)}},
                )
        except openai.APIStatusError as error:
            if _error_code(error.body) in _FILTERED:
                return Reply("", "refusal", latency=time.perf_counter() - started)
            raise self._status_error(error.status_code, error.body, error.response) from None
        except (openai.OpenAIError, TimeoutError) as error:
            raise remote.connection_error(
                "openai", self._base_url, error, self._timeout, *self._keys
            ) from None
        return self._read(prompt, response, time.perf_counter() - started)

    async def aclose(self) -> None:
        """Close the connections."""
        client = self._clients.take()
        if client is not None:
            await client.close()

    def _body(self, prompt: Prompt) -> remote.Body:
        body = remote.Body()
        content: list[dict[str, Any]] = []
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                url = f"data:{part.media_type};base64,{body.image(part.load())}"
                image = {"url": url, "detail": self._fields["detail"]}
                content.append({"type": "image_url", "image_url": _given(image)})
            else:
                content.append({"type": "text", "text": part.text})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        payload = {"model": self._name, "messages": messages, **self._settings(prompt)}
        return body.fill(remote.dump(payload))

    def _settings(self, prompt: Prompt) -> dict[str, Any]:
        sampling = prompt.sampling
        settings: dict[str, Any] = {
            self._fields["max_tokens"]: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if sampling.letters_only and prompt.options:
            if not self.capabilities.letters_only:
                raise ModelError(
                    "openai/ can constrain replies to letters with server=vllm only", fatal=True
                )
            settings["structured_outputs"] = {"choice": list(prompt.options)}
        if sampling.logprobs:
            if not self.capabilities.logprobs:
                raise ModelError(f"{self.name} gives no log-probabilities", fatal=True)
            settings |= {"logprobs": True, "top_logprobs": 20}
        kept = {key: value for key, value in settings.items() if key not in self._fields["omit"]}
        return {
            **{key: value for key, value in kept.items() if value is not None},
            **self._fields["extra_body"],
        }

    def _status_error(
        self, status: int, body: object, response: httpx2.Response | None
    ) -> ModelError:
        code = _error_code(body)
        detail = _error_message(body)
        fatal = code in _OUT_OF_MONEY
        if status == 400 and code in _UNSUPPORTED:
            fatal = True
            field = body.get("param") if isinstance(body, dict) else None
            detail += f" (leave it out with the option omit={field or 'FIELD'})"
        headers = response.headers if response is not None else {}
        return remote.status_error("openai", status, detail, headers, *self._keys, fatal=fatal)

    def _read(self, prompt: Prompt, response: httpx2.Response, latency: float) -> Reply:
        content = response.content
        data = remote.read_json("openai", content, *self._keys)
        error = data.get("error")
        if error:  # some gateways report failures with status 200
            status = error.get("code") if isinstance(error, dict) else None
            if not isinstance(status, int) or not 400 <= status < 600:
                status = 500
            raise self._status_error(status, error, None)
        choices = data.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise remote.garbled("openai", "JSON without a choice", content, *self._keys)
        text = _content_text(message.get("content"))
        refusal = remote.as_text(message.get("refusal"))
        reason = choice.get("finish_reason")
        finish: FinishReason = "stop" if reason is None else _FINISH.get(reason, "other")
        logprobs = None
        if prompt.sampling.logprobs:
            logprobs = _letter_logprobs(choice.get("logprobs"), tuple(prompt.options))
            if logprobs is None:
                raise ModelError(
                    "the server sent no log-probabilities: leave out --score logprobs", fatal=True
                )
            text = max(logprobs, key=logprobs.__getitem__) if logprobs else text
            finish = "stop" if finish == "length" else finish
        return Reply(
            text=text or refusal,
            finish="refusal" if refusal else finish,
            usage=_usage(data.get("usage")),
            latency=latency,
            model=_answered_by(data),
            reasoning=remote.as_text(message.get("reasoning_content"))
            or remote.as_text(message.get("reasoning")),
            logprobs=logprobs,
        )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _error_code(body: object) -> str:
    return str(body.get("code") or body.get("type") or "") if isinstance(body, dict) else ""


def _error_message(body: object) -> str:
    if isinstance(body, dict):
        return remote.as_text(body.get("message")) or str(body)
    return remote.page_text(remote.as_text(body))


def _content_text(content: object) -> str:
    """Text, or the texts of a list of parts (some servers send those)."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(map(remote.as_text, parts))
    return remote.as_text(content)


def _answered_by(data: Mapping[str, Any]) -> str:
    model = remote.as_text(data.get("model"))
    fingerprint = remote.as_text(data.get("system_fingerprint"))
    return f"{model} ({fingerprint})" if fingerprint else model


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=remote.as_count(usage.get("prompt_tokens")),
        cached_tokens=remote.as_count(cached),
        completion_tokens=remote.as_count(usage.get("completion_tokens")),
    )


def _letter_logprobs(logprobs: object, letters: tuple[str, ...]) -> dict[str, float] | None:
    """Log-probability of each letter as the first token; spellings such as "A" and " A" add up.

    None if the server sent no log-probabilities at all.
    """
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(top, list) or not top:
        return None
    found: dict[str, float] = {}
    for entry in top:
        token = remote.as_text(entry.get("token")).strip() if isinstance(entry, dict) else ""
        value = entry.get("logprob") if isinstance(entry, dict) else None
        if token in letters and isinstance(value, int | float) and math.isfinite(value):
            found[token] = found.get(token, 0.0) + math.exp(value)
    return {letter: math.log(found[letter]) for letter in letters if found.get(letter)}
