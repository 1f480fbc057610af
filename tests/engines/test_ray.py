"""Workers on Ray: the same records as without, also when a worker is killed on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small
from engine_processes import alive, find, kill, run_python, wait_until
from engine_prompts import ask_all, ask_each, close, image_set_prompts, make_prompt

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models.ray.pool import load_pool
from scalevqa_eval.run import evaluate
from scalevqa_eval.types import Sampling

WORKER = "ray::Worker"
HEAD = """
import time, ray
context = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print("READY", context.address_info["gcs_address"], flush=True)
time.sleep(600)
"""


def test_ray_starts_and_ends_with_the_pool() -> None:
    import ray

    assert not ray.is_initialized()
    model = load_pool("baseline/random", {"seed": 3}, 1)
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
    assert wait_until(lambda: len(find(os.getpid(), WORKER)) == 2)
    assert len(ask_all(pool, image_set_prompts(4))) == 20


def test_a_model_that_cannot_be_loaded(pool: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model directory"):
        load_pool(f"hf/{tmp_path}/nothing", {}, 1)
    with pytest.raises(UsageError, match="leave out --engine ray"):
        load_pool("baseline/pixels", {}, 1)


def test_vllm_is_told_to_spread_by_itself(pool: Any, qwen: str) -> None:
    with pytest.raises(UsageError, match="-O data_parallel_size=2"):
        load_pool(f"vllm/{qwen}", {}, 2)


def test_a_cluster_that_asks_for_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts of their own: Ray reads how it is to authenticate once a process."""
    code = (
        "from scalevqa_eval.errors import UsageError\n"
        "from scalevqa_eval.models.ray.pool import load_pool\n"
        "try:\n"
        "    print('USED', load_pool('baseline/random', {}, 1).name)\n"
        "except UsageError as error:\n"
        "    print('REFUSED', error)\n"
    )

    def asked(home: str) -> str:
        monkeypatch.setenv("HOME", str(tmp_path / home))
        log = tmp_path / f"{home}.log"
        run_python(code, log).wait(300)
        return log.read_text()

    for home in ("with", "without"):
        (tmp_path / home / ".ray").mkdir(parents=True)
    (tmp_path / "with" / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    monkeypatch.setenv("HOME", str(tmp_path / "with"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    log = tmp_path / "head.log"
    head = run_python(HEAD, log)
    try:
        assert wait_until(lambda: "READY" in log.read_text() or head.poll() is not None, 300)
        monkeypatch.setenv("RAY_ADDRESS", log.read_text().rpartition("READY ")[2].strip())
        monkeypatch.delenv("RAY_AUTH_MODE")
        assert "USED baseline/random" in asked("with")
        refused = asked("without")
    finally:
        head.kill()
        head.wait()
    assert refused.startswith("REFUSED the Ray cluster at")
    assert "RAY_AUTH_MODE=token" in refused
    assert len(refused.splitlines()) == 1
