"""What holds for every provider: what is sent, what is read, and all that goes wrong between."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gc
import gzip
import json
import ssl
import subprocess
import time
import traceback
import warnings
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Cut, html, silent
from remote_cases import (
    ENGINES,
    TEXT,
    address,
    ask,
    fails,
    keys,
    load,
    picture,
    prompt,
    run,
    with_sampling,
)

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.models.base import checked
from scalevqa_eval.models.remote.model import RemoteModel
from scalevqa_eval.testing import Answer, Failure, Request, Server
from scalevqa_eval.types import Reply, Usage

pytestmark = pytest.mark.usefixtures("keys")
engines = pytest.mark.parametrize("engine", ENGINES)
__all__ = ["keys"]


@engines
def test_what_is_sent_arrives_byte_for_byte_and_in_order(engine: str, server: Server) -> None:
    # Sizes around the base64 groups of three and around the pieces in which bodies are sent.
    sizes = (1, 2, 3, 196_607, 196_608, 196_609, 400_000)
    images = [picture(size, seed) for seed, size in enumerate(sizes)]
    images.append(picture(10, media_type="image/png"))
    ask(load(engine, server), prompt(images))
    (seen,) = server.seen
    assert seen.images == tuple(image.load() for image in images)
    assert seen.order == "i" * len(images) + "t"
    assert seen.media_types == ("image/jpeg",) * len(sizes) + ("image/png",)
    assert (seen.text, seen.system) == (TEXT, prompt().system)
    assert int(seen.headers["content-length"]) > sum(sizes) * 4 // 3
    assert "transfer-encoding" not in seen.headers


@engines
def test_replies_with_counts_version_and_reasoning_apart(engine: str, server: Server) -> None:
    server.answer = Answer(
        "it is <answer>B</answer>", "stop", "A? No.",
        prompt_tokens=900, cached_tokens=300, completion_tokens=7,
    )  # fmt: skip
    reply = ask(load(engine, server))
    assert (reply.text, reply.reasoning) == ("it is <answer>B</answer>", "A? No.")
    assert reply.finish == "stop"
    assert reply.usage == Usage(900, 300, 7)
    assert reply.model.startswith("any-served")
    assert reply.latency > 0
    server.answer = Answer("B", "stop", "", 10**400, -20, -1)
    assert ask(load(engine, server)).usage.completion_tokens is None
    assert ask(load(engine, server)).usage.prompt_tokens is None


ANSWERS = [
    (Answer(""), "", "stop"),
    (Answer("I am cut of", finish="length"), "I am cut of", "length"),
    (Answer("", finish="length"), "", "length"),
    (Answer("", finish="filter"), "", "refusal"),
    (Answer("", finish="refusal"), None, "refusal"),
]


@engines
@pytest.mark.parametrize(("answer", "text", "finish"), ANSWERS)
def test_unusual_answers_are_answers(
    engine: str, answer: Answer, text: str | None, finish: str, server: Server
) -> None:
    server.answer = answer
    reply = ask(load(engine, server))
    assert reply.finish == finish
    assert text is None or reply.text == text


FATAL = (401, 402, 404, 405, 407)
ONE_QUESTION = (400, 403, 413, 422, 501)
SLOW_DOWN = (429, 503, 529)
MAY_HEAL = (408, 409, 500, 502, 504)


@engines
@pytest.mark.parametrize("code", [*FATAL, *ONE_QUESTION, *SLOW_DOWN, *MAY_HEAL])
def test_statuses(engine: str, code: int, server: Server) -> None:
    server.script(Failure(code, "the reason of the provider"))
    error = fails(load(engine, server))
    assert error.fatal == (code in FATAL)
    assert error.retryable == (code in SLOW_DOWN + MAY_HEAL)
    assert error.rate_limited == (code in SLOW_DOWN)
    assert error.retry_after is None
    assert str(code) in str(error)
    assert "the reason of the provider" in str(error)
    assert server.count == 1, "retrying is the runner's"


def limited(**headers: str) -> Failure:
    return Failure(429, headers={name.replace("_", "-"): value for name, value in headers.items()})


@engines
def test_retry_after(engine: str, server: Server) -> None:
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    waits = [
        (limited(retry_after="17"), 17.0),
        (Failure(503, headers={"Retry-After": "2.5"}), 2.5),
        (limited(retry_after_ms="1500", retry_after="9"), 1.5),
        (limited(retry_after="-3"), 0.0),
        (limited(retry_after="Fri, 01 Jan 2010 00:00:00 GMT"), 0.0),
        (limited(retry_after="9" * 300), 1e6),
        (limited(retry_after="soon"), None),
        (limited(retry_after="nan"), None),
        (limited(retry_after="Fri, 01 Jan 99999 00:00:00 GMT"), None),
        (limited(retry_after=soon), pytest.approx(60, abs=30)),
    ]
    for failure, wait in waits:
        server.script(failure)
        assert fails(load(engine, server)).retry_after == wait


@engines
def test_connections_that_end_may_be_tried_again(engine: str, server: Server) -> None:
    server.script(Cut(), Cut(b'{"choices": [{"message"'), silent)
    said = []
    for options in ({}, {}, {"timeout": 0.3}, {"base_url": "http://127.0.0.1:9"}):
        error = fails(load(engine, server, **options), prompt([picture(300_000)]))
        assert (error.retryable, error.rate_limited, error.fatal) == (True, False, False)
        said.append(str(error))
    assert all("connection" in text for text in said[:2])
    assert "within 0.3 s" in said[2]
    assert "http://127.0.0.1:9" in said[3]


@engines
def test_a_cancelled_question_does_not_break_the_next(engine: str, server: Server) -> None:
    model = load(engine, server)
    server.script(silent)

    async def main() -> Reply:
        first = asyncio.ensure_future(model.reply(prompt([picture(100_000)])))
        while not server.seen:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await model.reply(prompt())

    assert run(main(), model).text


NO_REPLIES = [
    b"<html>proxy</html>",
    b'{"choices": [{"mess',
    b'{"hello": "world", "choices": null, "content": null, "candidates": null}',
    b"",
    b"null",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"1" * 10_000,
    b'{"choices": [], "content": {}, "candidates": []}',
    b'{"choices": [7], "content": [7], "candidates": [7]}',
    b'{"choices": [{"message": {"content": 7}}], "candidates": [{"content": 7}]}',
]


@engines
def test_what_is_no_reply_may_be_tried_again(engine: str, server: Server) -> None:
    for body in NO_REPLIES:
        server.script(Failure(200, body=body))
        error = fails(load(engine, server))
        assert (error.retryable, error.fatal) == (True, False)
        assert len(str(error)) < 700
    server.script(html(200), html(502))
    assert "a web page instead of a reply" in str(fails(load(engine, server)))
    error = fails(load(engine, server))
    assert error.retryable
    assert "Bad gateway" in str(error)
    assert "<" not in str(error)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("text"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def some(**fields: Any) -> st.SearchStrategy[Any]:
    """An object with some of these fields, each of which may be anything; or no object."""
    inner = {name: value | ANY for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=inner) | ANY


def listed(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=2)


COUNTS = some(prompt_tokens=ANY, prompt_tokens_details=ANY, input_tokens=ANY, output_tokens=ANY)
FIRST = listed(some(top_logprobs=listed(some(token=st.sampled_from("AB"), logprob=ANY))))
PART = some(type=st.just("text"), text=ANY, thought=ANY, thinking=ANY)
ANSWER = some(
    choices=listed(
        some(
            message=some(content=listed(PART), refusal=ANY, reasoning=ANY),
            finish_reason=ANY,
            logprobs=some(content=FIRST),
        )
    ),
    content=listed(PART),
    stop_reason=ANY,
    candidates=listed(some(content=some(parts=listed(PART)), finishReason=ANY)),
    promptFeedback=some(blockReason=ANY),
    usage=COUNTS,
    usageMetadata=some(promptTokenCount=ANY, thoughtsTokenCount=ANY),
    error=some(code=ANY, type=ANY, message=ANY, metadata=ANY, details=ANY, param=ANY),
).filter(lambda data: isinstance(data, dict))


@given(ANSWER, st.booleans())
@settings(max_examples=100)
def test_json_of_any_shape_is_a_good_reply_or_none(data: dict[str, Any], logprobs: bool) -> None:
    asked = with_sampling(logprobs=logprobs)
    for wire in (load_model(f"{engine}/any") for engine in ENGINES):
        assert isinstance(wire, RemoteModel)
        with contextlib.suppress(ModelError):  # no log-probabilities
            reply = wire.read(data, asked)
            assert reply is None or checked(reply, "any").usage == reply.usage
        wire.explain(400, data)
        wire.explain(200, data.get("error"))


@engines
@pytest.mark.parametrize(
    ("code", "retryable", "fatal"), [(429, True, False), (401, False, True), (None, True, False)]
)
def test_an_error_with_status_200(
    engine: str, code: int | None, retryable: bool, fatal: bool, server: Server
) -> None:
    body = {"error": {"code": code, "message": "the upstream provider says no"}}
    server.script(Failure(200, body=body))
    error = fails(load(engine, server))
    assert (error.retryable, error.fatal) == (retryable, fatal)
    assert "upstream provider" in str(error)


@engines
def test_ten_megabytes_are_read_and_more_is_refused(engine: str, server: Server) -> None:
    server.script("x" * 10_000_000, "x" * 17_000_000)
    assert len(ask(load(engine, server)).text) == 10_000_000
    error = fails(load(engine, server))
    assert not error.retryable
    assert "longer than 16 MB" in str(error)


def encoded_reply(content: bytes, encoding: str, seen: Request) -> web.Response:
    return web.Response(body=content, headers={"Content-Encoding": encoding})


@engines
def test_compressed_replies_are_read_within_the_bound(engine: str, server: Server) -> None:
    plain = json.dumps({"error": {"message": "in gzip"}}).encode()
    bomb = gzip.compress(b" " * 20_000_000)
    sent = {
        "in gzip": (gzip.compress(plain), "gzip"),
        "in deflate": (zlib.compress(plain.replace(b"gzip", b"deflate")), "deflate"),
        "longer than 16 MB": (bomb, "gzip"),
        "no JSON": (gzip.compress(bomb), "gzip, gzip"),
        "failed": (plain, "gzip"),
    }
    for text, (content, encoding) in sent.items():
        server.script(partial(encoded_reply, content, encoding))
        assert text in str(fails(load(engine, server)))
    assert server.seen[0].headers["accept-encoding"] == "identity"


@engines
def test_a_redirect_is_not_followed(engine: str, server: Server) -> None:
    server.script(Failure(307, "moved", headers={"Location": f"{server.url}/elsewhere"}))
    error = fails(load(engine, server))
    assert error.fatal
    assert "base URL" in str(error)
    assert server.count == 1


class Hasty(Server):
    """Refuses a request before its body is read."""

    async def _respond(self, request: web.Request, format_: str) -> web.StreamResponse:
        return web.json_response({"error": {"message": "too large"}}, status=413)


@engines
def test_an_early_refusal_of_a_large_body_is_heard(engine: str) -> None:
    with Hasty() as server:
        error = fails(load(engine, server), prompt([picture(8_000_000)]))
    with warnings.catch_warnings():  # the socket is still writing when the test's loop ends
        warnings.simplefilter("ignore")
        gc.collect()
    assert "413" in str(error)
    assert "smaller or fewer images" in str(error)


@engines
def test_the_key_is_sent_and_never_told(engine: str, keys: str, server: Server) -> None:
    messages = []
    for code in (400, 401, 429, 500):
        server.script(Failure(code, f"wrong key {keys}, as in ?key={keys}"))
    server.script(
        Failure(500, f"{'x' * 380} {keys}"), Failure(200, body={"key": keys}), html(), Cut()
    )
    for _ in range(8):
        model = load(engine, server)
        with pytest.raises(ModelError) as caught:
            ask(model)
        messages.append("".join(traceback.format_exception(caught.value)))
        messages.append(repr(vars(caught.value)) + repr(model) + repr(model.identity))
    assert keys in str(server.seen[0].headers)
    assert keys[:8] not in "".join(messages)
    server.answer = Answer(f"your key is {keys}", reasoning=f"{keys}?")
    assert keys not in repr(ask(load(engine, server)))


@engines
@pytest.mark.parametrize(
    "login", ["user:hunter2", "us%20er:hun%40ter", "us er:hun/ter", "a:b@hunter"]
)
def test_passwords_in_addresses_are_never_told(engine: str, login: str, server: Server) -> None:
    told = ""
    for tail in ("", "?key=hunter3"):
        try:
            model = load(engine, server, base_url=f"http://{login}@127.0.0.1:9/v1{tail}")
            told += str(fails(model)) + repr(model.identity)
        except UsageError as error:
            told += str(error)
    assert "127.0.0.1:9" in told
    assert "hun" not in told


@engines
def test_a_login_in_the_address_is_sent(engine: str, server: Server) -> None:
    base_url = address(engine, server).replace("//", "//me:pw%21@")
    ask(load(engine, server, base_url=base_url))
    assert server.seen[0].headers["authorization"] == "Basic bWU6cHch"


@engines
@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host/", "http://", "file:///etc/passwd", "http://[::1/v1",
     "http://host:port/", "http://ho st/", "http://host/\0"],
)  # fmt: skip
def test_addresses_that_are_none(engine: str, url: str) -> None:
    with pytest.raises(UsageError, match="http://localhost:8000/v1"):
        load_model(f"{engine}/any", base_url=url)


@engines
@pytest.mark.parametrize("timeout", [0, -1, "soon", None, float("inf"), float("nan")])
def test_timeouts_that_are_none(engine: str, timeout: object) -> None:
    with pytest.raises(UsageError, match="seconds above 0"):
        load_model(f"{engine}/any", timeout=timeout)


@engines
@pytest.mark.parametrize("value", ["{", "[1]", "7", '{"a": NaN}', {"a": b"bytes"}])
def test_extra_fields_that_are_none(engine: str, value: object) -> None:
    with pytest.raises(UsageError, match="extra_body"):
        load_model(f"{engine}/any", extra_body=value)


@engines
def test_extra_fields_are_sent_and_reach_into_nested_ones(engine: str, server: Server) -> None:
    extra = '{"reasoning_effort": "low", "generationConfig": {"thinkingConfig": {"level": 1}}}'
    model = load(engine, server, extra_body=extra)
    ask(model)
    body = server.seen[0].body
    assert body["reasoning_effort"] == "low"
    assert body["generationConfig"]["thinkingConfig"] == {"level": 1}
    assert model.identity["extra_body"]["reasoning_effort"] == "low"
    if engine == "gemini":
        assert body["generationConfig"]["maxOutputTokens"] == 4096


@engines
def test_a_missing_key_is_named(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"{engine.upper()}_API_KEY"
    monkeypatch.delenv(variable)
    with pytest.raises(UsageError, match=variable):
        load_model(f"{engine}/any")
    monkeypatch.setenv(variable, "two words")
    with pytest.raises(UsageError, match=variable):
        load_model(f"{engine}/any")


@engines
def test_a_key_from_another_variable(
    engine: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEWHERE_KEY", "another-key-123")
    ask(load(engine, server, api_key_env="SOMEWHERE_KEY"))
    assert "another-key-123" in str(server.seen[0].headers)


@engines
def test_one_model_in_one_loop_after_another(engine: str, server: Server) -> None:
    model = load(engine, server)
    for _ in range(3):
        assert ask(model).text
    assert server.count == 3


@engines
def test_many_at_once_share_connections(engine: str, server: Server) -> None:
    model = load(engine, server)
    server.answer = lambda seen: seen.text[-8:]

    async def main() -> list[Reply]:
        prompts = [prompt([picture(1000, number)], text=f"{number:08d}") for number in range(60)]
        return await asyncio.gather(*map(model.reply, prompts))

    replies = run(main(), model)
    assert [reply.text for reply in replies] == [f"{number:08d}" for number in range(60)]
    sent = {seen.text: seen.images for seen in server.seen}
    assert all(sent[f"{n:08d}"] == (picture(1000, n).load(),) for n in range(60))


@engines
def test_letters_only_is_refused_where_it_cannot_be(engine: str, server: Server) -> None:
    model = load(engine, server)
    assert not model.capabilities.letters_only
    assert fails(model, with_sampling(letters_only=True)).fatal
    assert not server.seen


@engines
def test_a_proxy_from_the_environment_is_used(
    engine: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for proxy in (server.url, server.url.removeprefix("http://")):
        monkeypatch.setenv("http_proxy", proxy)
        base_url = "http://provider.invalid" + ("/v1" if engine == "openai" else "")
        assert ask(load(engine, server, base_url=base_url)).text
        assert server.seen[-1].headers["host"] == "provider.invalid"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ask(load(engine, server)).text
        monkeypatch.delenv("no_proxy")


def test_a_proxy_that_cannot_be_used_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:9")
    error = fails(load("openai", server))
    assert error.retryable
    assert "hunter2" not in str(error)
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hunter2@127.0.0.1:9")
    with pytest.raises(UsageError, match=r"socks5://\*\*\*@127.0.0.1:9 .*no_proxy=127.0.0.1"):
        load("openai", server)


def test_what_else_lies_around_is_not_sent(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(variable, "hunter3")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: hunter4")
    for engine in ENGINES:
        ask(load(engine, server))
    told = str([seen.headers for seen in server.seen])
    assert "hunter" not in told
    assert "Basic" not in told


def test_a_certificate_that_nobody_signed_is_said_at_once(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    done = subprocess.run([*command, "-keyout", key, "-out", certificate], capture_output=True)
    if done.returncode:
        pytest.skip("no openssl")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def main() -> ModelError:
        async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        listener = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=context)
        port = listener.sockets[0].getsockname()[1]
        model = load("openai", server, base_url=f"https://127.0.0.1:{port}/v1")
        with pytest.raises(ModelError) as caught:
            await model.reply(prompt())
        await model.aclose()
        listener.close()
        return caught.value

    error = asyncio.run(main())
    assert error.fatal
    assert "certificate" in str(error).lower()
