"""The three wire formats that the loopback server speaks: requests in, replies out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

OPENAI, ANTHROPIC, GEMINI = "openai", "anthropic", "gemini"


@dataclass(frozen=True)
class Seen:
    """One request as the server got it. Header names are lower case; images in order, as bytes."""

    format: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any] = field(repr=False)
    system: str = ""
    text: str = ""
    images: tuple[bytes, ...] = field(default=(), repr=False)
    media_types: tuple[str, ...] = ()
    order: str = ""  # one character a part of the user's message: i (image) or t (text)

    @property
    def image_hashes(self) -> tuple[str, ...]:
        return tuple(hashlib.sha256(image).hexdigest() for image in self.images)

    @property
    def letters(self) -> list[str]:
        """The letters of the options in the text, in order."""
        return re.findall(r"(?m)^\(([A-Z])\) ", self.text)


@dataclass(frozen=True)
class Answer:
    """What the server replies with. `finish` is stop, length, refusal or filter."""

    text: str | None = ""
    finish: str = "stop"
    reasoning: str = ""
    prompt_tokens: int = 100
    cached_tokens: int = 20
    completion_tokens: int = 10
    top_logprobs: dict[str, float] | None = None


def format_of(path: str) -> str | None:
    if path.endswith("/chat/completions"):
        return OPENAI
    if path.endswith("/messages"):
        return ANTHROPIC
    if path.endswith(":generateContent"):
        return GEMINI
    return None


def read(
    form: str, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes
) -> Seen:
    """Parse a request's body, strictly: what a provider would refuse raises here."""
    body = json.loads(raw)
    system, parts = {OPENAI: _openai_parts, ANTHROPIC: _anthropic_parts, GEMINI: _gemini_parts}[
        form
    ](body)
    return Seen(
        format=form,
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        system=system,
        text="\n".join(part for part in parts if isinstance(part, str)),
        images=tuple(part[1] for part in parts if not isinstance(part, str)),
        media_types=tuple(part[0] for part in parts if not isinstance(part, str)),
        order="".join("t" if isinstance(part, str) else "i" for part in parts),
    )


Parts = list[str | tuple[str, bytes]]


def _decode(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _openai_parts(body: dict[str, Any]) -> tuple[str, Parts]:
    assert isinstance(body["model"], str)
    system, parts = "", Parts()
    for message in body["messages"]:
        if message["role"] == "system":
            system = message["content"]
            continue
        for part in message["content"]:
            if part["type"] == "text":
                parts.append(part["text"])
            else:
                head, _, data = part["image_url"]["url"].partition(";base64,")
                parts.append((head.removeprefix("data:"), _decode(data)))
    return system, parts


def _anthropic_parts(body: dict[str, Any]) -> tuple[str, Parts]:
    assert isinstance(body["max_tokens"], int)
    parts = Parts()
    for part in body["messages"][0]["content"]:
        if part["type"] == "text":
            parts.append(part["text"])
        else:
            assert part["source"]["type"] == "base64"
            parts.append((part["source"]["media_type"], _decode(part["source"]["data"])))
    system = body.get("system", "")
    if isinstance(system, list):
        system = "".join(block["text"] for block in system)
    return system, parts


def _gemini_parts(body: dict[str, Any]) -> tuple[str, Parts]:
    parts = Parts()
    for part in body["contents"][0]["parts"]:
        if "text" in part:
            parts.append(part["text"])
        else:
            # Google's JSON takes both spellings of names and both alphabets of base64.
            blob = part.get("inlineData") or part["inline_data"]
            data = blob["data"].replace("-", "+").replace("_", "/")
            parts.append((blob.get("mimeType") or blob["mime_type"], _decode(data)))
    system = "".join(p["text"] for p in body.get("systemInstruction", {}).get("parts", ()))
    return system, parts


def write(form: str, answer: Answer, model: str) -> dict[str, Any]:
    """The reply's JSON in the format of the request."""
    return {OPENAI: _openai_reply, ANTHROPIC: _anthropic_reply, GEMINI: _gemini_reply}[form](
        answer, model
    )


def _openai_reply(answer: Answer, model: str) -> dict[str, Any]:
    reasons = {"stop": "stop", "length": "length", "filter": "content_filter", "refusal": "stop"}
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.finish == "refusal":
        message |= {"content": None, "refusal": answer.text or "I cannot help with that."}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    choice: dict[str, Any] = {"index": 0, "message": message}
    choice["finish_reason"] = reasons[answer.finish]
    if answer.top_logprobs is not None:
        top = [{"token": token, "logprob": p} for token, p in answer.top_logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{model}-served",
        "system_fingerprint": "fp_1",
        "choices": [choice],
        "usage": {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        },
    }


def _anthropic_reply(answer: Answer, model: str) -> dict[str, Any]:
    reasons = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": "s"})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-served",
        "content": content,
        "stop_reason": reasons.get(answer.finish, "refusal"),
        "stop_sequence": None,
        "usage": {  # Anthropic's input_tokens leave out what the cache served
            "input_tokens": answer.prompt_tokens - answer.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.cached_tokens,
            "output_tokens": answer.completion_tokens,
        },
    }


def _gemini_reply(answer: Answer, model: str) -> dict[str, Any]:
    reasons = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}
    usage = {
        "promptTokenCount": answer.prompt_tokens,
        "cachedContentTokenCount": answer.cached_tokens,
        "candidatesTokenCount": answer.completion_tokens,
        "totalTokenCount": answer.prompt_tokens + answer.completion_tokens,
    }
    reply: dict[str, Any] = {"usageMetadata": usage, "modelVersion": f"{model}-served"}
    if answer.finish == "filter":  # the prompt itself was blocked: there is no candidate
        return {**reply, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    parts: list[dict[str, Any]] = []
    if answer.reasoning:
        parts.append({"text": answer.reasoning, "thought": True})
    if answer.text and answer.finish != "refusal":
        parts.append({"text": answer.text})
    candidate: dict[str, Any] = {"index": 0, "finishReason": reasons[answer.finish]}
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    return {**reply, "candidates": [candidate]}


def error_body(form: str, status: int, message: str, code: str | None) -> dict[str, Any]:
    """An error as each provider words it."""
    if form == ANTHROPIC:
        return {"type": "error", "error": {"type": code or "api_error", "message": message}}
    if form == GEMINI:
        return {"error": {"code": status, "message": message, "status": code or "UNKNOWN"}}
    return {"error": {"message": message, "type": "error", "param": None, "code": code}}
