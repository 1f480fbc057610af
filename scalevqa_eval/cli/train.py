"""`scalevqa train …`: data, GRPO and SFT on verl, merge, curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from scalevqa_eval.cli.options import command
from scalevqa_eval.pages.terminal import say

_OVERRIDES = typer.Argument(help="Settings of verl, key=value, such as trainer.total_epochs=3.")
_DEVICE = typer.Option(help="gpu, or cpu to try a recipe or to test.")
_NODES = typer.Option(min=1, help="Nodes of a Ray cluster.  [default: the preset's]")
_GPUS = typer.Option(min=1, help="GPUs of each node.  [default: the preset's]")
_DRY = typer.Option("--dry-run", help="Check, print all settings with their sources, and stop.")


def register(app: typer.Typer) -> None:
    train = typer.Typer(
        help="Train a model: prepare, sft, grpo, merge, curve.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(train, "prepare", PrepareOptions, prepare)
    command(train, "grpo", GrpoOptions, grpo)
    command(train, "sft", SftOptions, sft)
    train.command("merge")(merge)
    train.command("curve")(curve)
    app.add_typer(train, name="train")


@dataclass(frozen=True)
class PrepareOptions:
    """Write a benchmark's train and validation split as verl's Parquet files."""

    output: Annotated[Path, typer.Option(help="Directory for the prepared data.")]
    benchmark: Annotated[str, typer.Option(help="A name, a card or a question file.")] = "demo"
    split: Annotated[str, typer.Option(help="Split to train on.")] = "train"
    val_split: Annotated[str, typer.Option(help="Split to validate on.")] = "val"
    data_dir: Annotated[Path | None, typer.Option(help="Where questions and images lie.")] = None
    dimension: Annotated[
        list[str] | None, typer.Option(help="Only this dimension. Repeat for several.")
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None
    prompt: Annotated[
        str | None, typer.Option(help="Prompt style or text file.  [default: the benchmark's]")
    ] = None
    images: Annotated[str, typer.Option(help="bytes (embedded) or paths.")] = "bytes"
    leak_scores: Annotated[
        Path | None, typer.Option(help="audit.json whose leak scores the reward may use.")
    ] = None
    exclude_leaky: Annotated[
        Path | None, typer.Option(help="audit.json; leave questions of high leak score out.")
    ] = None
    leak_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Leak score from which --exclude-leaky leaves out.")
    ] = 0.5
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Only questions that stand in option blocks.")
    ] = False
    sft: Annotated[
        str | None, typer.Option(help="Also SFT targets: think, or description+think.")
    ] = None
    descriptions: Annotated[
        Path | None, typer.Option(help="JSON: question id → description (SFT).")
    ] = None
    drop_sentences: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of each rationale to drop (SFT).")
    ] = 0.0
    model: Annotated[
        str | None, typer.Option(help="Model whose prompt lengths are checked with verl.")
    ] = None
    max_prompt_length: Annotated[int, typer.Option(min=1, help="In tokens.")] = 5120
    seed: Annotated[int, typer.Option(help="For dropped sentences.")] = 0


def prepare(options: PrepareOptions) -> None:
    from scalevqa_eval.data import load_benchmark
    from scalevqa_eval.prompts import load_style
    from scalevqa_train import prepare as work
    from scalevqa_train.leaks import read_leak_scores

    given = options
    train = load_benchmark(given.benchmark, given.split, given.data_dir, limit=given.limit)
    val = (
        train.load_split(given.val_split)
        if train.load_split is not None
        else load_benchmark(given.benchmark, given.val_split, given.data_dir)
    )
    audit = given.exclude_leaky or given.leak_scores
    choices = work.Choices(
        images=given.images,
        dimensions=tuple(given.dimension or ()),
        blocks=given.blocks,
        leaks=None if audit is None else read_leak_scores(audit),
        leak_limit=given.leak_limit if given.exclude_leaky is not None else None,
        target=given.sft,
        descriptions=None
        if given.descriptions is None
        else work.read_descriptions(given.descriptions),
        dropped=given.drop_sentences,
        seed=given.seed,
    )
    output, style = given.output, load_style(given.prompt or train.prompt)
    about = work.prepare(train, val, output, style, choices, say)
    if given.model is not None:
        from scalevqa_train.token_lengths import check_with_verl

        about = check_with_verl(output, about, given.model, given.max_prompt_length, say)
        work.write_about(output, about)
    else:
        say("Prompt lengths are unknown: add --model to check them with verl.")
    say(f"Next: scalevqa train grpo --model MODEL --data {output} --output RUN")


@dataclass(frozen=True)
class GrpoOptions:
    """Train by GRPO with verl. The same command continues a run that was stopped."""

    model: Annotated[str, typer.Option(help="Directory or hub id of the model to train.")]
    data: Annotated[Path, typer.Option(help="What `scalevqa train prepare` wrote.")]
    output: Annotated[Path, typer.Option(help="Directory of the run.")]
    overrides: Annotated[list[str] | None, _OVERRIDES] = None
    preset: Annotated[str, typer.Option(help="scalereasoner, grounded, or a YAML file.")] = (
        "scalereasoner"
    )
    reward: Annotated[str | None, typer.Option(help="scalereasoner, grounded, pathreasoner.")] = (
        None
    )
    device: Annotated[str, _DEVICE] = "gpu"
    nodes: Annotated[int | None, _NODES] = None
    gpus_per_node: Annotated[int | None, _GPUS] = None
    resume: Annotated[bool, typer.Option(help="Go on from the last whole checkpoint.")] = True
    dry_run: Annotated[bool, _DRY] = False


def grpo(options: GrpoOptions) -> None:
    from scalevqa_train import grpo as work

    request = work.Request(**_settings(options))
    plan = work.plan(request, say)
    if options.dry_run:
        for key, value, source in work.settings_table(plan):
            say(f"{key}={value}    # {source}")
        say(f"{plan.steps} steps; nothing was started")
        return
    say(f"{plan.preset.title}; reward {plan.reward}; {plan.steps} steps")
    checkpoint = work.train(plan, say)
    say(f"Next: scalevqa train merge {checkpoint} --output MODEL")


@dataclass(frozen=True)
class SftOptions:
    """Train on the rationales (SFT) with verl. The same command continues a stopped run."""

    model: Annotated[str, typer.Option(help="Directory or hub id of the model to train.")]
    data: Annotated[Path, typer.Option(help="What `scalevqa train prepare --sft …` wrote.")]
    output: Annotated[Path, typer.Option(help="Directory of the run.")]
    overrides: Annotated[list[str] | None, _OVERRIDES] = None
    preset: Annotated[str, typer.Option(help="sft-scalereasoner or a YAML file.")] = (
        "sft-scalereasoner"
    )
    full: Annotated[bool, typer.Option("--full", help="Train all weights, not a LoRA.")] = False
    device: Annotated[str, _DEVICE] = "gpu"
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of this machine.")] = 1
    resume: Annotated[bool, typer.Option(help="Go on from the last whole checkpoint.")] = True
    dry_run: Annotated[bool, _DRY] = False


def sft(options: SftOptions) -> None:
    from scalevqa_train import sft as work

    request = work.Request(**_settings(options))
    plan = work.plan(request)
    if options.dry_run:
        for setting in plan.settings:
            say(f"{setting.override}    # {setting.source}")
        say(f"{plan.steps} steps; nothing was started")
        return
    say(f"{plan.preset.title}; {plan.steps} steps")
    checkpoint = work.train(plan, say)
    say(f"Next: scalevqa train merge {checkpoint} --output MODEL")


def _settings(options: GrpoOptions | SftOptions) -> dict[str, Any]:
    """The options by name, as the requests of scalevqa_train have them."""
    given = asdict(options)
    del given["dry_run"]
    return {**given, "overrides": tuple(given["overrides"] or ())}


def merge(
    checkpoint: Annotated[Path, typer.Argument(help="global_step_N, or a run (its last one).")],
    output: Annotated[Path, typer.Option(help="Directory for the model.")],
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="Run of `scalevqa run` to show in the model card.")
    ] = None,
) -> None:
    """Write a checkpoint as a Hugging Face model directory with a model card."""
    from scalevqa_train import merge as work

    directory = work.merge(checkpoint, output, tuple(evaluation or ()), say)
    say(f"Next: scalevqa run --model hf/{directory} --benchmark B")


def curve(
    run: Annotated[Path, typer.Argument(help="Directory of a run.")],
    output: Annotated[
        Path | None, typer.Option(help="Directory for the pictures.  [default: the run's]")
    ] = None,
) -> None:
    """Draw a run's reward and validation accuracy as PNG pictures and a page."""
    from scalevqa_train import curve as work

    for path in work.draw_run(run, output or run):
        say(path)
