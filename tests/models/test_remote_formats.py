"""What is special about each provider's format: settings, finish reasons, counts, error codes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from remote_cases import KEY, ask, fails, keys, load, picture, prompt, with_sampling

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.testing import Answer, Failure, Server
from scalevqa_eval.types import Usage

pytestmark = pytest.mark.usefixtures("keys")
__all__ = ["keys"]

SAMPLING = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "max_tokens": 77}


def sent(server: Server) -> dict[str, Any]:
    """The last request without what holds the question."""
    texts = ("messages", "contents", "system", "systemInstruction")
    return {key: value for key, value in server.seen[-1].body.items() if key not in texts}


@pytest.mark.parametrize(
    ("engine", "body"),
    [
        ("openai", {"model": "any", **SAMPLING}),
        ("anthropic", {"model": "any", "max_tokens": 77}),
        ("gemini", {"generationConfig": {
            "temperature": 0.5, "topP": 0.9, "seed": 3, "maxOutputTokens": 77,
        }}),
    ],
)  # fmt: skip
def test_settings(engine: str, body: dict[str, Any], server: Server) -> None:
    ask(load(engine, server), with_sampling(**SAMPLING))
    assert sent(server) == body
    ask(load(engine, server), with_sampling(temperature=None, top_p=None, seed=None))
    assert not {"temperature", "top_p", "topP", "seed"} & set(str(sent(server)).split("'"))


@pytest.mark.parametrize(
    ("engine", "reason", "finish"),
    [
        ("openai", None, "stop"),
        ("openai", "eos", "stop"),
        ("openai", "max_tokens", "length"),
        ("openai", "tool_calls", "other"),
        ("openai", ["stop"], "other"),
        ("anthropic", "stop_sequence", "stop"),
        ("anthropic", "model_context_window_exceeded", "length"),
        ("anthropic", "refusal", "refusal"),
        ("anthropic", "something new", "other"),
        ("gemini", "SAFETY", "refusal"),
        ("gemini", "RECITATION", "refusal"),
        ("gemini", "MAX_TOKENS", "length"),
        ("gemini", "LANGUAGE", "other"),
    ],
)
def test_finish_reasons_of_replies_without_text(
    engine: str, reason: object, finish: str, server: Server
) -> None:
    body = {
        "choices": [{"message": {"content": None}, "finish_reason": reason}],
        "content": [],
        "stop_reason": reason,
        "candidates": [{"finishReason": reason}],
    }
    server.script(Failure(200, body=body))
    reply = ask(load(engine, server))
    assert (reply.text, reply.finish) == ("", finish)


# What ends a run though its status would not, and the other way round.
ERRORS = [
    ("openai", Failure(429, code="insufficient_quota", headers={"Retry-After": "1"}), True),
    ("openai", Failure(429, code="billing_not_active"), True),
    ("openai", Failure(400, code="context_length_exceeded"), False),
    ("openai", Failure(403, body={"error": {"code": 403, "message": "denied"}}), False),
    ("anthropic", Failure(400, "Your credit balance is too low to access the API."), True),
    ("anthropic", Failure(403, code="billing_error"), True),
    ("anthropic", Failure(403, code="permission_error"), False),
    ("gemini", Failure(400, body={"error": {
        "message": "no", "details": [{"reason": "API_KEY_INVALID"}],
    }}), True),
    ("gemini", Failure(400, "User location", "FAILED_PRECONDITION"), True),
    ("gemini", Failure(400, "too many images", "INVALID_ARGUMENT"), False),
    ("gemini", Failure(429, body={"error": {"message": "quota", "details": [
        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
    ]}}), True),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "failure", "fatal"), ERRORS)
def test_what_stops_a_run(engine: str, failure: Failure, fatal: bool, server: Server) -> None:
    server.script(failure)
    error = fails(load(engine, server))
    assert (error.fatal, error.retryable, error.rate_limited) == (fatal, False, False)
    assert error.retry_after is None


def test_an_unsupported_field_is_named_with_its_cure(server: Server) -> None:
    body = {"message": "'temperature' does not support 0.", "code": "unsupported_value"}
    server.script(Failure(400, body={"error": {**body, "param": "temperature"}}))
    error = fails(load("openai", server))
    assert error.fatal
    assert "omit=temperature" in str(error)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(400, "the prompt was filtered", "content_filter"),
        Failure(400, code="data_inspection_failed"),
        Failure(403, body={"error": {"code": 403, "metadata": {"flagged_input": "blood"}}}),
    ],
)
def test_a_filtered_prompt_is_a_refusal(failure: Failure, server: Server) -> None:
    server.script(failure)
    assert ask(load("openai", server)).finish == "refusal"


@pytest.mark.parametrize(
    ("name", "omitted"),
    [
        ("gpt-5.2", ["temperature", "top_p"]),
        ("o3-mini", ["temperature", "top_p"]),
        ("gpt-5-chat-latest", []),
        ("gpt-4.1", []),
    ],
)
def test_reasoning_models_of_openai_get_no_temperature(name: str, omitted: list[str]) -> None:
    model = load_model(f"openai/{name}")
    assert model.identity["omit"] == omitted
    assert model.identity["max_tokens"] == "max_completion_tokens"
    assert model.capabilities.logprobs == (not omitted)
    assert load_model(f"openai/{name}", omit="none").identity["omit"] == []
    if omitted:
        with pytest.raises(ModelError, match="no log-probabilities"):
            ask(model, with_sampling(logprobs=True))


def test_fields_can_be_renamed_and_left_out(server: Server) -> None:
    renamed = {"omit": "seed, temperature", "max_tokens_field": "max_completion_tokens"}
    ask(load("openai", server, detail="", **renamed), prompt([picture(5)]))
    assert sent(server) == {"model": "any", "max_completion_tokens": 4096}
    assert "detail" not in str(server.seen[-1].body)
    ask(load("openai", server), prompt([picture(5)]))
    assert "'detail': 'high'" in str(server.seen[-1].body)


@pytest.mark.parametrize("option", [{"server": "llama"}, {"max_tokens_field": "tokens"}])
def test_impossible_options(option: dict[str, str], server: Server) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        load("openai", server, **option)


def test_a_local_server_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url + "/")
    assert ask(load_model("openai/any")).text
    assert server.seen[0].headers["authorization"] == "Bearer unused"


def test_letters_only_through_vllm(server: Server) -> None:
    model = load("openai", server, server="vllm")
    assert model.capabilities.letters_only
    ask(model, with_sampling(letters_only=True))
    assert sent(server)["structured_outputs"] == {"choice": ["A", "B", "C", "D"]}


def test_nothing_of_a_checkpoints_own_settings_is_applied_by_vllm(server: Server) -> None:
    model = load("openai", server, server="vllm")
    ask(model, with_sampling(temperature=0.0))
    neutral = {"repetition_penalty": 1.0, "top_k": 0, "min_p": 0.0, "top_p": 1.0}
    assert sent(server).items() >= neutral.items()
    ask(model, with_sampling(temperature=None))  # asked for by whoever leaves it out
    assert not {"top_k", "min_p", "top_p"} & sent(server).keys()


def test_log_probabilities_of_letters(server: Server) -> None:
    top = {"The": -0.1, "B": -1.0, " B": -2.0, "C": -3.0, "E": -1.5, "b": -0.5, "A": 1e9}
    server.answer = Answer("The", finish="length", top_logprobs=top)
    reply = ask(load("openai", server), with_sampling(logprobs=True, max_tokens=1))
    assert reply.logprobs == pytest.approx(
        {"B": math.log(math.exp(-1.0) + math.exp(-2.0)), "C": -3.0}
    )
    assert (reply.text, reply.finish) == ("B", "stop")
    assert sent(server)["top_logprobs"] == 20
    server.answer = Answer("The", finish="length", top_logprobs={"The": -0.1})
    reply = ask(load("openai", server), with_sampling(logprobs=True))
    assert (reply.text, reply.logprobs) == ("The", {})


def test_a_server_that_gives_no_log_probabilities(server: Server) -> None:
    error = fails(load("openai", server), with_sampling(logprobs=True))
    assert error.fatal  # no other question would fare better
    assert "--score logprobs" in str(error)


def test_other_shapes_of_messages(server: Server) -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    for message in ({"content": None, "reasoning": "hm"}, {"content": parts}):
        server.script(Failure(200, body={"choices": [{"message": message}]}))
    first, second = (ask(load("openai", server)) for _ in range(2))
    assert (first.text, first.reasoning, first.usage) == ("", "hm", Usage())
    assert second.text == "AB"


def test_the_identity_says_what_changes_replies(server: Server) -> None:
    first = load("openai", server).identity
    assert first == load("openai", server).identity
    options = ({"server": "vllm"}, {"detail": "low"}, {"omit": "seed"}, {"extra_body": '{"a":1}'})
    assert all(load("openai", server, **option).identity != first for option in options)


def test_only_the_last_image_ends_the_cached_part(server: Server) -> None:
    images = [picture(9, seed) for seed in range(3)]
    ask(load("anthropic", server), prompt(images))
    marks = ["cache_control" in part for part in server.seen[0].body["messages"][0]["content"]]
    assert marks == [False, False, True, False]
    ask(load("anthropic", server, prompt_cache=False), prompt(images))
    assert "cache_control" not in str(server.seen[1].body["messages"])
    assert server.seen[0].headers["anthropic-version"]


def test_tokens_that_anthropic_cached_are_part_of_the_prompt(server: Server) -> None:
    usage = {
        "input_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200,
        "output_tokens": 3,
    }  # fmt: skip
    server.script(Failure(200, body={"content": [], "usage": usage}))
    assert ask(load("anthropic", server)).usage == Usage(1205, 1000, 3)


def test_thoughts_of_gemini_count_as_output(server: Server) -> None:
    usage = {"promptTokenCount": 50, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}
    body = {"candidates": [{"content": {"parts": [{"text": "B"}]}}], "usageMetadata": usage}
    server.script(Failure(200, body=body))
    assert ask(load("gemini", server)).usage == Usage(50, None, 43)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/v1beta/models/any:generateContent"),
        ({"api_version": "v1"}, "/v1/models/any:generateContent"),
        ({"api_version": None}, "/models/any:generateContent"),
        ({"name": "tunedModels/my one"}, "/v1beta/tunedModels/my one:generateContent"),
    ],
)
def test_the_address_of_gemini(options: dict[str, Any], path: str, server: Server) -> None:
    ask(load("gemini", server, **options))
    assert server.seen[0].path == path
    assert server.seen[0].headers["x-goog-api-key"] == KEY
    assert not server.seen[0].query


def test_another_version_of_the_api_is_another_model(server: Server) -> None:
    assert "api_version" not in load("gemini", server).identity
    assert load("gemini", server, api_version="v1").identity["api_version"] == "v1"


def test_the_other_variable_holds_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", "the-other-key")
    ask(load("gemini", server))
    assert server.seen[0].headers["x-goog-api-key"] == "the-other-key"


def test_the_wait_is_read_from_the_details(server: Server) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41.5s"}
    body = {"error": {"message": "quota", "details": [info]}}
    server.script(Failure(429, body=body), Failure(429, body=body, headers={"Retry-After": "7"}))
    assert [fails(load("gemini", server)).retry_after for _ in range(2)] == [41.5, 7.0]
