"""What is special about Anthropic's Messages."""

from __future__ import annotations

import sys

import loopback
import pytest
from loopback import Server
from loopback_formats import Answer
from remote_cases import ask, fails, keys, load, picture, prompt, with_sampling

from scalevqa_eval.errors import MissingExtra
from scalevqa_eval.models import load_model
from scalevqa_eval.types import Usage

pytestmark = pytest.mark.usefixtures("keys")
__all__ = ["keys"]


def test_no_sampling_fields_but_max_tokens(server: Server) -> None:
    ask(load("anthropic", server), with_sampling(temperature=0.5, top_p=0.5, max_tokens=9))
    body = server.seen[0].body
    assert set(body) == {"model", "max_tokens", "messages", "system"}
    assert body["max_tokens"] == 9


def test_only_the_last_image_ends_the_cached_part(server: Server) -> None:
    images = [picture(9, seed) for seed in range(3)]
    ask(load("anthropic", server), prompt(images))
    marks = ["cache_control" in part for part in server.seen[0].body["messages"][0]["content"]]
    assert marks == [False, False, True, False]
    ask(load("anthropic", server, prompt_cache=False), prompt(images))
    assert "cache_control" not in str(server.seen[1].body["messages"])


def test_cached_tokens_are_part_of_the_prompt(server: Server) -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 200,
        "output_tokens": 3,
    }
    body = {"content": [{"type": "text", "text": "B"}], "stop_reason": "end_turn", "usage": usage}
    server.script(loopback.status(200, body=body))
    assert ask(load("anthropic", server)).usage == Usage(1205, 1000, 3)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop_sequence", "stop"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "other"),
        ("something new", "other"),
    ],
)
def test_stop_reasons(reason: str, finish: str, server: Server) -> None:
    server.script(loopback.status(200, body={"content": [], "stop_reason": reason}))
    assert ask(load("anthropic", server)).finish == finish


def test_an_empty_account_stops_the_run(server: Server) -> None:
    server.script(loopback.status(400, "Your credit balance is too low to access the API."))
    assert fails(load("anthropic", server)).fatal


def test_thinking_is_not_the_reply(server: Server) -> None:
    server.answer = lambda seen: Answer("<answer>C</answer>", reasoning="<answer>A</answer>?")
    reply = ask(load("anthropic", server))
    assert reply.text == "<answer>C</answer>"
    assert reply.reasoning == "<answer>A</answer>?"


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(MissingExtra, match=r"scalevqa-eval\[anthropic\]"):
        load_model("anthropic/any")
