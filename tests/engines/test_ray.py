"""Workers on Ray: the same records as without, also when a worker is killed on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small
from engine_processes import alive, find, kill, wait_until
from engine_prompts import ask_all, ask_each, close, image_set_prompts, make_prompt, picture

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.ray.pool import load_pool
from scalevqa_eval.run.evaluate import evaluate
from scalevqa_eval.types import Sampling

WORKER = "ray::EngineWorker"


def test_ray_starts_and_ends_with_the_pool() -> None:
    import ray

    assert not ray.is_initialized()
    model = load_pool("baseline/random", {"seed": 3}, 1, address="local")
    children = find(os.getpid(), "ray")
    assert children
    (reply,) = ask_all(model, [make_prompt(1)])
    assert reply.text
    close(model)
    assert not ray.is_initialized()
    assert wait_until(lambda: not any(map(alive, children)))


@pytest.fixture(scope="module")
def pool(qwen: str) -> Iterator[Any]:
    """Two workers on a cluster that is there already, with room for more."""
    import ray

    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    model = load_pool(f"hf/{qwen}", {"batch_size": 4}, 2)
    yield model
    close(model)
    assert ray.is_initialized()
    ray.shutdown()


def test_the_pool_is_the_model_to_a_run(
    pool: Any, qwen: str, opened: Callable[..., Any], tmp_path: Path
) -> None:
    """Same directory, so the same command continues with or without Ray; same replies."""
    benchmark = small.benchmark(tmp_path / "images", sets=4, each=3)
    short = Sampling(max_tokens=16)
    alone = evaluate(
        opened(f"hf/{qwen}"), benchmark, output=tmp_path / "a", sampling=short, cache=False
    )
    shared = evaluate(pool, benchmark, output=tmp_path / "b", sampling=short, cache=False)
    assert alone.complete
    assert shared.complete
    places = (alone.runs["full"].path, shared.runs["full"].path)
    assert places[0].relative_to(tmp_path / "a") == places[1].relative_to(tmp_path / "b")
    assert [(r.question_id, r.text, r.outcome) for r in shared.records] == [
        (r.question_id, r.text, r.outcome) for r in alone.records
    ]


def test_an_image_set_stays_with_its_worker(pool: Any) -> None:
    ask_all(pool, image_set_prompts(8))
    used = {place for _, place in list(pool._sets.items())[-8:]}
    assert len(used) == 2
    before = dict(pool._sets)
    ask_all(pool, image_set_prompts(8))
    assert dict(pool._sets) == before


def test_errors_come_back_as_they_are(pool: Any) -> None:
    found = ask_each(pool, [make_prompt(1), make_prompt(2, text="x y " * 5000)])
    assert not isinstance(found[0], Exception)
    assert isinstance(found[1], ModelError)
    assert "context is 4096" in str(found[1])


def test_questions_of_a_killed_worker_are_answered_by_the_other(pool: Any, tmp_path: Path) -> None:
    benchmark = small.benchmark(tmp_path / "images", sets=8, each=5)
    workers = find(os.getpid(), WORKER)
    assert len(workers) == 2

    def killing(progress: Any) -> None:
        if progress.answered >= 8 and all(map(alive, workers)):
            kill(workers[0])

    done = evaluate(
        pool,
        benchmark,
        output=tmp_path / "runs",
        sampling=Sampling(max_tokens=64),
        cache=False,
        progress=killing,
    )
    assert not alive(workers[0])
    assert done.complete
    assert len(done.records) == 40
    assert len({record.question_id for record in done.records}) == 40
    # Ray starts the killed one again, and the pool uses it.
    prompts = [make_prompt(n, [picture(500 + n)]) for n in range(4)]
    assert wait_until(lambda: all(place.up for place in pool._places) or not ask_all(pool, prompts))


def test_a_model_that_cannot_be_loaded(pool: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model directory"):
        load_pool(f"hf/{tmp_path}/nothing", {}, 1)
    with pytest.raises(UsageError, match="leave out --engine ray"):
        load_pool("baseline/pixels", {}, 1)


def test_more_gpus_than_there_are(pool: Any, qwen: str) -> None:
    with pytest.raises(UsageError, match=r"2 workers with 1 GPU.*Ray has 0"):
        load_pool(f"hf/{qwen}", {}, 2, gpus_per_worker=1)
