"""What can be found wrong with a training run before Ray starts; one clear line each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, MissingExtra, UsageError
from scalevqa_train.rewards import Reward

# Bytes per parameter in a checkpoint of FSDP shards: weights and two Adam moments.
_BYTES = {"fp32": 12, "float32": 12, "bf16": 6, "bfloat16": 6, "fp16": 6}


def check_device(device: str, gpus_per_node: int, nodes: int) -> None:
    """Raises UsageError if the GPUs that are asked for are not there."""
    if device not in ("gpu", "cpu"):
        raise UsageError(f"a device is gpu or cpu, not {device!r}")
    if device == "cpu" or nodes > 1:
        return  # the GPUs of a cluster are Ray's to find
    try:
        import torch
    except ImportError:
        raise MissingExtra("scalevqa train", "train") from None
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not found:
        raise UsageError("there is no GPU here: add --device cpu to train on the CPU")
    if gpus_per_node > found:
        raise UsageError(f"{gpus_per_node} GPUs were asked for, {found} are here: --gpus-per-node")


def check_model(model: str) -> Path | None:
    """The directory of a local model, or None for one of the hub.

    Raises UsageError if it lacks what a vision-language policy needs.
    """
    path = Path(model).expanduser()
    if not path.is_dir():
        if model.startswith((".", "/", "~")) or model.count("/") != 1:
            raise UsageError(
                f"no model directory {model}: give a checkpoint's directory or a hub id"
            )
        return None
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{path} holds no config.json, so it is no model's directory") from None
    if not any((path / f).is_file() for f in ("preprocessor_config.json", "processor_config.json")):
        raise UsageError(
            f"{path} has no processor for images (preprocessor_config.json): copy it from the model"
            " that this one was made from"
        )
    if not any(path.glob("*.safetensors")):
        raise UsageError(f"{path} holds no weights (*.safetensors)")
    if "vision_config" not in config:
        raise UsageError(f"{path} is no vision-language model (its config has no vision_config)")
    return path


def check_reward(reward: Reward, directory: Path, about: Mapping[str, Any]) -> None:
    """Raises DataError if the rows do not hold what the reward reads."""
    if reward.answers != about["answers"]:
        kind = {"letter": "multiple-choice questions", "text": "open questions"}
        raise DataError(
            f"the reward {reward.name} is for {kind[reward.answers]}; {directory} holds"
            f" {kind[about['answers']]} of {about['benchmark']}"
        )
    import pyarrow.parquet as pq

    for split in ("train", "val"):
        file = directory / f"{split}.parquet"
        table = pq.read_table(file, columns=["reward_model", "extra_info"])
        for truth, info in zip(
            table["reward_model"].to_pylist(), table["extra_info"].to_pylist(), strict=True
        ):
            where = f"{file}: question {info.get('question_id')}"
            answer = truth["ground_truth"]
            if reward.answers == "letter" and answer not in (info.get("options") or ()):
                letters = "/".join(info.get("options") or ()) or "none"
                raise DataError(f"{where}: answer {answer!r} is none of its options ({letters})")
            if reward.reference and not (info.get("rationale") or "").strip():
                raise DataError(f"{where} has no reference reasoning, which {reward.name} needs")


def check_batches(config: Any, rows: int) -> int:
    """The number of steps of a run. Raises UsageError for sizes that verl fails on later."""
    actor, rollout, ref = (config.actor_rollout_ref[part] for part in ("actor", "rollout", "ref"))
    batch, repeat = config.data.train_batch_size, rollout.n
    ranks = config.trainer.nnodes * config.trainer.n_gpus_per_node
    if rows < batch:
        raise UsageError(
            f"{rows} training questions do not fill one batch of {batch}:"
            f" data.train_batch_size={rows} or less"
        )
    if batch * repeat % ranks:
        raise UsageError(f"{batch} questions · {repeat} rollouts do not divide among {ranks} ranks")
    share = batch * repeat // ranks
    sizes = {
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": (
            rollout.log_prob_micro_batch_size_per_gpu,
            rollout.log_prob_use_dynamic_bsz,
        ),
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": (
            ref.log_prob_micro_batch_size_per_gpu,
            ref.log_prob_use_dynamic_bsz,
        ),
    }
    if not actor.use_dynamic_bsz:
        mini = actor.ppo_mini_batch_size * repeat // ranks
        micro = actor.ppo_micro_batch_size_per_gpu
        if micro and mini % micro:
            _refuse("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", micro, mini)
    for key, (size, dynamic) in sizes.items():
        if size and not dynamic and share % size:
            _refuse(key, size, share)
    steps = config.trainer.total_training_steps
    return int(steps) if steps else rows // batch * config.trainer.total_epochs


def _refuse(key: str, size: int, rows: int) -> None:
    good = [n for n in range(1, rows + 1) if rows % n == 0 and n <= 2 * size]
    raise UsageError(
        f"{key}={size} does not divide the {rows} rows of a rank: take one of {good[-6:]}"
    )


def check_prompts(about: Mapping[str, Any], limit: int, note: Callable[[str], None]) -> None:
    """Say which prompts the trainer will leave out, if prepare has measured them."""
    for split, tokens in about.get("tokens", {}).get("splits", {}).items():
        over = tokens["over_limit"]
        if over and about["tokens"]["max_prompt_length"] >= limit:
            note(f"Warning: {len(over)} prompts of {split} are over {limit} tokens: not used")


def check_space(output: Path, model: Path | None, dtype: str) -> None:
    """Raises UsageError if not even one checkpoint fits on the disk."""
    if model is None:
        return
    weights = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    config = json.loads((model / "config.json").read_text("utf-8"))
    stored = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16")
    parameters = weights / (4 if stored == "float32" else 2)
    needed = int(parameters * _BYTES.get(dtype, 12))
    free = shutil.disk_usage(output).free
    if free < needed:
        raise UsageError(
            f"a checkpoint needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free under"
            f" {output}"
        )
