"""`anthropic/NAME`: Anthropic's Messages, and servers that speak them (vLLM does)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from scalevqa_eval.models.base import count
from scalevqa_eval.models.remote.http import Connection
from scalevqa_eval.models.remote.model import Failure, RemoteModel, dig, finish_of, text_of
from scalevqa_eval.models.secrets import key_from_environment
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

OFFICIAL = "https://api.anthropic.com"
# 5 MB is the limit for an image's base64 text, which is a third longer than the image.
_MAX_IMAGE_BYTES = 5 * 1024 * 1024 * 3 // 4
_COUNTS = (
    "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens",
)  # fmt: skip
_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class Messages(RemoteModel):
    """The model `name` of Anthropic, or of the compatible server at `base_url` (without /v1).

    `timeout` is in seconds, for one attempt. `api_key_env` names the environment variable that
    holds the key. `prompt_cache` marks the last image as the end of what the provider may cache:
    questions about the same images then pay a tenth for them, others a quarter more. Requests
    carry no temperature, top_p or seed, which current models refuse; `extra_body` adds fields
    (a mapping or JSON text). Raises UsageError for a missing key or an impossible option.
    """

    path = "/v1/messages"

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        timeout: float = 600.0,
        api_key_env: str = "ANTHROPIC_API_KEY",
        prompt_cache: bool = True,
        extra_body: Mapping[str, Any] | str | None = None,
    ) -> None:
        url = base_url or os.environ.get("ANTHROPIC_BASE_URL") or OFFICIAL
        key = key_from_environment(api_key_env, engine="anthropic")
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        super().__init__(
            name,
            Connection("anthropic", url, headers, timeout, (key,)),
            Capabilities(max_images=100, max_image_bytes=_MAX_IMAGE_BYTES, max_image_side=8000),
            {"omit": ["seed", "temperature", "top_p"]},
            extra_body,
        )
        self._model, self._prompt_cache = name, prompt_cache

    def request(self, prompt: Prompt, image: Callable[[bytes], str]) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        last_image: dict[str, Any] = {}
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                source = {"type": "base64", "media_type": part.media_type}
                last_image = {"type": "image", "source": {**source, "data": image(part.load())}}
                content.append(last_image)
            elif part.text:  # an empty block is refused
                content.append({"type": "text", "text": part.text})
        if self._prompt_cache:
            last_image["cache_control"] = {"type": "ephemeral"}
        payload: dict[str, Any] = {
            "model": self._model,
            "max_tokens": prompt.sampling.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        return {**payload, "system": prompt.system} if prompt.system else payload

    def read(self, data: dict[str, Any], prompt: Prompt) -> Reply | None:
        blocks = data.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return None
        texts = [text_of(block.get("text")) for block in blocks if block.get("type") == "text"]
        thoughts = [block for block in blocks if block.get("type") == "thinking"]
        # `input_tokens` leaves out what was read from the cache or written to it.
        fresh, cached, written, completion = (count(dig(data, "usage", field)) for field in _COUNTS)
        sent = None if fresh is None else fresh + (cached or 0) + (written or 0)
        return Reply(
            text="".join(texts),
            finish=finish_of(data.get("stop_reason"), _FINISH),
            usage=Usage(sent, cached, completion),
            model=text_of(data.get("model")),
            reasoning="\n".join(text_of(block.get("thinking")) for block in thoughts),
        )

    def explain(self, status: int, error: object) -> Failure:
        empty = "credit balance" in text_of(dig(error, "message")).lower()
        return Failure(fatal=empty or dig(error, "type") == "billing_error")


load = Messages
