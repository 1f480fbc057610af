"""Batches made of what waits: everything is answered once, whatever fails on the way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models.local.huggingface import Queue


class Engine:
    """Squares numbers; `fits` is how many at once, `bad` are numbers that it cannot take."""

    def __init__(self, fits: int = 1000, bad: Sequence[int] = (), hold: bool = False) -> None:
        self.fits, self.bad = fits, frozenset(bad)
        self.sizes: list[int] = []
        self.batches: list[list[int]] = []
        self.notes: list[str] = []
        self.go = threading.Event()
        if not hold:
            self.go.set()

    def prepare(self, items: Sequence[int]) -> list[int]:
        for item in items:
            if item in self.bad:
                raise ModelError(f"{item} is bad")
        return list(items)

    def run(self, batch: list[int]) -> list[int]:
        assert self.go.wait(20)
        self.sizes.append(len(batch))
        if len(batch) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        self.batches.append(batch)
        return [item * item for item in batch]

    def queue(self, size: int = 4, shrink: bool = True) -> Queue[int, list[int], int]:
        return Queue(
            self.prepare, self.run, size=size, shrink=shrink,
            length=abs, kind=lambda item: item % 2, say=self.notes.append,
        )  # fmt: skip


def submit(queue: Queue[int, list[int], int], items: Sequence[int]) -> list[Future[int]]:
    return [queue.submit(item) for item in items]


@given(
    items=st.lists(st.integers(-50, 50), max_size=40),
    size=st.integers(1, 9),
    fits=st.integers(1, 9),
    bad=st.sets(st.integers(-50, 50), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_each_item_gets_its_own_answer(
    items: list[int], size: int, fits: int, bad: set[int]
) -> None:
    engine = Engine(fits, sorted(bad))
    queue = engine.queue(size)
    for item, future in zip(items, submit(queue, items), strict=True):
        if item in bad:
            with pytest.raises(ModelError, match=f"^{item} is bad$"):
                future.result(20)
        else:
            assert future.result(20) == item * item
    queue.close()
    assert queue.size <= size
    assert all(len({item % 2 for item in batch}) == 1 for batch in engine.batches)


def test_batch_size_is_halved_for_good_and_said_so() -> None:
    engine = Engine(fits=3, hold=True)
    queue = engine.queue(size=16)
    futures = submit(queue, range(0, 80, 2))
    engine.go.set()
    assert [future.result(20) for future in futures] == [n * n for n in range(0, 80, 2)]
    queue.close()
    assert queue.size == 2
    assert [note for note in engine.notes if "out of memory" in note]
    first_fit = next(i for i, size in enumerate(engine.sizes) if size <= 3)
    assert all(size <= 3 for size in engine.sizes[first_fit:])


def test_a_given_size_that_does_not_fit_stops_everything() -> None:
    engine = Engine(fits=2, hold=True)
    queue = engine.queue(size=4, shrink=False)
    futures = submit(queue, [2, 4, 6, 8])
    engine.go.set()
    with pytest.raises(ModelError, match="batch_size=auto") as caught:
        futures[0].result(20)
    assert caught.value.fatal
    queue.close()


def test_one_prompt_that_does_not_fit_is_an_error_of_its_own() -> None:
    engine = Engine(fits=0)
    queue = engine.queue()
    with pytest.raises(ModelError, match="single prompt") as caught:
        queue.submit(2).result(20)
    assert not caught.value.fatal
    queue.close()


def test_neighbours_in_length_share_a_batch() -> None:
    engine = Engine(hold=True)
    queue = engine.queue(size=4)
    futures = submit(queue, [2, 400, 4, 402, 6, 404, 8, 406])
    engine.go.set()
    for future in futures:
        future.result(20)
    queue.close()
    # The first batch may have left before all had come; none mixes the two lengths after it.
    assert all(max(batch) - min(batch) < 100 for batch in engine.batches[1:])


def test_given_up_items_are_not_answered() -> None:
    engine = Engine(hold=True)
    queue = engine.queue(size=1)
    futures = submit(queue, [2, 4, 6, 8, 10])
    assert futures[-1].cancel()
    engine.go.set()
    assert [future.result(20) for future in futures[:-1]] == [4, 16, 36, 64]
    queue.close()
    assert [10] not in engine.batches


def test_close_drops_what_waits_and_refuses_more() -> None:
    engine = Engine(hold=True)
    queue = engine.queue(size=1)
    futures = submit(queue, [2, 4, 6, 8, 10, 12])
    closing = threading.Thread(target=queue.close)
    closing.start()
    engine.go.set()
    closing.join(20)
    assert not closing.is_alive()
    assert futures[-1].cancelled()
    with pytest.raises(ModelError, match="closed"):
        queue.submit(2)
