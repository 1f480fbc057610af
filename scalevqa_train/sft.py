"""SFT by verl's own trainer, `verl.trainer.sft_trainer`: the LoRA baseline, or all weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalevqa_eval import __version__
from scalevqa_eval.errors import UsageError
from scalevqa_train import preflight
from scalevqa_train.checkpoints import last_whole
from scalevqa_train.launch import locked, run_trainer
from scalevqa_train.prepare import read_about
from scalevqa_train.progress import next_metrics_file, reporter
from scalevqa_train.run_directory import (
    check_same_run,
    environment,
    resume_settings,
    write_record,
)
from scalevqa_train.settings import (
    SFT,
    Preset,
    Setting,
    compose,
    load_preset,
    merge,
    parse_override,
    quote,
    resolved,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for. `full` trains all weights instead of a LoRA."""

    model: str
    data: Path
    output: Path
    preset: str = "sft-scalereasoner"
    full: bool = False
    device: str = "gpu"
    gpus: int = 1
    resume: bool = True
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked run: the settings that verl will be given, and how many steps it will do."""

    request: Request
    preset: Preset
    settings: tuple[Setting, ...]
    config: Any
    about: Mapping[str, Any]
    steps: int


def plan(request: Request) -> Plan:
    """Compose and check. Raises UsageError (DataError, MissingExtra)."""
    preset = load_preset(request.preset)
    if preset.reward is not None:
        raise UsageError(f"the preset {preset.name} is one for GRPO")
    own = [parse_override(text) for text in request.overrides]
    settings = merge(
        preset.settings,
        [Setting("model.lora_rank", 0, "--full")] if request.full else (),
        _places(request),
        cpu_settings() if request.device == "cpu" else (),
        own,
    )
    config = compose(SFT, settings)
    preflight.check_model(request.model)
    about = read_about(request.data)
    if about["target"] is None:
        raise UsageError(f"{request.data} has no SFT targets: prepare it with --sft think")
    rows = about["files"]["sft_train.parquet"]["rows"]
    batch = config.data.train_batch_size
    if rows < batch:
        raise UsageError(
            f"{rows} training questions do not fill one batch of {batch}:"
            f" data.train_batch_size={rows} or less"
        )
    steps = config.trainer.total_training_steps or rows // batch * config.trainer.total_epochs
    preflight.check_device(request.device, request.gpus, 1)
    return Plan(request, preset, settings, config, about, int(steps))


def _places(request: Request) -> list[Setting]:
    output, data = request.output.resolve(), request.data.resolve()
    path = Path(request.model).expanduser()
    values = {
        "data.train_files": str(data / "sft_train.parquet"),
        "data.val_files": str(data / "sft_val.parquet"),
        "model.path": str(path.resolve()) if path.is_dir() else request.model,
        "trainer.default_local_dir": str(output / "checkpoints"),
        "trainer.project_name": "scalevqa",
        "trainer.experiment_name": output.name,
        "trainer.logger": ["console", "file"],
        "trainer.n_gpus_per_node": request.gpus,
    }
    return [Setting(key, value, "this run") for key, value in values.items()]


def cpu_settings() -> list[Setting]:
    """What the CPU needs: no GPU kernels, float32."""
    values: dict[str, Any] = {
        "trainer.device": "cpu",
        "data.num_workers": 0,
        "model.external_lib": "scalevqa_train.cpu.engine",
        "model.use_remove_padding": False,
        "model.enable_gradient_checkpointing": False,
        "+model.override_config.attn_implementation": "sdpa",
        "engine.strategy": "fsdp2",
        "engine.model_dtype": "fp32",
        "engine.use_torch_compile": False,
        "+engine.mixed_precision.param_dtype": "fp32",
        "+engine.mixed_precision.reduce_dtype": "fp32",
        "+engine.mixed_precision.buffer_dtype": "fp32",
    }
    return [Setting(key, value, "--device cpu") for key, value in values.items()]


def train(plan: Plan, say: Callable[[str], None], start: Callable[..., None] = run_trainer) -> Path:
    """Run the plan to its end and return the last checkpoint's directory.

    Raises RunLocked, TrainingFailed, or UsageError if the directory belongs to another run.
    """
    output = plan.request.output.resolve()
    with locked(output) as lock:
        check_same_run(output, record(plan))
        model = preflight.check_model(plan.request.model)
        preflight.check_space(output, model, str(plan.config.engine.model_dtype))
        resume, first = resume_settings(output / "checkpoints", plan.request.resume, say)
        if first < plan.steps:
            write_record(output, record(plan))
            metrics = next_metrics_file(output)
            say(f"{plan.steps - first} steps to do; the trainer starts (log: {output}/train.log)")
            command = [
                *("-m", "torch.distributed.run", "--standalone", "--nnodes=1"),
                f"--nproc_per_node={plan.request.gpus}",
                *("-m", "verl.trainer.sft_trainer"),
                *(s.override for s in merge(plan.settings, resume)),
                f"hydra.run.dir={quote(str(output / 'hydra'))}",
                "hydra.output_subdir=null",
            ]
            start(
                command,
                environment(plan.request.device, metrics),
                output,
                metrics,
                lock,
                reporter(plan.steps, say),
            )
    last = last_whole(output / "checkpoints")
    if last is None:
        raise UsageError("the run ended without a checkpoint: trainer.save_freq is not set")
    say(f"done: {last[1]}")
    return last[1]


def record(plan: Plan) -> dict[str, Any]:
    """What run.json holds."""
    return {
        "kind": "sft",
        "version": __version__,
        "model": plan.request.model,
        "preset": plan.preset.name,
        "reward": None,
        "device": plan.request.device,
        "steps": plan.steps,
        "data": {key: plan.about[key] for key in ("benchmark", "revision", "splits", "files")},
        "prompt": plan.about["prompt"],
        "target": plan.about["target"],
        "dropped": plan.about["dropped"],
        "lora": None if plan.request.full else int(plan.config.model.lora_rank),
        "settings": [
            {"key": s.key, "value": json.loads(json.dumps(s.value)), "source": s.source}
            for s in plan.settings
        ],
        "config": resolved(plan.config),
    }
