"""One question: how long it may take, and what a faulty model costs."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import Scripted, benchmark, tagged

from scalevqa_eval import evaluate
from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.base import checked
from scalevqa_eval.run import ReplyCache, RetryPolicy, retry
from scalevqa_eval.run.retry import Asked, Asker, Throttle
from scalevqa_eval.types import Prompt, Reply, Sampling, Usage

PROMPT = Prompt("q", "", (), Sampling(), "", {"A": "x", "B": "y"}, "all")


class Clock:
    """Time as retry.py sees it, moved on by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    return clock


async def asked(model: Scripted, policy: RetryPolicy, throttle: Throttle) -> Asked:
    replies = ReplyCache(None, model, warn=print)
    return await Asker(model, policy, replies, throttle).ask(PROMPT)


def test_waiting_for_a_place_does_not_use_up_the_time_limit(clock: Clock) -> None:
    async def main() -> Asked:
        throttle = Throttle(1)
        async with throttle.slot():
            waiting = asyncio.create_task(
                asked(Scripted(lambda _: tagged("A")), RetryPolicy(time_limit=5), throttle)
            )
            await asyncio.sleep(0)  # it queues
            clock.now += 1000
        return await waiting

    done = asyncio.run(main())
    assert done.reply is not None
    assert done.attempts == 1


def test_nobody_waits_for_a_server_longer_than_the_time_limit() -> None:
    async def main() -> Asked:
        throttle = Throttle(4)
        throttle.refused(time.monotonic(), retry_after=3600)
        model = Scripted(lambda _: tagged("A"))
        async with asyncio.timeout(60):
            return await asked(model, RetryPolicy(time_limit=5), throttle)

    done = asyncio.run(main())
    assert done.reply is None
    assert "3600 s" in str(done.error)


def test_a_wait_that_fits_is_honoured() -> None:
    async def main() -> tuple[Asked, float]:
        throttle = Throttle(4)
        started = time.monotonic()
        throttle.refused(started, retry_after=0.05)
        done = await asked(Scripted(lambda _: tagged("A")), RetryPolicy(time_limit=60), throttle)
        return done, time.monotonic() - started

    done, waited = asyncio.run(main())
    assert done.reply is not None
    assert waited >= 0.05


@pytest.mark.parametrize("fault", [KeyError, SystemExit])
def test_a_fault_in_a_model_costs_its_question_and_not_the_run(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    def answer(prompt: Prompt) -> Reply:
        if prompt.question_id == "q5":
            raise fault("no such choice, key sk-abcdefghijklmnop")
        return tagged("A")

    done = evaluate(Scripted(answer), benchmark(tmp_path / "images"), output=tmp_path / "runs")
    assert not done.complete
    assert done.summary["n"] == 11
    (error,) = [record.error for record in done.records if record.error]
    assert f"test/scripted failed with {fault.__name__}" in error
    assert "sk-abc" not in error


@pytest.mark.parametrize("given", [None, "A", Usage()])
def test_what_is_no_reply_stops_the_run_and_says_so(tmp_path: Path, given: Any) -> None:
    async def answer(prompt: Prompt) -> Any:
        return given

    done = evaluate(Scripted(answer), benchmark(tmp_path / "images"), output=tmp_path / "runs")
    assert not done.complete
    assert "test/scripted returned" in done.stopped


@pytest.mark.parametrize(
    "fields",
    [
        {"text": None},
        {"reasoning": b"bytes"},
        {"finish": "end_turn"},
        {"latency": float("nan")},
        {"latency": "soon"},
        {"logprobs": {"A": float("nan")}},
        {"logprobs": [0.1]},
        {"logprobs": {"A": 10**400}},
    ],
)
def test_a_reply_that_cannot_be_stored_costs_its_question(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    def answer(prompt: Prompt) -> Reply:
        good = tagged("A")
        return replace(good, **fields) if prompt.question_id == "q5" else good

    done = evaluate(Scripted(answer), benchmark(tmp_path / "images"), output=tmp_path / "runs")
    assert not done.stopped
    assert done.summary["n"] == 11
    (error,) = [record.error for record in done.records if record.error]
    assert "test/scripted returned" in error


@pytest.mark.parametrize("usage", [None, Usage(-1, 10**400, 2.5), Usage("3", True, [])])  # type: ignore[arg-type]
def test_counts_that_are_none_are_unknown(usage: Any) -> None:
    reply = checked(Reply("A \ud83d", usage=usage, latency=np.float32(0.5)), "test/x")
    assert reply.usage == Usage(None, None, None)
    assert reply.text == "A ?"
    counted = checked(Reply("A", usage=Usage(np.int64(3), 0, 10)), "test/x").usage
    json.dumps([counted.prompt_tokens, reply.latency])
    assert counted == Usage(3, 0, 10)


def test_a_wait_says_why(tmp_path: Path) -> None:
    reasons: list[str] = []
    failing = [ModelError("status 500", retryable=True), ModelError("status 503", retryable=True)]

    def answer(prompt: Prompt) -> Reply:
        if failing:
            raise failing.pop(0)
        return tagged("A")

    policy, model = RetryPolicy(base=0.001, cap=0.001), Scripted(answer)
    replies = ReplyCache(None, model, warn=print)
    asker = Asker(model, policy, replies, Throttle(1), on_retry=reasons.append)
    done = asyncio.run(asker.ask(PROMPT))
    assert (done.attempts, reasons) == (3, ["status 500", "status 503"])
