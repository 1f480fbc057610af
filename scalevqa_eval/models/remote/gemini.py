"""`gemini/NAME`: Google's Gemini API."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from scalevqa_eval.models.base import count
from scalevqa_eval.models.remote.http import Connection
from scalevqa_eval.models.remote.model import Failure, RemoteModel, dig, finish_of, items, text_of
from scalevqa_eval.models.secrets import key_from_environment
from scalevqa_eval.types import Capabilities, FinishReason, ImagePart, Prompt, Reply, Usage

OFFICIAL = "https://generativelanguage.googleapis.com"
API_VERSION = "v1beta"
_FINISH: Mapping[str, FinishReason] = {
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


class GenerateContent(RemoteModel):
    """The model `name` of the Gemini API, or of the compatible server at `base_url`.

    `timeout` is in seconds, for one attempt. The key is read from the environment variable
    GEMINI_API_KEY, else GOOGLE_API_KEY, or from the one that `api_key_env` names. `api_version`
    comes after the base URL ("" for proxies that want none). Thinking is left to the model's
    default; `extra_body` (a mapping or JSON text) adds fields, such as
    {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}. Raises UsageError for a
    missing key or an impossible option.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        timeout: float = 600.0,
        api_key_env: str = "",
        api_version: str | None = API_VERSION,
        extra_body: Mapping[str, Any] | str | None = None,
    ) -> None:
        url = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or OFFICIAL
        variables = (api_key_env,) if api_key_env else ("GEMINI_API_KEY", "GOOGLE_API_KEY")
        key = key_from_environment(*variables, engine="gemini")
        super().__init__(
            name,
            Connection("gemini", url, {"x-goog-api-key": key}, timeout, (key,)),
            # A request may have 20 MB in all, which leaves each of three views 5 MB before base64.
            Capabilities(
                max_images=3600,
                max_image_bytes=5 * 1000 * 1000,
                media_types=("image/jpeg", "image/png", "image/webp"),
            ),
            {} if api_version == API_VERSION else {"api_version": api_version},
            extra_body,
        )
        model = name if name.startswith(("models/", "tunedModels/")) else f"models/{name}"
        self.path = f"{f'/{api_version}' if api_version else ''}/{model}:generateContent"

    def request(self, prompt: Prompt, image: Callable[[bytes], str]) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for part in prompt.parts:
            if isinstance(part, ImagePart):
                blob = {"mimeType": part.media_type, "data": image(part.load())}
                parts.append({"inlineData": blob})
            else:
                parts.append({"text": part.text})
        settings = {
            "maxOutputTokens": prompt.sampling.max_tokens,
            "temperature": prompt.sampling.temperature,
            "topP": prompt.sampling.top_p,
            "seed": prompt.sampling.seed,
        }
        payload: dict[str, Any] = {
            "contents": [{"role": "user", "parts": parts}],
            "generationConfig": {k: v for k, v in settings.items() if v is not None},
        }
        if prompt.system:
            payload["systemInstruction"] = {"parts": [{"text": prompt.system}]}
        return payload

    def read(self, data: dict[str, Any], prompt: Prompt) -> Reply | None:
        candidate = dig(data, "candidates", 0)
        content, reason = dig(candidate, "content"), dig(candidate, "finishReason")
        if candidate is None and dig(data, "promptFeedback", "blockReason") is not None:
            reason = "SAFETY"  # the prompt itself was blocked
        elif not isinstance(content, dict) and (content is not None or reason is None):
            return None
        texts: dict[bool, str] = {True: "", False: ""}
        for part in items(dig(content, "parts")):
            texts[bool(dig(part, "thought"))] += text_of(dig(part, "text"))
        usage = data.get("usageMetadata")
        # Thoughts are paid for as output, so they count as completion.
        written = [count(dig(usage, f"{kind}TokenCount")) for kind in ("candidates", "thoughts")]
        known = [number for number in written if number is not None]
        return Reply(
            text=texts[False],
            finish=finish_of(reason, _FINISH),
            usage=Usage(
                prompt_tokens=count(dig(usage, "promptTokenCount")),
                cached_tokens=count(dig(usage, "cachedContentTokenCount")),
                completion_tokens=sum(known) if known else None,
            ),
            model=text_of(data.get("modelVersion")),
            reasoning=texts[True],
        )

    def explain(self, status: int, error: object) -> Failure:
        details = str(dig(error, "details"))
        wait = re.search(r"'retryDelay': '([0-9]{1,9}(?:\.[0-9]+)?)s'", details)
        wrong_key = "API_KEY_INVALID" in details or (
            "api key not valid" in text_of(dig(error, "message")).lower()
        )
        # A limit per day does not heal while a run waits.
        used_up = status == 429 and "PerDay" in details
        return Failure(
            fatal=wrong_key or used_up or dig(error, "status") == "FAILED_PRECONDITION",
            retry_after=float(wait[1]) if wait else None,
        )


load = GenerateContent
