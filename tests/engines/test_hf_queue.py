"""Batches made of what waits: everything is answered once, whatever fails on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.huggingface import HFModel
from scalevqa_eval.run.event_loop import run_sync


class Squares:
    """Squares numbers; `fits` is how many at once, `bad` are numbers that it cannot take.

    It is its own processor.
    """

    takes_images = True
    identity: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, fits: int = 1000, bad: Sequence[int] = ()) -> None:
        self.processor = self
        self.fits, self.bad = fits, frozenset(bad)
        self.sizes: list[int] = []
        self.batches: list[list[int]] = []
        self.unloaded = False
        self.go = threading.Event()
        self.go.set()

    def describe(self, number: int) -> tuple[int, int]:
        return number % 2, abs(number)

    def prepare(self, numbers: Sequence[int]) -> list[int]:
        for number in numbers:
            if number in self.bad:
                raise ModelError(f"{number} is bad")
        return list(numbers)

    def answer(self, batch: list[int], wanted: Callable[[], bool]) -> list[int]:
        assert self.go.wait(20)
        self.sizes.append(len(batch))
        if not wanted():
            raise ModelError("the model was closed", fatal=True)
        if len(batch) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        self.batches.append(batch)
        return [number * number for number in batch]

    def unload(self) -> None:
        self.unloaded = True


def answers(engine: Any, numbers: Sequence[Any], size: int = 4) -> tuple[list[Any], HFModel]:
    """What a model of this engine says to all numbers at once, errors in their places."""
    model = HFModel("hf/squares", engine, size)

    async def work() -> list[Any]:
        asked = (model.reply(number) for number in numbers)
        return list(await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20))

    found = run_sync(work())
    run_sync(model.aclose())
    return found, model


@given(
    numbers=st.lists(st.integers(-50, 50), max_size=40),
    size=st.integers(1, 9),
    fits=st.integers(1, 9),
    bad=st.sets(st.integers(-50, 50), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_each_prompt_gets_its_own_answer(
    numbers: list[int], size: int, fits: int, bad: set[int]
) -> None:
    engine = Squares(fits, sorted(bad))
    found, model = answers(engine, numbers, size)
    for number, reply in zip(numbers, found, strict=True):
        assert str(reply) == (f"{number} is bad" if number in bad else str(number * number))
    assert model.batch_size <= size
    assert all(len({number % 2 for number in batch}) == 1 for batch in engine.batches)


def test_batch_size_is_halved_for_good_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    engine = Squares(fits=3)
    found, model = answers(engine, range(0, 80, 2), 16)
    assert found == [n * n for n in range(0, 80, 2)]
    assert model.batch_size == 2
    assert "hf/squares: out of memory with 16 prompts at once: going on with 8" in caplog.text
    first_fit = next(i for i, size in enumerate(engine.sizes) if size <= 3)

    assert all(size <= 3 for size in engine.sizes[first_fit:])


def test_one_prompt_that_does_not_fit_is_an_error_of_its_own() -> None:
    (failure,), _ = answers(Squares(fits=0), [2])
    assert "a single prompt does not fit into memory: lower max_pixels" in str(failure)
    assert not failure.fatal


def test_neighbours_in_length_share_a_batch() -> None:
    engine = Squares()
    answers(engine, [2, 400, 4, 402, 6, 404, 8, 406])
    assert sorted(map(sorted, engine.batches)) == [[2, 4, 6, 8], [400, 402, 404, 406]]


def test_given_up_prompts_are_not_answered() -> None:
    engine = Squares()
    model = HFModel("hf/squares", engine, 1)  # type: ignore[arg-type]

    async def work() -> list[Any]:
        engine.go.clear()
        tasks = [asyncio.create_task(model.reply(n)) for n in (2, 4, 6, 8, 10)]  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        tasks[-1].cancel()
        engine.go.set()
        return await asyncio.gather(*tasks[:-1])

    assert run_sync(work()) == [4, 16, 36, 64]
    run_sync(model.aclose())
    assert [10] not in engine.batches


def test_close_drops_what_waits_and_refuses_more() -> None:
    engine = Squares()
    model = HFModel("hf/squares", engine, 1)  # type: ignore[arg-type]

    async def work() -> list[Any]:
        engine.go.clear()
        tasks = [asyncio.create_task(model.reply(n)) for n in (2, 4, 6, 8)]  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(model.aclose())
        await asyncio.sleep(0.1)
        engine.go.set()
        await closing
        return await asyncio.gather(*tasks, model.reply(2), return_exceptions=True)  # type: ignore[arg-type]

    assert {str(reply) for reply in run_sync(work())} == {"the model was closed"}
    assert engine.unloaded
