"""The command as a process: killed, interrupted, doubled, out of disk; and what it never tells."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small import benchmark, scale_vqa_file

from scalevqa_eval import open_run
from scalevqa_eval.testing import Failure, Server, letter_by_hash

KEY = "sk-test-0123456789abcdefghijklmnop"


def command(file: Path, server: Server, output: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "scalevqa_eval", "run", "--model", "openai/any",
        "--base-url", server.openai_url, "--benchmark", str(file), "--output", str(output), *more,
    ]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OPENAI_API_KEY": KEY, **more}


def question_file(tmp_path: Path, sets: int, each: int) -> Path:
    images = tmp_path / "data"
    return scale_vqa_file(images / "questions.json", benchmark(images, sets=sets, each=each))


def records_files(output: Path) -> list[Path]:
    return sorted(output.rglob("records.jsonl"))


def ids(path: Path) -> Counter[str]:
    """Question ids of all whole lines."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return Counter(json.loads(line)["question_id"] for line in lines)


def test_killed_at_twenty_random_moments(tmp_path: Path, server: Server) -> None:
    """Each process is killed once the server has answered a random number of further requests."""
    file = question_file(tmp_path, sets=30, each=5)
    draw = random.Random(7)
    run = command(file, server, tmp_path / "runs", "--no-cache", "--max-concurrency", "4")
    kept = 0
    for _ in range(20):
        goal = len(server.seen) + draw.randint(1, 8)
        process: list[subprocess.Popen[bytes]] = []

        def answer(seen: object, goal: int = goal, process: list = process) -> str:  # type: ignore[type-arg]
            if len(server.seen) >= goal and process:
                process[0].send_signal(signal.SIGKILL)
            return letter_by_hash(seen)  # type: ignore[arg-type]

        server.answer = answer
        process.append(
            subprocess.Popen(
                run, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        )
        process[0].communicate(timeout=60)
        assert process[0].returncode == -signal.SIGKILL
        files = records_files(tmp_path / "runs")
        if files:
            now = len(ids(files[0]))
            assert now >= kept  # nothing that was kept is lost
            kept = now
    server.answer = letter_by_hash
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (path,) = records_files(tmp_path / "runs")
    found = ids(path)
    assert len(found) == 150
    assert set(found.values()) == {1}
    assert open_run(path.parent).summary["n"] == 150
    # At most the replies in flight were lost: 4 a kill.
    assert len(server.seen) <= 150 + 20 * 4


def test_ctrl_c_stops_cleanly_and_the_same_command_continues(
    tmp_path: Path, server: Server
) -> None:
    file = question_file(tmp_path, sets=6, each=5)
    run = command(file, server, tmp_path / "runs", "--max-concurrency", "2")
    process: list[subprocess.Popen[str]] = []

    def answer(seen: object) -> str:
        if len(server.seen) == 9:
            process[0].send_signal(signal.SIGINT)
        return letter_by_hash(seen)  # type: ignore[arg-type]

    server.answer = answer
    process.append(
        subprocess.Popen(
            run, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    )
    _, errors = process[0].communicate(timeout=60)
    assert process[0].returncode == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    (path,) = records_files(tmp_path / "runs")
    assert 5 <= len(ids(path)) <= 11
    assert open_run(path.parent).summary["complete"] is False
    server.answer = letter_by_hash
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(ids(path).values()) == {1}
    assert len(ids(path)) == 30


def test_two_processes_on_one_run(tmp_path: Path, server: Server) -> None:
    file = question_file(tmp_path, sets=4, each=5)
    run = command(file, server, tmp_path / "runs", "--max-concurrency", "1")
    second: list[subprocess.CompletedProcess[str]] = []

    def answer(seen: object) -> str:
        if len(server.seen) == 3:  # the first process waits for this very reply
            second.append(
                subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
            )
        return letter_by_hash(seen)  # type: ignore[arg-type]

    server.answer = answer
    first = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=90)
    assert first.returncode == 0, first.stderr
    assert second[0].returncode == 1
    assert "another process is writing" in second[0].stderr
    (path,) = records_files(tmp_path / "runs")
    assert set(ids(path).values()) == {1}
    assert len(ids(path)) == 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A file system of 48 kB, where it may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here")
    yield place  # type: ignore[misc]
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tmp_path: Path, server: Server, tiny_disk: Path) -> None:
    file = question_file(tmp_path, sets=20, each=5)
    server.answer = lambda seen: letter_by_hash(seen) + " " + "because " * 100
    run = command(file, server, tiny_disk / "runs", "--no-cache", "--max-concurrency", "4")
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    (path,) = records_files(tiny_disk / "runs")
    before = ids(path)
    assert 5 <= len(before) < 100
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(ids(path)) == 100
    assert len(server.seen) <= 100 + 4 + 1


def test_keys_are_nowhere(tmp_path: Path, server: Server) -> None:
    file = question_file(tmp_path, sets=1, each=4)
    server.script(Failure(401, f"Incorrect API key provided: {KEY}"))
    run = command(file, server, tmp_path / "runs", "--max-concurrency", "1", "--debug")
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    ok = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert ok.returncode == 0, ok.stderr
    said = done.stdout + done.stderr + ok.stdout + ok.stderr
    assert KEY not in said
    cache = Path(os.environ["SCALEVQA_CACHE"])
    for place in (tmp_path / "runs", cache):
        for file in place.rglob("*"):
            if file.is_file():
                assert KEY.encode() not in file.read_bytes(), file


def test_the_table_fits_eighty_columns_and_stdout_is_plain(tmp_path: Path, server: Server) -> None:
    file = question_file(tmp_path, sets=2, each=5)
    run = command(file, server, tmp_path / "runs")
    done = subprocess.run(
        run, env=environment(COLUMNS="80"), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if "runs" not in line]
    assert max(map(len, table)) <= 80
    assert "Diagnosis" in done.stdout
    assert "/5" in done.stdout  # k/n


def test_errors_for_people_have_no_traceback(tmp_path: Path) -> None:
    for arguments in (
        ["run", "--model", "opnai/x"],
        ["run", "--model", "baseline/pixels", "--benchmark", "nosuch"],
        ["run", "--model", "baseline/first", "--benchmark", "scale-vqa"],
        ["run", "--model", "baseline/first", "--condition", "ful"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "scalevqa_eval", *arguments],
            env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2, (arguments, done.stderr)
        assert "\nError: " in f"\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_a_server_without_log_probabilities_stops_the_run(tmp_path: Path, server: Server) -> None:
    file = question_file(tmp_path, sets=2, each=5)
    server.answer = lambda seen: "B"
    run = command(file, server, tmp_path / "runs", "--score", "logprobs")
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "leave out --score logprobs" in done.stderr
    assert "10/10 questions have no answer" in done.stdout


def test_a_price_file_that_cannot_be_read_is_said_before_the_first_request(
    tmp_path: Path, server: Server
) -> None:
    file = question_file(tmp_path, sets=1, each=2)
    run = command(file, server, tmp_path / "runs")
    broken = environment(SCALEVQA_PRICES=str(tmp_path / "none.yaml"))
    done = subprocess.run(run, env=broken, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
    assert not server.seen
