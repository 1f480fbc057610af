"""What is special about OpenAI's chat completions and the servers that speak them."""

from __future__ import annotations

import math

import loopback
import pytest
from loopback import Server
from loopback_formats import Answer
from remote_cases import ask, fails, keys, load, picture, prompt, with_sampling

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model

pytestmark = pytest.mark.usefixtures("keys")
__all__ = ["keys"]


def sent(server: Server) -> dict[str, object]:
    return server.seen[-1].body


def test_settings_for_a_local_server(server: Server) -> None:
    ask(load("openai", server), with_sampling(temperature=0.5, top_p=0.9, seed=3, max_tokens=77))
    body = {key: value for key, value in sent(server).items() if key != "messages"}
    assert body == {
        "model": "any",
        "max_tokens": 77,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
    }


def test_what_is_none_is_left_to_the_server(server: Server) -> None:
    ask(load("openai", server), with_sampling(temperature=None, top_p=None, seed=None))
    assert not {"temperature", "top_p", "seed"} & set(sent(server))


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


def test_fields_can_be_renamed_and_left_out(server: Server) -> None:
    model = load(
        "openai",
        server,
        omit="seed, temperature",
        max_tokens_field="max_completion_tokens",
        detail="",
    )
    ask(model, prompt([picture(5)]))
    assert {"seed", "temperature", "max_tokens"}.isdisjoint(sent(server))
    assert sent(server)["max_completion_tokens"] == 4096
    assert "detail" not in str(sent(server))
    ask(load("openai", server), prompt([picture(5)]))
    assert "'detail': 'high'" in str(sent(server))


@pytest.mark.parametrize("option", [{"server": "llama"}, {"max_tokens_field": "tokens"}])
def test_impossible_options(option: dict[str, str], server: Server) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        load("openai", server, **option)


def test_a_local_server_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask(load("openai", server)).text
    assert server.seen[0].headers["authorization"] == "Bearer unused"


def test_the_base_url_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url + "/")
    assert ask(load_model("openai/any")).text


def test_letters_only_through_vllm(server: Server) -> None:
    model = load("openai", server, server="vllm")
    assert model.capabilities.letters_only
    ask(model, with_sampling(letters_only=True))
    assert sent(server)["structured_outputs"] == {"choice": ["A", "B", "C", "D"]}


def test_log_probabilities_of_letters(server: Server) -> None:
    top = {"The": -0.1, "B": -1.0, " B": -2.0, "C": -3.0, "E": -1.5, "b": -0.5, "(A": -4.0}
    server.answer = lambda seen: Answer("The", finish="length", top_logprobs=top)
    reply = ask(load("openai", server), with_sampling(logprobs=True, max_tokens=1))
    assert reply.logprobs == pytest.approx(
        {"B": math.log(math.exp(-1.0) + math.exp(-2.0)), "C": -3.0}
    )
    assert (reply.text, reply.finish) == ("B", "stop")
    assert sent(server)["top_logprobs"] == 20


def test_no_letter_among_the_likely_tokens(server: Server) -> None:
    server.answer = lambda seen: Answer("The", finish="length", top_logprobs={"The": -0.1})
    reply = ask(load("openai", server), with_sampling(logprobs=True))
    assert (reply.text, reply.logprobs) == ("The", {})


def test_a_server_that_gives_no_log_probabilities(server: Server) -> None:
    error = fails(load("openai", server), with_sampling(logprobs=True))
    assert error.fatal  # no other question would fare better
    assert "--score logprobs" in str(error)


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_not_active"])
def test_an_empty_account_stops_the_run(code: str, server: Server) -> None:
    server.script(loopback.status(429, "You exceeded your quota", error=code, retry_after="1"))
    error = fails(load("openai", server))
    assert (error.fatal, error.retryable, error.rate_limited) == (True, False, False)


def test_an_unsupported_field_is_named_with_its_cure(server: Server) -> None:
    body = {
        "message": "Unsupported value: 'temperature' does not support 0.",
        "code": "unsupported_value",
        "param": "temperature",
    }
    server.script(loopback.status(400, body={"error": body}))
    error = fails(load("openai", server))
    assert error.fatal
    assert "omit=temperature" in str(error)


@pytest.mark.parametrize("code", ["content_filter", "data_inspection_failed"])
def test_a_filtered_prompt_is_a_refusal(code: str, server: Server) -> None:
    server.script(loopback.status(400, "the prompt was filtered", error=code))
    assert ask(load("openai", server)).finish == "refusal"


@pytest.mark.parametrize(
    ("status", "retryable", "fatal"), [(429, True, False), (401, False, True), (None, True, False)]
)
def test_an_error_with_status_200(
    status: int | None, retryable: bool, fatal: bool, server: Server
) -> None:
    body = {"error": {"code": status, "message": "the upstream provider says no"}}
    server.script(loopback.status(200, body=body))
    error = fails(load("openai", server))
    assert (error.retryable, error.fatal) == (retryable, fatal)
    assert "upstream provider" in str(error)


def reply_with(server: Server, **message: object) -> loopback.Fault:
    return loopback.status(200, body={"choices": [{"message": message, "finish_reason": "stop"}]})


def test_other_shapes_of_messages(server: Server) -> None:
    server.script(
        reply_with(server, content=None, reasoning="hm", refusal=None),
        reply_with(server, content=[{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]),
        reply_with(server, content="C", tool_calls=[]),
    )
    replies = [ask(load("openai", server)) for _ in range(3)]
    assert [reply.text for reply in replies] == ["", "AB", "C"]
    assert replies[0].reasoning == "hm"
    assert replies[0].usage.prompt_tokens is None


def test_the_identity_says_what_changes_replies(server: Server) -> None:
    first = load("openai", server).identity
    assert first == load("openai", server).identity
    for option in (
        {"server": "vllm"},
        {"detail": "low"},
        {"omit": "seed"},
        {"extra_body": '{"a":1}'},
    ):
        assert load("openai", server, **option).identity != first


def test_log_probabilities_from_a_model_that_has_none() -> None:
    with pytest.raises(ModelError, match="no log-probabilities"):
        ask(load_model("openai/gpt-5.2"), with_sampling(logprobs=True))
