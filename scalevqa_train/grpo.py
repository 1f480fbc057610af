"""GRPO by verl's own trainer, `verl.trainer.main_ppo`: settings, checks, start, watch, resume.

A run's directory:
    run.json        what is trained on what with which settings, written before the start
    metrics/        verl's numbers, a file for each start
    checkpoints/    global_step_N, as verl writes them
    rollouts/ validation/   the replies that were scored, as verl writes them
    train.log       everything the trainer said
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalevqa_eval import __version__
from scalevqa_eval.errors import UsageError
from scalevqa_train import preflight
from scalevqa_train.checkpoints import find_checkpoints, last_whole
from scalevqa_train.launch import locked, run_trainer
from scalevqa_train.prepare import read_about
from scalevqa_train.progress import next_metrics_file, reporter
from scalevqa_train.rewards import get_reward
from scalevqa_train.run_directory import (
    check_same_run,
    environment,
    resume_settings,
    write_record,
)
from scalevqa_train.settings import (
    GRPO,
    Preset,
    Setting,
    compose,
    load_preset,
    merge,
    parse_override,
    quote,
    resolved,
)

ACTOR, ROLLOUT, REF = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "ref"))


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for."""

    model: str
    data: Path
    output: Path
    preset: str = "scalereasoner"
    reward: str | None = None
    device: str = "gpu"
    nodes: int | None = None
    gpus_per_node: int | None = None
    resume: bool = True
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked run: the settings that verl will be given, and how many steps it will do."""

    request: Request
    preset: Preset
    reward: str
    settings: tuple[Setting, ...]
    config: Any
    about: Mapping[str, Any]
    steps: int


def plan(request: Request, note: Callable[[str], None] = lambda _: None) -> Plan:
    """Compose and check everything that can be checked without starting anything.

    Raises UsageError (DataError, MissingExtra) with one line that says what to do.
    """
    preset = load_preset(request.preset)
    if preset.reward is None:
        raise UsageError(f"the preset {preset.name} is none for GRPO: it names no reward")
    reward = get_reward(request.reward or preset.reward)
    own = [parse_override(text) for text in request.overrides]
    settings = merge(
        preset.settings,
        _places(request, reward.module),
        cpu_settings() if request.device == "cpu" else (),
        _cluster(request),
        own,
    )
    config = compose(GRPO, settings)
    preflight.check_model(request.model)
    about = read_about(request.data)
    preflight.check_reward(reward, request.data, about)
    steps = preflight.check_batches(config, about["files"]["train.parquet"]["rows"])
    preflight.check_prompts(about, config.data.max_prompt_length, note)
    preflight.check_device(request.device, config.trainer.n_gpus_per_node, config.trainer.nnodes)
    return Plan(request, preset, reward.name, settings, config, about, steps)


def _places(request: Request, reward_module: str) -> list[Setting]:
    """Where things lie: what a preset cannot know."""
    output, data = request.output.resolve(), request.data.resolve()
    path = Path(request.model).expanduser()
    source = "this run"
    values = {
        "data.train_files": str(data / "train.parquet"),
        "data.val_files": str(data / "val.parquet"),
        "actor_rollout_ref.model.path": str(path.resolve()) if path.is_dir() else request.model,
        "reward.custom_reward_function.path": f"pkg://{reward_module}",
        "reward.custom_reward_function.name": "compute_score",
        "trainer.default_local_dir": str(output / "checkpoints"),
        "trainer.rollout_data_dir": str(output / "rollouts"),
        "trainer.validation_data_dir": str(output / "validation"),
        "trainer.project_name": "scalevqa",
        "trainer.experiment_name": output.name,
        "trainer.logger": ["console", "file"],
        "trainer.use_v1": True,
    }
    return [Setting(key, value, source) for key, value in values.items()]


def _cluster(request: Request) -> list[Setting]:
    settings = []
    if request.nodes is not None:
        settings.append(Setting("trainer.nnodes", request.nodes, "--nodes"))
        if request.nodes > 1:
            settings.append(Setting("+ray_kwargs.ray_init.address", "auto", "--nodes"))
    if request.gpus_per_node is not None:
        settings.append(
            Setting("trainer.n_gpus_per_node", request.gpus_per_node, "--gpus-per-node")
        )
    return settings


def cpu_settings() -> list[Setting]:
    """What the CPU needs: no GPU kernels, float32, one worker of each kind, generate rollouts."""
    values: dict[str, Any] = {
        "trainer.device": "cpu",
        "trainer.nnodes": 1,
        "trainer.n_gpus_per_node": 1,
        "trainer.balance_batch": False,
        "data.dataloader_num_workers": 0,
        "actor_rollout_ref.model.external_lib": "scalevqa_train.cpu.rollout",
        "actor_rollout_ref.model.use_remove_padding": False,
        "actor_rollout_ref.model.enable_gradient_checkpointing": False,
        "actor_rollout_ref.model.enable_activation_offload": False,
        "+actor_rollout_ref.model.override_config.attn_implementation": "sdpa",
        f"{ACTOR}.strategy": "fsdp2",
        f"{ROLLOUT}.name": "hf",
        f"{ROLLOUT}.dtype": "float32",
        f"{ROLLOUT}.free_cache_engine": False,
        f"+{ROLLOUT}.enable_sleep_mode": False,
        f"{ROLLOUT}.agent.num_workers": 1,
        f"{ROLLOUT}.max_num_seqs": 64,
        f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes": 64,
        "reward.num_workers": 1,
        "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        # Counts for Ray's bookkeeping: a logical GPU, and room for all actors on few cores.
        "ray_kwargs.ray_init.num_cpus": 16,
        "+ray_kwargs.ray_init.num_gpus": 1,
        "+ray_kwargs.ray_init.include_dashboard": False,
        "+ray_kwargs.ray_init.object_store_memory": 500_000_000,
    }
    for part in (ACTOR, REF):
        values |= {
            f"{part}.fsdp_config.model_dtype": "fp32",
            f"{part}.fsdp_config.param_offload": False,
            f"{part}.fsdp_config.use_torch_compile": False,
            f"{part}.use_torch_compile": False,
            f"+{part}.fsdp_config.mixed_precision.param_dtype": "fp32",
            f"+{part}.fsdp_config.mixed_precision.reduce_dtype": "fp32",
            f"+{part}.fsdp_config.mixed_precision.buffer_dtype": "fp32",
        }
    return [Setting(key, value, "--device cpu") for key, value in values.items()]


def train(
    plan: Plan,
    say: Callable[[str], None],
    start: Callable[..., None] = run_trainer,
) -> Path:
    """Run the plan to its end and return the last checkpoint's directory.

    The same command after a stop goes on from the newest whole checkpoint. Raises RunLocked,
    TrainingFailed, or UsageError if the directory belongs to another run.
    """
    output = plan.request.output.resolve()
    with ExitStack() as stack:
        lock = stack.enter_context(locked(output))
        check_same_run(output, record(plan))
        model = preflight.check_model(plan.request.model)
        dtype = str(plan.config.actor_rollout_ref.actor.fsdp_config.model_dtype)
        preflight.check_space(output, model, dtype)
        resume, first = resume_settings(output / "checkpoints", plan.request.resume, say)
        if first >= plan.steps:
            say(f"all {plan.steps} steps are done")
            return find_checkpoints(output / "checkpoints")[first]
        write_record(output, record(plan))
        settings = [*plan.settings, *resume]
        if plan.request.device == "cpu":
            # A path of its own: sockets need a short one, and another Ray may run here.
            temporary = stack.enter_context(_short_directory(output))
            settings.append(Setting("+ray_kwargs.ray_init._temp_dir", temporary, "--device cpu"))
        metrics = next_metrics_file(output)
        say(f"{plan.steps - first} steps to do; the trainer starts (log: {output / 'train.log'})")
        command = ["-m", "verl.trainer.main_ppo", *(s.override for s in merge(settings))]
        command += [f"hydra.run.dir={quote(str(output / 'hydra'))}", "hydra.output_subdir=null"]
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


@contextmanager
def _short_directory(run: Path) -> Iterator[str]:
    """A run's own directory for Ray, removed at the end, or at the next start after a kill."""
    mark = f"{hashlib.sha256(str(run).encode()).hexdigest()[:10]}-{os.getuid()}"
    path = Path(tempfile.gettempdir()) / f"ray-{mark}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)  # fails if anyone else holds the name
    try:
        yield str(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def record(plan: Plan) -> dict[str, Any]:
    """What run.json holds: enough to say later what was trained, on what, and how."""
    return {
        "kind": "grpo",
        "version": __version__,
        "model": plan.request.model,
        "preset": plan.preset.name,
        "reward": plan.reward,
        "device": plan.request.device,
        "steps": plan.steps,
        "data": {key: plan.about[key] for key in ("benchmark", "revision", "splits", "files")},
        "prompt": plan.about["prompt"],
        "settings": [
            {"key": s.key, "value": _plain(s.value), "source": s.source} for s in plan.settings
        ],
        "config": resolved(plan.config),
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def settings_table(plan: Plan) -> Sequence[tuple[str, str, str]]:
    """(key, value, source) of every setting that this package gives verl."""
    return [(s.key, s.override.partition("=")[2], s.source) for s in plan.settings]
