"""A checkpoint of FSDP shards → a Hugging Face model directory that the harness evaluates.

verl's own merger joins the shards (in bfloat16); a LoRA is joined with its base by PEFT. Shards are
pickled by torch, as verl writes them: merge only what you trained.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_train.checkpoints import defects, find_checkpoints, last_whole
from scalevqa_train.curve import draw_run
from scalevqa_train.launch import TrainingFailed
from scalevqa_train.model_card import write_card

NEEDED = ("config.json", "tokenizer_config.json")
PROCESSOR = ("preprocessor_config.json", "processor_config.json")


def merge(
    checkpoint: Path,
    output: Path,
    evaluations: Sequence[Path] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the model of `checkpoint` (global_step_N, or a run: its newest whole one) to `output`.

    Raises UsageError for what is no whole checkpoint, and if `output` is not empty;
    TrainingFailed if verl's merger fails. `output` appears at the end, in one step.
    """
    chosen, run = _choose(checkpoint)
    if output.exists() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty: choose another --output")
    shards = chosen / "actor" if (chosen / "actor").is_dir() else chosen
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _join_shards(shards, part, say)
        adapter = part / "lora_adapter"
        if adapter.is_dir():
            say("joining the LoRA with its base model")
            _join_adapter(part, adapter)
        _complete(part, shards / "huggingface")
        _describe(part, output.name, run, chosen, evaluations)
        if output.exists():
            output.rmdir()
        part.replace(output)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return output


def _choose(path: Path) -> tuple[Path, Path | None]:
    """A whole checkpoint, and the directory of the run that it belongs to."""
    if not path.is_dir():
        raise UsageError(f"no checkpoint {path}: give a run's directory or its global_step_N")
    for folder in (path / "checkpoints", path):
        if find_checkpoints(folder):
            last = last_whole(folder)
            if last is None:
                raise UsageError(f"{folder} holds no whole checkpoint")
            return last[1], _run_of(last[1])
    problems = list(defects(path))
    if problems:
        raise UsageError(f"{path} is no whole checkpoint: {'; '.join(problems[:3])}")
    return path, _run_of(path)


def _run_of(checkpoint: Path) -> Path | None:
    run = checkpoint.resolve().parent.parent
    return run if (run / "run.json").is_file() else None


def _join_shards(shards: Path, target: Path, say: Callable[[str], None]) -> None:
    say(f"joining the shards of {shards}")
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    done = subprocess.run(  # noqa: S603  (our own interpreter and arguments)
        [*command, "--local_dir", str(shards), "--target_dir", str(target)],
        env={**os.environ, "VERL_PLATFORM": "cpu", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        raise TrainingFailed(f"verl's merger failed on {shards}: {''.join(last)}")


def _join_adapter(model: Path, adapter: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    base = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.bfloat16)
    joined = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    for old in model.glob("*.safetensors*"):
        old.unlink()
    joined.save_pretrained(model)
    shutil.rmtree(adapter)


def _complete(model: Path, source: Path) -> None:
    """Tokenizer, processor and chat template of the checkpoint, where the merger left them out."""
    if source.is_dir():
        for file in source.iterdir():
            if file.is_file() and not (model / file.name).exists():
                shutil.copy2(file, model / file.name)
    missing = [name for name in NEEDED if not (model / name).is_file()]
    if not any((model / name).is_file() for name in PROCESSOR):
        missing.append(PROCESSOR[0])
    if missing or not any(model.glob("*.safetensors")):
        raise DataError(f"the merged model lacks {', '.join(missing) or 'weights'}")


def _describe(
    model: Path, name: str, run: Path | None, checkpoint: Path, evaluations: Sequence[Path]
) -> None:
    about: dict[str, Any] = {}
    pictures: list[Path] = []
    if run is not None:
        about = json.loads((run / "run.json").read_text("utf-8"))
        drawn = draw_run(run, model)
        pictures = [path for path in drawn if path.suffix == ".png"]
        (model / "curve.html").unlink(missing_ok=True)
        shutil.copy2(run / "run.json", model / "training.json")
    write_card(model / "README.md", name, about, checkpoint.name, pictures, evaluations)
