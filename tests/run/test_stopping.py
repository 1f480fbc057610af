"""When a run goes on, when it stops, and what it says while it waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from small import Scripted, always, benchmark, scale_vqa_file, tagged

from scalevqa_eval import evaluate, load_model
from scalevqa_eval.errors import ModelError
from scalevqa_eval.run import Progress, RetryPolicy
from scalevqa_eval.testing import Failure, Server
from scalevqa_eval.types import Prompt, Reply


@pytest.mark.parametrize("concurrency", [1, 64])
def test_a_refused_image_costs_its_questions_and_no_others(
    tmp_path: Path, server: Server, concurrency: int
) -> None:
    questions = benchmark(tmp_path / "images", sets=4, each=25)
    refused = (tmp_path / "images/s0/low.jpg").read_bytes()  # the first 25 in order of image sets
    refuse = Failure(403, "this image is against the rules")
    server.answer = lambda seen: refuse if refused in seen.images else "<answer>A</answer>"
    model = load_model("openai/any", base_url=server.openai_url)
    for call in (1, 2):  # what was refused before is asked last, and stops no later call either
        done = evaluate(model, questions, output=tmp_path / "runs", max_concurrency=concurrency)
        assert not done.stopped
        assert done.summary["n"] == 75
        assert done.summary["errors"] == 25
        assert server.count == 75 + call * 25


def test_many_refused_images_in_a_row_cost_only_themselves(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images", sets=60, each=1)

    def answer(prompt: Prompt) -> Reply:
        if int(prompt.question_id[1:]) < 25:
            raise ModelError("status 400")
        return tagged("A")

    done = evaluate(Scripted(answer), questions, output=tmp_path / "runs", max_concurrency=1)
    assert not done.stopped
    assert done.summary["n"] == 35


def test_a_dead_engine_stops_the_run_and_paid_replies_under_way_are_kept(tmp_path: Path) -> None:
    tries: list[str] = []
    dead = asyncio.Event()

    async def answer(prompt: Prompt) -> Reply:
        if prompt.question_id == "q0":
            await dead.wait()
            for _ in range(200):  # the run has stopped by then
                await asyncio.sleep(0)
            return tagged("A")
        tries.append(prompt.question_id)
        if len(set(tries)) >= 20:
            dead.set()
        raise ModelError("engine died")

    questions = benchmark(tmp_path / "images", sets=5, each=40)
    done = evaluate(Scripted(answer), questions, output=tmp_path / "runs", max_concurrency=2)
    assert "engine died" in done.stopped
    assert len(set(tries)) < 40
    assert done.summary["n"] == 1
    assert evaluate(always("A"), questions, output=tmp_path / "runs").complete


def test_why_a_question_is_asked_again_is_said_from_the_first_time_on(
    tmp_path: Path, server: Server
) -> None:
    server.script(Failure(500, "overheated"))
    questions = benchmark(tmp_path / "images", sets=1, each=3)
    told: list[tuple[int, str]] = []

    def watch(progress: Progress) -> None:
        told.append((progress.done, progress.retrying))

    model = load_model("openai/any", base_url=server.openai_url)
    done = evaluate(
        model, questions, output=tmp_path / "runs", max_concurrency=1,
        retry=RetryPolicy(base=0.01), progress=watch,
    )  # fmt: skip
    assert done.complete
    assert told[1][0] == 0
    assert "overheated" in told[1][1]
    assert told[-1] == (3, "")


def test_a_server_that_fails_is_said_where_there_is_no_terminal(
    tmp_path: Path, server: Server
) -> None:
    file = scale_vqa_file(tmp_path / "q.json", benchmark(tmp_path, sets=1, each=2))
    server.answer = Failure(500, "overheated \x1b[2J [/] now")
    command = [
        sys.executable, "-m", "scalevqa_eval", "run", "--model", "openai/any", "--base-url",
        server.openai_url, "--benchmark", str(file), "--output", str(tmp_path / "runs"),
        "--time-limit", "2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "0/2" in line and "retrying" in line]
    assert "status 500" in line
    assert "\x1b" not in done.stderr


def test_progress_is_shown_unless_it_is_not_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    questions = benchmark(tmp_path / "images")
    evaluate(always("A"), questions, output=tmp_path / "one", progress=False)
    assert capfd.readouterr().err == ""
    evaluate(always("A"), questions, output=tmp_path / "two")
    assert "test/scripted on small test: 12/12" in capfd.readouterr().err
