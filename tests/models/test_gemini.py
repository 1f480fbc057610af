"""What is special about the Gemini API."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import loopback
import pytest
from loopback import Server
from remote_cases import KEY, ask, fails, keys, load, prompt, with_sampling

from scalevqa_eval.errors import MissingExtra
from scalevqa_eval.models import load_model
from scalevqa_eval.types import Usage

pytestmark = pytest.mark.usefixtures("keys")
__all__ = ["keys"]


def refusal(message: str, status: str, *details: Mapping[str, object]) -> dict[str, object]:
    return {"error": {"code": 0, "message": message, "status": status, "details": list(details)}}


def test_settings(server: Server) -> None:
    ask(
        load("gemini", server),
        with_sampling(temperature=0.0, top_p=0.9, seed=3, max_tokens=77),
    )
    (seen,) = server.seen
    assert seen.path.endswith("/models/any:generateContent")
    assert seen.body["generationConfig"] == {
        "maxOutputTokens": 77,
        "temperature": 0.0,
        "topP": 0.9,
        "seed": 3,
    }
    assert seen.headers["x-goog-api-key"] == KEY
    assert KEY not in str(seen.query) + seen.path


def test_the_other_variable_holds_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", "the-other-key")
    ask(load("gemini", server))
    assert server.seen[0].headers["x-goog-api-key"] == "the-other-key"


def test_the_wait_is_read_from_the_details(server: Server) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.5s"}
    body = refusal("quota", "RESOURCE_EXHAUSTED", info)
    server.script(loopback.status(429, body=body), loopback.status(429, body=body, retry_after="7"))
    assert fails(load("gemini", server)).retry_after == 41.5
    assert fails(load("gemini", server)).retry_after == 7.0


def test_a_quota_of_the_day_stops_the_run(server: Server) -> None:
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
    detail = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    server.script(loopback.status(429, body=refusal("quota", "RESOURCE_EXHAUSTED", detail)))
    error = fails(load("gemini", server))
    assert (error.fatal, error.retryable) == (True, False)


def test_a_wrong_key_stops_the_run_though_it_is_a_400(server: Server) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    server.script(
        loopback.status(400, body=refusal("API key not valid.", "INVALID_ARGUMENT", detail)),
        loopback.status(400, body=refusal("User location", "FAILED_PRECONDITION")),
        loopback.status(400, body=refusal("too many images", "INVALID_ARGUMENT")),
    )
    assert [fails(load("gemini", server)).fatal for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("MAX_TOKENS", "length"),
        ("LANGUAGE", "other"),
    ],
)
def test_finish_reasons_of_replies_without_text(reason: str, finish: str, server: Server) -> None:
    server.script(loopback.status(200, body={"candidates": [{"finishReason": reason}]}))
    reply = ask(load("gemini", server))
    assert (reply.text, reply.finish) == ("", finish)


def test_thoughts_count_as_output(server: Server) -> None:
    usage = {"promptTokenCount": 50, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}
    candidate = {"content": {"parts": [{"text": "B"}]}, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": usage}
    server.script(loopback.status(200, body=body))
    assert ask(load("gemini", server)).usage == Usage(50, None, 43)


def test_extra_fields_reach_nested_settings(server: Server) -> None:
    extra = '{"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}'
    ask(load("gemini", server, extra_body=extra), prompt())
    sent = server.seen[0].body["generationConfig"]
    assert sent["thinkingConfig"] == {"thinkingLevel": "low"}
    assert sent["maxOutputTokens"] == 4096


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.genai", None)
    monkeypatch.delattr(importlib.import_module("google"), "genai", raising=False)
    with pytest.raises(MissingExtra, match=r"scalevqa-eval\[gemini\]"):
        load_model("gemini/any")
