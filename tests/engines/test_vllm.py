"""`vllm/`: the server that the harness starts, asks and never leaves behind.

One server serves most of the file; the last of its tests kills it.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import small
from conftest import TINY
from engine_processes import alive, find, kill, run_python, wait_until
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

from scalevqa_eval.errors import ModelError
from scalevqa_eval.models import load_model
from scalevqa_eval.run import evaluate
from scalevqa_eval.types import Reply, Sampling

SERVER = "vllm.entrypoints.openai.api_server"


@pytest.fixture(scope="module")
def server(qwen: str) -> Iterator[Any]:
    model = load_model(f"vllm/{qwen}", **TINY)
    ask_all(model, image_set_prompts(2))  # nobody has started it
    yield model
    pids = find(os.getpid(), SERVER)
    close(model)
    assert not any(map(alive, pids))


def test_it_starts_once_for_all_who_wait(server: Any) -> None:
    assert len(find(os.getpid(), SERVER)) == 1


def test_replies_agree_with_hf(
    server: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    """The checkpoint has a repetition penalty and a temperature, which neither applies."""
    assert_agree("vllm", ask_all(server, image_set_prompts(8)), reference[0])


def test_logprobs_agree_with_hf(
    server: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    assert_same_logprobs(ask_all(server, image_set_prompts(8, logprobs=True)), reference[1])


def test_letters_only_agrees_with_hf(server: Any, qwen: str, opened: Callable[..., Any]) -> None:
    prompts = image_set_prompts(4, letters_only=True)
    expected = [reply.text for reply in ask_all(opened(f"hf/{qwen}"), prompts)]
    found = [reply.text for reply in ask_all(server, prompts)]
    assert found == expected
    assert set(found) <= OPTIONS.keys()


def test_image_prefix_is_served_from_the_cache(server: Any) -> None:
    images = [picture(100 + scale, 224, 224) for scale in range(3)]
    first, second = (ask_all(server, [make_prompt(n, images)])[0].usage for n in (1, 2))
    (other,) = ask_all(server, [make_prompt(3, [picture(200, 224, 224), *images[1:]])])
    assert first.cached_tokens == 0
    assert (second.cached_tokens or 0) >= 128  # a block of the cache, on a CPU
    assert other.usage.cached_tokens == 0


def test_sampling_is_repeatable(server: Any) -> None:
    draws = [make_prompt(n, temperature=1.0, seed=3) for n in range(4)]
    found = [reply.text for reply in ask_all(server, draws)]
    assert [reply.text for reply in ask_all(server, draws)] == found
    greedy = [reply.text for reply in ask_all(server, [make_prompt(n) for n in range(4)])]
    assert found != greedy
    own = [make_prompt(n, temperature=None, seed=3) for n in range(4)]
    assert [reply.text for reply in ask_all(server, own)] not in (greedy, found)


def test_bad_prompts_are_errors_of_their_own(server: Any) -> None:
    found = ask_each(
        server,
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


def test_others_on_this_machine_cannot_use_the_server(server: Any) -> None:
    body = b'{"model": "x", "messages": [{"role": "user", "content": "hello"}]}'
    url = f"{server.server.address}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)


def test_server_that_dies_stops_the_run(server: Any, tmp_path: Path) -> None:
    benchmark = small.benchmark(tmp_path / "images", sets=8, each=5)
    (pid,) = find(os.getpid(), SERVER)

    def killing(progress: Any) -> None:
        if progress.answered >= 10 and alive(pid):
            kill(pid)

    stopped = evaluate(
        server,
        benchmark,
        output=tmp_path / "runs",
        sampling=Sampling(max_tokens=16),
        progress=killing,
        max_concurrency=4,
    )
    assert not stopped.complete
    assert "server died" in stopped.stopped
    assert 10 <= sum(record.outcome.scored for record in stopped.records) < 40


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"no_such_flag": 1}, "unrecognized arguments: --no-such-flag"),
        ({"max_model_len": 10**9}, "greater than the derived max_model_len"),
    ],
)
def test_failure_to_start_says_why(qwen: str, options: dict[str, Any], reason: str) -> None:
    model = load_model(f"vllm/{qwen}", **options)
    found = ask_each(model, [make_prompt(1), make_prompt(2)])
    assert all(isinstance(error, ModelError) and error.fatal for error in found)
    assert reason in str(found[0])
    close(model)


def test_a_plain_script_that_is_killed_leaves_nothing_behind(qwen: str, tmp_path: Path) -> None:
    """As README shows it: no `if __name__ == "__main__"`."""
    code = (
        "import time\n"
        "from scalevqa_eval import load_model\n"
        "from scalevqa_eval.run import run_sync\n"
        f"run_sync(load_model('vllm/{qwen}', **{TINY!r}).start())\n"
        "print('READY', flush=True)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "script.log"
    process = run_python(code, log)
    try:
        assert wait_until(lambda: "READY" in log.read_text() or process.poll() is not None, 600)
        assert "READY" in log.read_text(), log.read_text()
        children = find(process.pid, "")
        assert len(find(process.pid, SERVER)) == 1
    finally:
        process.kill()
        process.wait()
    assert wait_until(lambda: not any(map(alive, children)), 60)
