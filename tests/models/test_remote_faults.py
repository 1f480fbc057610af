"""All that goes wrong between us and a provider, for each of the three wire formats."""

from __future__ import annotations

import asyncio
import email.utils
import time
import traceback

import loopback
import pytest
from loopback import Server
from loopback_formats import Answer
from remote_cases import (
    ENGINES,
    TEXT,
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
from scalevqa_eval.types import Reply, Usage

pytestmark = pytest.mark.usefixtures("keys")
engines = pytest.mark.parametrize("engine", ENGINES)
__all__ = ["keys"]


@engines
def test_images_arrive_byte_for_byte_and_in_order(engine: str, server: Server) -> None:
    # Sizes around the base64 groups of three and around the pieces in which bodies are sent.
    sizes = (1, 2, 3, 196_607, 196_608, 196_609, 400_000)
    images = [picture(size, seed) for seed, size in enumerate(sizes)]
    ask(load(engine, server), prompt(images))
    (seen,) = server.seen
    assert seen.image_hashes == tuple(image.sha256 for image in images)
    assert seen.order == "i" * len(sizes) + "t"
    assert set(seen.media_types) == {"image/jpeg"}
    assert int(seen.headers["content-length"]) > sum(sizes) * 4 // 3
    assert "transfer-encoding" not in seen.headers


@engines
def test_text_arrives_as_it_is(engine: str, server: Server) -> None:
    ask(load(engine, server), prompt([picture(10, media_type="image/png")]))
    (seen,) = server.seen
    assert seen.text == TEXT
    assert seen.system == prompt().system
    assert seen.media_types == ("image/png",)


@engines
def test_reply_with_counts_and_version(engine: str, server: Server) -> None:
    server.answer = lambda seen: Answer(
        "it is <answer>B</answer>", prompt_tokens=900, cached_tokens=300, completion_tokens=7
    )
    reply = ask(load(engine, server))
    assert reply.text == "it is <answer>B</answer>"
    assert reply.finish == "stop"
    assert reply.usage == Usage(900, 300, 7)
    assert reply.model.startswith("any-served")
    assert reply.latency > 0


@engines
def test_reasoning_is_kept_apart(engine: str, server: Server) -> None:
    server.answer = lambda seen: Answer("B", reasoning="A? No.")
    reply = ask(load(engine, server))
    assert (reply.text, reply.reasoning) == ("B", "A? No.")


ANSWERS = [
    (Answer(""), "", "stop"),
    (Answer("I am cut of", finish="length"), "I am cut of", "length"),
    (Answer("", finish="length"), "", "length"),
    (Answer("", finish="filter"), "", "refusal"),
    (Answer("", finish="refusal"), None, "refusal"),
]


@engines
@pytest.mark.parametrize(("given", "text", "finish"), ANSWERS)
def test_unusual_answers_are_answers(
    engine: str, given: Answer, text: str | None, finish: str, server: Server
) -> None:
    server.answer = lambda seen: given
    reply = ask(load(engine, server))
    assert reply.finish == finish
    assert text is None or reply.text == text


# status, retryable, rate limited, fatal
STATUSES = [
    (400, False, False, False),
    (401, False, False, True),
    (402, False, False, True),
    (403, False, False, True),
    (404, False, False, True),
    (408, True, False, False),
    (409, True, False, False),
    (413, False, False, False),
    (422, False, False, False),
    (429, True, True, False),
    (500, True, False, False),
    (502, True, False, False),
    (503, True, True, False),
    (504, True, False, False),
    (529, True, True, False),
]


@engines
@pytest.mark.parametrize(("code", "retryable", "limited", "fatal"), STATUSES)
def test_statuses(
    engine: str, code: int, retryable: bool, limited: bool, fatal: bool, server: Server
) -> None:
    server.script(loopback.status(code, "the reason of the provider"))
    error = fails(load(engine, server))
    assert (error.retryable, error.rate_limited, error.fatal) == (retryable, limited, fatal)
    assert error.retry_after is None
    assert str(code) in str(error)
    assert "the reason of the provider" in str(error)
    assert server.count == 1, "retrying is the runner's"


@engines
def test_retry_after_in_seconds_and_milliseconds(engine: str, server: Server) -> None:
    server.script(
        loopback.status(429, retry_after="17"),
        loopback.status(503, retry_after="2.5"),
        loopback.status(429, headers={"retry-after-ms": "1500"}, retry_after="9"),
        loopback.status(429, retry_after="-3"),
        loopback.status(429, retry_after="soon"),
        loopback.status(429, retry_after="nan"),
    )
    waits = [fails(load(engine, server)).retry_after for _ in range(6)]
    assert waits == [17.0, 2.5, 1.5, 0.0, None, None]


@engines
def test_retry_after_as_a_date(engine: str, server: Server) -> None:
    server.script(
        loopback.status(429, retry_after=email.utils.formatdate(time.time() + 60, usegmt=True)),
        loopback.status(429, retry_after="Fri, 01 Jan 2010 00:00:00 GMT"),
    )
    wait = fails(load(engine, server)).retry_after
    assert wait is not None
    assert 30 < wait <= 60
    assert fails(load(engine, server)).retry_after == 0.0


@engines
def test_dropped_connections_may_be_tried_again(engine: str, server: Server) -> None:
    server.script(loopback.drop(), loopback.drop(b'{"choices": [{"message"'))
    for _ in range(2):
        error = fails(load(engine, server), prompt([picture(300_000)]))
        assert (error.retryable, error.rate_limited, error.fatal) == (True, False, False)
        assert "connection" in str(error)


@engines
def test_nobody_listens(engine: str, server: Server) -> None:
    model = load(engine, server, base_url="http://127.0.0.1:9")
    error = fails(model)
    assert error.retryable
    assert "http://127.0.0.1:9" in str(error)


@engines
def test_silence_ends_at_the_timeout(engine: str, server: Server) -> None:
    server.script(loopback.silent())
    error = fails(load(engine, server, timeout=0.3))
    assert error.retryable
    assert "within 0.3 s" in str(error)


@engines
def test_a_cancelled_question_does_not_break_the_next(engine: str, server: Server) -> None:
    model = load(engine, server)
    server.script(loopback.silent())

    async def main() -> Reply:
        first = asyncio.ensure_future(model.reply(prompt([picture(100_000)])))
        while not server.seen:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await model.reply(prompt())

    assert run(main(), model).text


@engines
@pytest.mark.parametrize(
    "fault",
    [
        loopback.html(),
        loopback.raw(b"<html>proxy</html>"),
        loopback.bad_json(),
        loopback.wrong_schema(),
        loopback.raw(b""),
        loopback.raw(b"[]"),
        loopback.raw(b"null"),
        loopback.raw(b'"text"'),
        loopback.raw(b"\xff\xfe\x00"),
        loopback.raw(b"[" * 100_000),
        loopback.raw(b'{"choices": [], "content": {}, "candidates": []}'),
        loopback.raw(b'{"choices": [7], "content": [7], "candidates": [7]}'),
        loopback.raw(b'{"choices": [{"message": 7}], "content": "7", "candidates": "7"}'),
    ],
)
def test_what_is_no_reply_may_be_tried_again(
    engine: str, fault: loopback.Fault, server: Server
) -> None:
    server.script(fault)
    error = fails(load(engine, server))
    assert (error.retryable, error.fatal) == (True, False)
    assert len(str(error)) < 700


@engines
def test_error_pages_are_told_without_their_tags(engine: str, server: Server) -> None:
    server.script(loopback.html(502))
    error = fails(load(engine, server))
    assert error.retryable
    assert "Bad gateway" in str(error)
    assert "<" not in str(error)


@engines
def test_ten_megabytes_are_read_and_more_is_refused(engine: str, server: Server) -> None:
    server.script(loopback.answer("x" * 10_000_000), loopback.answer("x" * 17_000_000))
    assert len(ask(load(engine, server)).text) == 10_000_000
    error = fails(load(engine, server))
    assert not error.retryable
    assert "longer than 16 MB" in str(error)


@engines
def test_a_redirect_is_not_followed(engine: str, server: Server) -> None:
    elsewhere = {"Location": f"{server.url}/elsewhere"}
    server.script(loopback.status(307, "moved", headers=elsewhere))
    error = fails(load(engine, server))
    assert error.fatal
    assert "base URL" in str(error)
    assert server.count == 1


@engines
def test_an_early_refusal_of_a_large_body_is_heard(engine: str, server: Server) -> None:
    server.early = loopback.status(413, "too large", error="request_too_large")
    error = fails(load(engine, server), prompt([picture(8_000_000)]))
    assert "413" in str(error)
    assert "smaller or fewer images" in str(error)


@engines
def test_the_key_is_sent_and_never_told(engine: str, keys: str, server: Server) -> None:
    messages = []
    for code in (400, 401, 429, 500):
        server.script(loopback.status(code, f"wrong key {keys}, as in ?key={keys}"))
    server.script(loopback.raw(f'{{"key": "{keys}"}}'.encode()), loopback.html())
    for _ in range(6):
        model = load(engine, server)
        with pytest.raises(ModelError) as caught:
            ask(model)
        messages.append("".join(traceback.format_exception(caught.value)))
        messages.append(repr(vars(caught.value)) + repr(model) + repr(model.identity))
    assert keys in str(server.seen[0].headers)
    assert keys not in "".join(messages)


@engines
def test_passwords_in_addresses_are_never_told(engine: str, server: Server) -> None:
    model = load(engine, server, base_url="http://user:hunter2@127.0.0.1:9/v1")
    told = str(fails(model)) + repr(model.identity)
    with pytest.raises(UsageError) as caught:
        load(engine, server, base_url="http://127.0.0.1:9/v1?key=hunter3")
    told += str(caught.value)
    assert "127.0.0.1:9" in told
    assert "hunter" not in told


@engines
@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/", "http://", "file:///etc/passwd"])
def test_addresses_that_are_none(engine: str, url: str) -> None:
    with pytest.raises(UsageError, match="http://localhost:8000/v1"):
        load_model(f"{engine}/any", base_url=url)


@engines
@pytest.mark.parametrize("timeout", [0, -1, "soon", float("inf"), float("nan")])
def test_timeouts_that_are_none(engine: str, timeout: object) -> None:
    with pytest.raises(UsageError, match="seconds above 0"):
        load_model(f"{engine}/any", timeout=timeout)


@engines
@pytest.mark.parametrize("value", ["{", "[1]", "7"])
def test_extra_fields_that_are_none(engine: str, value: str) -> None:
    with pytest.raises(UsageError, match="extra_body"):
        load_model(f"{engine}/any", extra_body=value)


@engines
def test_extra_fields_are_sent(engine: str, server: Server) -> None:
    model = load(engine, server, extra_body='{"reasoning_effort": "low"}')
    ask(model)
    assert server.seen[0].body["reasoning_effort"] == "low"
    assert model.identity["extra_body"] == {"reasoning_effort": "low"}


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
    # Gemini's images travel beside the SDK's request: each must reach its own question.
    sent = {seen.text: seen.image_hashes for seen in server.seen}
    assert all(sent[f"{n:08d}"] == (picture(1000, n).sha256,) for n in range(60))


@engines
def test_letters_only_is_refused_where_it_cannot_be(engine: str, server: Server) -> None:
    model = load(engine, server)
    assert not model.capabilities.letters_only
    assert fails(model, with_sampling(letters_only=True)).fatal
    assert not server.seen
