"""`openai/NAME`: OpenAI's chat completions, and every server that speaks them.

With a base URL this is how vLLM, SGLang, Ollama, DashScope, OpenRouter and others are used.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.base import count
from scalevqa_eval.models.remote.http import Connection, check_url
from scalevqa_eval.models.remote.model import Failure, RemoteModel, dig, finish_of, items, text_of
from scalevqa_eval.models.secrets import key_from_environment
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

OFFICIAL = "https://api.openai.com/v1"

# Sent to local servers, which ask for a key but do not look at it.
_PLACEHOLDER = "unused"
# These take only the default temperature; their "chat" variants do not reason.
_REASONING = re.compile(r"(?:o\d|gpt-5)(?!.*-chat)")
_OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_FILTERED = ("content_filter", "content_policy_violation", "data_inspection_failed")
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refusal",
}


class ChatCompletions(RemoteModel):
    """The model `name` of OpenAI, or of the OpenAI-compatible server at `base_url`.

    `timeout` is in seconds, for one attempt. `api_key_env` names the environment variable that
    holds the key; with a base URL it may be unset. `server="vllm"` allows what vLLM adds
    (replies constrained to option letters) and sends neutral values for what it would else take
    from the checkpoint's own settings (a repetition penalty, top-k). `max_tokens_field` is
    `max_tokens` or `max_completion_tokens` (by default the latter for OpenAI itself). `omit` lists
    request fields to leave out, e.g. "temperature,seed" ("none": leave out nothing); by default
    OpenAI's reasoning models get no temperature and top_p, which they refuse. `detail` is how
    finely images are looked at ("" leaves it out). `extra_body` adds fields to every request, as a
    mapping or JSON text. Raises UsageError for a missing key or an impossible option.
    """

    path = "/chat/completions"

    def __init__(
        self,
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
    ) -> None:
        url = check_url(base_url or os.environ.get("OPENAI_BASE_URL") or OFFICIAL)
        if server not in ("", "vllm"):
            raise UsageError(f"server is vllm or left out, not {server!r}")
        if max_tokens_field not in ("", "max_tokens", "max_completion_tokens"):
            raise UsageError("max_tokens_field is max_tokens or max_completion_tokens")
        official = urlsplit(url).hostname == urlsplit(OFFICIAL).hostname
        key = key_from_environment(
            api_key_env, engine="openai", default=None if official else _PLACEHOLDER
        )
        if omit:
            left_out = {field.strip() for field in omit.split(",")} - {"none", ""}
        else:
            left_out = {"temperature", "top_p"} if official and _REASONING.match(name) else set()
        limit = max_tokens_field or ("max_completion_tokens" if official else "max_tokens")
        secrets = () if key == _PLACEHOLDER else (key,)
        super().__init__(
            name,
            Connection("openai", url, {"Authorization": f"Bearer {key}"}, timeout, secrets),
            # OpenAI takes 1,500 images and 512 MB a request; other servers have their own limits.
            Capabilities(
                max_images=1500 if official else None,
                max_image_bytes=20 * 1024 * 1024 if official else None,
                logprobs=not (official and "temperature" in left_out),
                letters_only=server == "vllm",
                concurrency=8 if official else 64,
            ),
            {
                "server": server and f"{server}, neutral sampling",
                "max_tokens": limit,
                "omit": sorted(left_out),
                "detail": detail,
            },
            extra_body,
        )
        self._model, self._limit, self._omit, self._detail = name, limit, left_out, detail

    def request(self, prompt: Prompt, image: Callable[[bytes], str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                url = {"url": f"data:{part.media_type};base64,{image(part.load())}"}
                detail = {"detail": self._detail} if self._detail else {}
                content.append({"type": "image_url", "image_url": {**url, **detail}})
            else:
                content.append({"type": "text", "text": part.text})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        sampling = prompt.sampling
        settings: dict[str, Any] = {
            self._limit: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if self.capabilities.letters_only:
            # vLLM applies what the checkpoint ships with to every reply, greedy ones too.
            settings["repetition_penalty"] = 1.0
            if sampling.temperature is not None:
                settings |= {"top_k": 0, "min_p": 0.0}
                settings["top_p"] = 1.0 if sampling.top_p is None else sampling.top_p
        if sampling.letters_only and prompt.options:
            settings["structured_outputs"] = {"choice": list(prompt.options)}
        if sampling.logprobs:
            settings |= {"logprobs": True, "top_logprobs": 20}
        kept = {k: v for k, v in settings.items() if v is not None and k not in self._omit}
        return {"model": self._model, "messages": messages, **kept}

    def read(self, data: dict[str, Any], prompt: Prompt) -> Reply | None:
        choice = dig(data, "choices", 0)
        message = dig(choice, "message")
        content = dig(message, "content")  # some servers send a list of parts
        if not isinstance(message, dict) or not isinstance(content, str | list | None):
            return None
        text = "".join(text_of(dig(part, "text")) for part in items(content)) or text_of(content)
        refusal = text_of(message.get("refusal"))
        finish = finish_of(dig(choice, "finish_reason"), _FINISH)
        logprobs = None
        if prompt.sampling.logprobs:
            top = items(dig(choice, "logprobs", "content", 0, "top_logprobs"))
            if not top:
                text = "the server sent no log-probabilities: leave out --score logprobs"
                raise ModelError(text, fatal=True)
            logprobs = _letter_logprobs(top, tuple(prompt.options))
            text = max(logprobs, key=logprobs.__getitem__) if logprobs else text
            finish = "stop" if finish == "length" else finish
        model, fingerprint = text_of(data.get("model")), text_of(data.get("system_fingerprint"))
        return Reply(
            text=text or refusal,
            finish="refusal" if refusal else finish,
            usage=Usage(
                prompt_tokens=count(dig(data, "usage", "prompt_tokens")),
                cached_tokens=count(dig(data, "usage", "prompt_tokens_details", "cached_tokens")),
                completion_tokens=count(dig(data, "usage", "completion_tokens")),
            ),
            model=f"{model} ({fingerprint})" if fingerprint else model,
            reasoning=text_of(message.get("reasoning_content"))
            or text_of(message.get("reasoning")),
            logprobs=logprobs,
        )

    def explain(self, status: int, error: object) -> Failure:
        code = dig(error, "code") or dig(error, "type")
        # OpenRouter says 403 and what it flagged.
        flagged = status == 403 and dig(error, "metadata", "flagged_input") is not None
        unsupported = status == 400 and code in _UNSUPPORTED
        field = text_of(dig(error, "param")) or "FIELD"
        return Failure(
            fatal=code in _OUT_OF_MONEY or unsupported,
            refused=code in _FILTERED or flagged,
            hint=f"leave it out with the option omit={field}" if unsupported else "",
        )


def _letter_logprobs(top: list[Any], letters: tuple[str, ...]) -> dict[str, float]:
    """Log-probability of each letter as the first token; spellings such as "A" and " A" add up."""
    found: dict[str, float] = {}
    for entry in top:
        token, value = text_of(dig(entry, "token")).strip(), dig(entry, "logprob")
        # Above 0 is none, and e to the power of it may be beyond any number.
        if token in letters and isinstance(value, int | float) and -math.inf < value < 0.1:
            found[token] = found.get(token, 0.0) + math.exp(value)
    return {letter: math.log(found[letter]) for letter in letters if found.get(letter)}


load = ChatCompletions
