"""`vllm/`: vLLM's engine in this process, against hf/ and with bad input.

One engine serves the whole file; the last test kills it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import small
from conftest import TINY
from engine_processes import find, kill, run_python, wait_until
from engine_prompts import (
    OPTIONS,
    ask_all,
    ask_each,
    assert_agree,
    assert_same_logprobs,
    close,
    image_set_prompts,
    make_prompt,
    picture,
)

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.run.evaluate import evaluate
from scalevqa_eval.types import Reply, Sampling


@pytest.fixture(scope="module")
def engine(qwen: str) -> Iterator[Any]:
    model = load_model(f"vllm/{qwen}", **TINY)
    yield model
    close(model)


def test_replies_agree_with_hf(
    engine: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    assert_agree("vllm", ask_all(engine, image_set_prompts(8)), reference[0])


def test_logprobs_agree_with_hf(
    engine: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    assert_same_logprobs(ask_all(engine, image_set_prompts(8, logprobs=True)), reference[1])


def test_letters_only_agrees_with_hf(engine: Any, qwen: str, opened: Callable[..., Any]) -> None:
    prompts = image_set_prompts(4, letters_only=True)
    expected = [reply.text for reply in ask_all(opened(f"hf/{qwen}"), prompts)]
    found = [reply.text for reply in ask_all(engine, prompts)]
    assert found == expected
    assert set(found) <= OPTIONS.keys()


def test_identity_and_limits(engine: Any) -> None:
    assert engine.identity["dtype"] == "float32"
    assert engine.identity["max_model_len"] == 2048
    assert engine.capabilities.max_images == 3


def test_image_prefix_is_served_from_the_cache(engine: Any) -> None:
    images = [picture(100 + scale, 224, 224) for scale in range(3)]
    first, second = (ask_all(engine, [make_prompt(n, images)])[0].usage for n in (1, 2))
    (other,) = ask_all(engine, [make_prompt(3, [picture(200, 224, 224), *images[1:]])])
    assert first.cached_tokens == 0
    assert (second.cached_tokens or 0) >= 128  # a block of the cache, on a CPU
    assert other.usage.cached_tokens == 0


def test_sampling_is_repeatable(engine: Any) -> None:
    draws = [make_prompt(n, temperature=1.0, seed=3) for n in range(4)]
    found = [reply.text for reply in ask_all(engine, draws)]
    assert [reply.text for reply in ask_all(engine, draws)] == found
    greedy = [reply.text for reply in ask_all(engine, [make_prompt(n) for n in range(4)])]
    assert found != greedy


def test_bad_prompts_are_errors_of_their_own(engine: Any) -> None:
    found = ask_each(
        engine,
        [
            make_prompt(1),
            make_prompt(2, text="x y " * 3000),
            make_prompt(3, [picture(n) for n in range(4)]),
            make_prompt(4, text="A" * 1700, max_tokens=100_000),
        ],
    )
    assert [isinstance(reply, ModelError) for reply in found] == [False, True, True, False]
    assert "maximum context length is 2048" in str(found[1])
    assert "3 image" in str(found[2])
    assert not any(getattr(error, "fatal", False) for error in found)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": "int3"}, "vLLM cannot run"),
        ({"max_model_len": 10**9}, "vLLM cannot run"),
        ({"engine_args": {"no_such_argument": 1}}, "no_such_argument"),
    ],
)
def test_wrong_options(qwen: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        load_model(f"vllm/{qwen}", **options)


def test_yaml_is_read_as_before(engine: Any) -> None:
    """A package that vLLM imports would have dates read as text in the whole process."""
    import datetime

    import yaml

    ask_all(engine, [make_prompt(1, letters_only=True)])
    assert yaml.safe_load("until: 2026-12-31") == {"until": datetime.date(2026, 12, 31)}


def test_engine_that_dies_stops_the_run_and_resume_finishes_it(
    engine: Any, qwen: str, tmp_path: Path
) -> None:
    benchmark = small.benchmark(tmp_path / "images", sets=8, each=5)
    settings: dict[str, Any] = {
        "output": tmp_path / "runs",
        "sampling": Sampling(max_tokens=16),
    }
    half = evaluate(engine, small_part(benchmark, 12), **settings)
    assert half.complete
    (core,) = find(os.getpid(), "VLLM::EngineCore")
    kill(core)
    stopped = evaluate(engine, benchmark, **settings)
    assert not stopped.complete
    assert "engine died" in stopped.stopped
    answered = sum(record.outcome.scored for record in stopped.records)
    assert answered < 40
    fresh = load_model(f"vllm/{qwen}", **TINY)
    try:
        finished = evaluate(fresh, benchmark, **settings)
    finally:
        close(fresh)
    assert finished.complete
    assert len(finished.records) == 40
    assert finished.runs["full"].path == stopped.runs["full"].path


def small_part(benchmark: Any, n: int) -> Any:
    from dataclasses import replace

    return replace(benchmark, questions=benchmark.questions[:n])


def test_nothing_is_left_after_kill_9(qwen: str, tmp_path: Path) -> None:
    code = (
        "import asyncio\nfrom scalevqa_eval.models import load_model\n"
        "if __name__ == '__main__':\n"
        f"    asyncio.run(load_model('vllm/{qwen}', **{TINY!r}).start())\n"
        "    input()\n"
    )
    log = tmp_path / "left.log"
    process = run_python(code, log)
    try:
        assert wait_until(lambda: bool(find(process.pid, "VLLM::EngineCore")), 180), log.read_text()
        # The engine may still be starting: it must not outlive its parent then either.
        children = [pid for pid in find(process.pid, "") if pid != process.pid]
        cores = find(process.pid, "VLLM")
    finally:
        process.kill()
        process.wait()
    from engine_processes import alive

    assert wait_until(lambda: not any(map(alive, cores)), 60)
    assert wait_until(lambda: not any(map(alive, children)), 60)
