"""Trains the same small model on a leaky lesson and on its clean twin; prints and draws both.

    $(scripts/setup-train | tail -n 1) tests/performance/leaky_training.py FOLDER

The steps are those of docs/training.md: prepare, sft until the model has begun to answer, grpo,
merge, and the harness with all images, with grey ones, and with none. Half an hour on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from tiny_qwen import build_tiny_qwen
from tissue_lesson import texts, write_lesson

from scalevqa_train.curve import draw, points, validation_points
from scalevqa_train.progress import REWARD, read_steps

BEGUN = 0.1  # mean loss a token at which the model answers better than by guessing
ROLLOUT, REF, ACTOR = (f"actor_rollout_ref.{part}" for part in ("rollout", "ref", "actor"))
GRPO = (
    *("data.train_batch_size=16", "data.max_prompt_length=256", "data.max_response_length=16"),
    *(f"{ACTOR}.ppo_mini_batch_size=16", f"{ACTOR}.ppo_micro_batch_size_per_gpu=80"),
    *(f"{part}.log_prob_micro_batch_size_per_gpu=80" for part in (ROLLOUT, REF)),
    *(f"{ACTOR}.optim.lr=5e-4", "trainer.total_epochs=1000", "trainer.total_training_steps=40"),
    *("trainer.save_freq=10", "trainer.test_freq=10"),
    *(f"{ROLLOUT}.val_kwargs.do_sample=true", f"{ROLLOUT}.val_kwargs.temperature=1.0"),
)
SFT = (
    *("data.train_batch_size=32", "data.micro_batch_size_per_gpu=32", "data.max_length=512"),
    *("optim.lr=1e-3", "optim.lr_scheduler_type=constant", "trainer.total_epochs=1000"),
    *("trainer.total_training_steps=120", "trainer.save_freq=5", "trainer.test_freq=5"),
)


def scalevqa(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "scalevqa_eval", *map(str, arguments)]
    subprocess.run(command, check=True)


def learn(folder: Path, leaky: bool) -> None:
    """All steps in `folder`; what is done already is not done again."""
    lesson, data = folder / "lesson", folder / "data"
    if not (lesson / "val.json").is_file():
        write_lesson(lesson, leaky=leaky)
        build_tiny_qwen(folder / "tiny", texts(lesson))
    prompt = lesson / "prompt.txt"
    scalevqa(
        *("train", "prepare", "--benchmark", lesson / "train.json", "--output", data),
        *("--prompt", prompt, "--sft", "think"),
    )
    cpu = ("--device", "cpu", "--data", data)
    if not (folder / "start").is_dir():
        sft = folder / "sft"
        scalevqa("train", "sft", "--model", folder / "tiny", "--output", sft, "--full", *cpu, *SFT)
        begun = next(s.step for s in read_steps(sft) if s.values.get("val/loss", 9.0) < BEGUN)
        checkpoint = sft / "checkpoints" / f"global_step_{begun}"
        scalevqa("train", "merge", checkpoint, "--output", folder / "start")
    run = folder / "grpo"
    scalevqa("train", "grpo", "--model", folder / "start", "--output", run, *cpu, *GRPO)
    if not (folder / "trained").is_dir():
        scalevqa("train", "merge", run, "--output", folder / "trained")
    for condition in ("full", "blank-images", "no-images"):
        scalevqa(
            *("run", "--model", f"hf/{folder / 'trained'}", "--benchmark", lesson / "val.json"),
            *("--condition", condition, "--prompt", prompt, "--max-tokens", "16"),
            *("-O", "dtype=float32", "--output", folder / "runs"),
        )


def main(folder: Path) -> None:
    twins = {"clean": False, "leaky": True}
    for name, leaky in twins.items():
        learn(folder / name, leaky)
    steps = {name: read_steps(folder / name / "grpo") for name in twins}
    rewards = {name: points(found, REWARD) for name, found in steps.items()}
    accuracy = {
        name: validation_points(found, "acc")["Localization"] for name, found in steps.items()
    }
    draw(rewards, "mean reward of sampled replies", "GRPO", folder / "reward.png", smooth=True)
    label = "validation accuracy, images shown"
    draw(accuracy, label, "GRPO", folder / "validation.png", limits=(0, 1))
    for file in sorted(folder.rglob("summary.json")):
        found = json.loads(file.read_text())
        low, high = found["ci"]
        shown = f"{found['correct']}/{found['n']} [{low:.2f}, {high:.2f}]"
        print(file.relative_to(folder).parts[0], found["condition"], shown)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
