"""verl itself: a very small Qwen2.5-VL learns to look, through the commands that users type.

    prepare → sft (a short start) → grpo, killed in the middle and continued → merge → run

Needs the train environment (scripts/setup-train); about ten minutes on two cores. The tests share
one training run and build on each other in the order in which they stand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pytest
from scipy.stats import kendalltau

from scalevqa_train.checkpoints import find_checkpoints, last_whole
from scalevqa_train.progress import REWARD, read_steps

STEPS, SAVED_EVERY = 50, 10
SFT_STEPS = 120
# Mean loss a token of the SFT targets while letters are still guessed (ln 4 over 11 to 12 tokens).
# Well below it the model has begun to look.
GUESSING = 0.121

SMALL = (
    *("data.train_batch_size=16", "data.max_prompt_length=256", "data.max_response_length=16"),
    *("actor_rollout_ref.actor.ppo_mini_batch_size=16",),
    *("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=80",),
    *("actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=80",),
    *("actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=80",),
    *("actor_rollout_ref.actor.optim.lr=3e-4", "trainer.total_epochs=1000"),
    *(f"trainer.total_training_steps={STEPS}", f"trainer.save_freq={SAVED_EVERY}"),
    *("trainer.test_freq=10", "actor_rollout_ref.rollout.val_kwargs.do_sample=true"),
    "actor_rollout_ref.rollout.val_kwargs.temperature=1.0",
)


@pytest.fixture(scope="module", autouse=True)
def _environment() -> None:
    if util.find_spec("verl") is None or util.find_spec("torch") is None:
        reason = "the train environment is missing: run with the Python of scripts/setup-train"
        if os.environ.get("SCALEVQA_REQUIRE_TRAIN"):
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass
class Lesson:
    """Where everything lies."""

    folder: Path

    @property
    def questions(self) -> Path:
        return self.folder / "lesson" / "val.json"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "scalevqa_eval", *arguments]

    def environment(self) -> dict[str, str]:
        own = {"OMP_NUM_THREADS": "1", "SCALEVQA_CACHE": str(self.folder / "cache")}
        return {**os.environ, **own, "HF_HUB_OFFLINE": "1"}

    def run(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        log = self.folder / "sft" / "train.log"
        assert (done.returncode != 0) == fails, done.stdout + done.stderr + _end(log)
        return done.stdout + done.stderr

    def grpo(self, *more: str) -> list[str]:
        places = ("--model", "start", "--data", "data", "--output", "grpo", "--device", "cpu")
        return self.command("train", "grpo", *places, *SMALL, *more)

    def score(self, model: str, condition: str) -> tuple[float, tuple[float, float]]:
        """Accuracy of sampled replies on the held-out slides and its interval, by the harness.

        Sampled, because that is what GRPO trains: greedy replies hide how sure a model is.
        """
        output = self.folder / "runs" / f"{model}-{condition}"
        self.run(
            *("run", "--model", f"hf/{model}", "--benchmark", str(self.questions)),
            *("--condition", condition, "--prompt", str(self.folder / "lesson" / "prompt.txt")),
            *("--output", str(output), "--max-tokens", "16", "--temperature", "1"),
            *("-O", "dtype=float32"),
        )
        (summary,) = output.rglob("summary.json")
        found = json.loads(summary.read_text())
        assert found["complete"]
        return found["accuracy"], tuple(found["ci"])


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:] if log.is_file() else ""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lesson]:
    """Questions, a model that knows nothing, and the prepared data."""
    from tiny_qwen import build_tiny_qwen
    from tissue_lesson import texts, write_lesson

    made = Lesson(tmp_path_factory.mktemp("lesson"))
    write_lesson(made.folder / "lesson")
    build_tiny_qwen(made.folder / "tiny", texts(made.folder / "lesson"))
    yield made
    shutil.rmtree(made.folder, ignore_errors=True)


def test_prepare_is_checked_with_verls_own_data_set(lesson: Lesson) -> None:
    said = lesson.run(
        *("train", "prepare", "--benchmark", "lesson/train.json", "--output", "data"),
        *("--prompt", "lesson/prompt.txt", "--sft", "think", "--blocks"),
        *("--model", "tiny", "--max-prompt-length", "256"),
    )
    assert "train: 192 questions of 48 slides" in said
    about = json.loads((lesson.folder / "data" / "data.json").read_text())
    assert about["tokens"]["splits"]["train"]["over_limit"] == []
    assert about["files"]["train.parquet"]["rows"] == 192


def test_wrong_requests_end_at_once_with_one_line(lesson: Lesson) -> None:
    begin = time.monotonic()
    said = lesson.run(*lesson.grpo("trainer.total_epoch=3")[3:], fails=True)
    assert said.strip().splitlines()[-1].endswith("did you mean trainer.total_epochs?")
    assert time.monotonic() - begin < 60  # a hang, not a measurement
    assert not (lesson.folder / "grpo").exists()


def test_a_short_start_by_sft(lesson: Lesson) -> None:
    lesson.run(
        *("train", "sft", "--model", "tiny", "--data", "data", "--output", "sft", "--full"),
        *("--device", "cpu", "data.train_batch_size=32", "data.micro_batch_size_per_gpu=32"),
        *("data.max_length=512", "optim.lr=1e-3", "optim.lr_scheduler_type=constant"),
        *(f"trainer.total_training_steps={SFT_STEPS}", "trainer.total_epochs=1000"),
        *("trainer.save_freq=5", "trainer.test_freq=5"),
    )
    losses = {s.step: s.values["val/loss"] for s in read_steps(lesson.folder / "sft")
              if "val/loss" in s.values}  # fmt: skip
    begun = [step for step, loss in losses.items() if loss < 0.8 * GUESSING]
    assert begun, f"SFT did not leave guessing: {losses}"
    chosen = find_checkpoints(lesson.folder / "sft" / "checkpoints")[begun[0]]
    lesson.run("train", "merge", str(chosen), "--output", "start")


def test_a_killed_run_goes_on_where_it_was(lesson: Lesson) -> None:
    run = lesson.folder / "grpo"
    log = (lesson.folder / "grpo.log").open("wb")
    with (
        log,
        subprocess.Popen(
            lesson.grpo(), cwd=lesson.folder, env=lesson.environment(), stdout=log, stderr=log
        ) as process,
    ):
        while last_whole(run / "checkpoints") is None:
            assert process.poll() is None, (lesson.folder / "grpo.log").read_text() + _end(
                run / "train.log"
            )
            time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
    whole = last_whole(run / "checkpoints")
    assert whole is not None
    # What a kill in the middle of writing would leave: part of a checkpoint, named as the newest.
    torn = run / "checkpoints" / f"global_step_{whole[0] + 1}"
    shutil.copytree(whole[1], torn)
    weights = next(torn.rglob("model_world_size_*.pt"))
    weights.write_bytes(weights.read_bytes()[:1000])
    (run / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("")
    while "another process trains" in (said := _try(lesson)):
        time.sleep(1)  # the trainer's processes are still ending
    assert f"going on from step {whole[0]}" in said
    assert "incomplete" in said
    assert re.search(rf"step {STEPS}/{STEPS} .*reward", said), said


def _try(lesson: Lesson) -> str:
    done = subprocess.run(
        lesson.grpo(),
        cwd=lesson.folder,
        env=lesson.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    log = _end(lesson.folder / "grpo" / "train.log")
    assert done.returncode == 0 or "another process trains" in said, said + log
    return said


def test_the_reward_rises(lesson: Lesson) -> None:
    steps = read_steps(lesson.folder / "grpo")
    rewards = [value for step in steps if (value := step.first(REWARD)) is not None]
    # The kill may come between the writing of a checkpoint and that of its step's numbers.
    assert STEPS - 1 <= len(rewards) <= STEPS
    # By order, not by size: where SFT ended, and so what is left to learn, differs by machine.
    rise = kendalltau(range(len(rewards)), rewards, alternative="greater")
    assert rise.pvalue < 0.01, rewards
    differences = [s.values.get("training/rollout_probs_diff_mean", 0.0) for s in steps]
    assert max(differences) < 0.005, "rollouts were not drawn from the trained weights"


def test_the_merged_model_looks_at_the_images(lesson: Lesson) -> None:
    lesson.run("train", "merge", "grpo", "--output", "trained")
    for name in ("README.md", "reward.png", "validation.png", "training.json"):
        assert (lesson.folder / "trained" / name).is_file()
    _, start = lesson.score("start", "full")
    full, trained = lesson.score("trained", "full")
    assert full > start[1], (full, start)
    for condition in ("no-images", "blank-images"):
        blind, _ = lesson.score("trained", condition)
        assert blind < trained[0], (condition, blind, trained)
        assert blind <= 0.4
