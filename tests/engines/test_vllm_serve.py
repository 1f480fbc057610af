"""`vllm-serve/`: the server that the harness starts, asks and never leaves behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
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

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.run.evaluate import evaluate
from scalevqa_eval.types import Reply, Sampling

SERVER = "vllm.entrypoints.openai.api_server"


@pytest.fixture(scope="module")
def server(qwen: str) -> Iterator[Any]:
    model = load_model(f"vllm-serve/{qwen}", **TINY)
    yield model
    pids = find(os.getpid(), SERVER)
    close(model)
    assert not any(map(alive, pids))


def test_replies_agree_with_hf(
    server: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    assert_agree("vllm-serve", ask_all(server, image_set_prompts(8)), reference[0])


def test_logprobs_agree_with_hf(
    server: Any, reference: tuple[Sequence[Reply], Sequence[Reply]]
) -> None:
    assert_same_logprobs(ask_all(server, image_set_prompts(8, logprobs=True)), reference[1])


def test_letters_only(server: Any) -> None:
    found = ask_all(server, image_set_prompts(2, letters_only=True))
    assert {reply.text for reply in found} <= OPTIONS.keys()


def test_cached_tokens_are_reported(server: Any) -> None:
    images = [picture(100 + scale, 224, 224) for scale in range(3)]
    first, second = (ask_all(server, [make_prompt(n, images)])[0].usage for n in (1, 2))
    assert first.cached_tokens == 0
    assert (second.cached_tokens or 0) >= 128  # a block of the cache, on a CPU


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


def test_others_on_this_machine_cannot_use_the_server(server: Any) -> None:
    import urllib.error
    import urllib.request

    body = b'{"model": "x", "messages": [{"role": "user", "content": "hello"}]}'
    request = urllib.request.Request(
        f"http://127.0.0.1:{server._port}/v1/chat/completions",
        body,
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=10)


def test_server_that_dies_stops_the_run(server: Any, tmp_path: Path) -> None:
    benchmark = small.benchmark(tmp_path / "images", sets=8, each=5)
    (pid, *_) = find(os.getpid(), f"python -m {SERVER}")

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


def test_failure_to_start_shows_the_log(qwen: str) -> None:
    model = load_model(f"vllm-serve/{qwen}", engine_args={"no_such_flag": 1})
    (found,) = ask_each(model, [make_prompt(1)])
    assert isinstance(found, ModelError)
    assert found.fatal
    assert "unrecognized arguments: --no-such-flag" in str(found)
    close(model)


def test_port_in_use(qwen: str) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(UsageError, match="is not free"):
        load_model(f"vllm-serve/{qwen}", port=taken.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind(number: int, qwen: str, tmp_path: Path) -> None:
    """However the harness ends while the server is starting or running."""
    code = (
        "from scalevqa_eval.run.event_loop import run_blocking\n"
        "from scalevqa_eval.models import load_model\n"
        "if __name__ == '__main__':\n"
        f"    run_blocking(load_model('vllm-serve/{qwen}', **{TINY!r}).start())\n"
        "    input()\n"
    )
    process = run_python(code, tmp_path / "left.log")
    assert wait_until(lambda: bool(find(process.pid, SERVER)), 120)
    children = find(process.pid, "")
    process.send_signal(number)
    process.wait(90)
    assert wait_until(lambda: not any(map(alive, children)), 60)
