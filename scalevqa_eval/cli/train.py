"""`scalevqa train …`: data, GRPO and SFT on verl, merge, curves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from scalevqa_eval.cli.options import application, command
from scalevqa_eval.errors import MissingExtra
from scalevqa_eval.pages.terminal import say

app = application("Train a model: prepare, sft, grpo, merge, curve.")


@dataclass(frozen=True)
class PrepareOptions:
    """Write a benchmark's train and validation split as verl's Parquet files."""

    output: Annotated[Path, Option(help="Directory for the prepared data.")]
    benchmark: Annotated[str, Option(help="A name, a card or a question file.")] = "demo"
    split: Annotated[str, Option(help="Split to train on.")] = "train"
    val_split: Annotated[str, Option(help="Split to validate on.")] = "val"
    data_dir: Annotated[Path | None, Option(help="Where questions and images lie.")] = None
    dimension: Annotated[
        list[str] | None, Option(help="Only this dimension. Repeat for several.")
    ] = None
    limit: Annotated[int | None, Option(min=1, help="Only the first N questions.")] = None
    prompt: Annotated[
        str | None, Option(help="Prompt style or text file.  [default: the benchmark's]")
    ] = None
    images: Annotated[str, Option(help="bytes (embedded) or paths.")] = "bytes"
    leak_scores: Annotated[
        Path | None, Option(help="audit.json whose leak scores the reward may use.")
    ] = None
    exclude_leaky: Annotated[
        Path | None, Option(help="audit.json; leave questions of high leak score out.")
    ] = None
    leak_limit: Annotated[
        float, Option(min=0, max=1, help="Leak score from which --exclude-leaky leaves out.")
    ] = 0.5
    blocks: Annotated[
        bool, Option("--blocks", help="Only questions that stand in option blocks.")
    ] = False
    sft: Annotated[str | None, Option(help="Also SFT targets: think, or description+think.")] = None
    descriptions: Annotated[Path | None, Option(help="JSON: question id → description (SFT).")] = (
        None
    )
    drop_sentences: Annotated[
        float, Option(min=0, max=0.99, help="Share of each rationale to drop (SFT).")
    ] = 0.0
    model: Annotated[
        str | None, Option(help="Model whose prompt lengths are checked with verl.")
    ] = None
    max_prompt_length: Annotated[int, Option(min=1, help="In tokens.")] = 5120
    seed: Annotated[int, Option(help="For dropped sentences.")] = 0


def prepare(given: PrepareOptions) -> None:
    from importlib.util import find_spec

    from scalevqa_eval.data import load_benchmark
    from scalevqa_eval.prompts import load_style
    from scalevqa_train import prepare as work
    from scalevqa_train.leaks import read_leak_scores

    if given.model is not None and find_spec("verl") is None:
        raise MissingExtra("--model", "train")
    train = load_benchmark(given.benchmark, given.split, given.data_dir, limit=given.limit)
    val = (
        train.load_split(given.val_split)
        if train.load_split is not None
        else load_benchmark(given.benchmark, given.val_split, given.data_dir)
    )
    audit, described = given.exclude_leaky or given.leak_scores, given.descriptions
    choices = work.Choices(
        images=given.images,
        dimensions=tuple(given.dimension or ()),
        blocks=given.blocks,
        leaks=None if audit is None else read_leak_scores(audit),
        leak_limit=given.leak_limit if given.exclude_leaky is not None else None,
        target=given.sft,
        descriptions=None if described is None else work.read_descriptions(described),
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


command(app, "prepare", PrepareOptions, prepare)


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What both ways to train take."""

    model: Annotated[str, Option(help="Directory or hub id of the model to train.")]
    data: Annotated[Path, Option(help="What `scalevqa train prepare` wrote (--sft for sft).")]
    output: Annotated[Path, Option(help="Directory of the run.")]
    overrides: Annotated[
        list[str] | None,
        Argument(help="Settings of verl, key=value, such as trainer.total_epochs=3."),
    ] = None
    device: Annotated[str, Option(help="gpu, or cpu to try a recipe or to test.")] = "gpu"
    resume: Annotated[bool, Option(help="Go on from the last whole checkpoint.")] = True
    dry_run: Annotated[
        bool, Option("--dry-run", help="Check, print all settings with their sources, and stop.")
    ] = False

    def request(self) -> dict[str, Any]:
        """The options by name, as the requests of scalevqa_train have them."""
        given = asdict(self)
        del given["dry_run"]
        return {**given, "overrides": tuple(given["overrides"] or ())}


@dataclass(frozen=True, kw_only=True)
class GrpoOptions(_Options):
    """Train by GRPO with verl. The same command continues a run that was stopped."""

    preset: Annotated[str, Option(help="scalereasoner, grounded, or a YAML file.")] = (
        "scalereasoner"
    )
    reward: Annotated[str | None, Option(help="scalereasoner, grounded, pathreasoner.")] = None
    nodes: Annotated[
        int | None, Option(min=1, help="Nodes of a Ray cluster.  [default: the preset's]")
    ] = None
    gpus_per_node: Annotated[
        int | None, Option(min=1, help="GPUs of each node.  [default: the preset's]")
    ] = None


def grpo(given: GrpoOptions) -> None:
    from scalevqa_train import grpo as work

    plan = work.plan(work.Request(**given.request()), say)
    if given.dry_run:
        settings = (f"{key}={value}    # {source}" for key, value, source in
                    work.settings_table(plan))  # fmt: skip
        _dry(settings, plan.steps)
        return
    say(f"{plan.preset.title}; reward {plan.reward}; {plan.steps} steps")
    _next(work.train(plan, say))


command(app, "grpo", GrpoOptions, grpo)


@dataclass(frozen=True, kw_only=True)
class SftOptions(_Options):
    """Train on the rationales (SFT) with verl. The same command continues a stopped run."""

    preset: Annotated[str, Option(help="sft-scalereasoner or a YAML file.")] = "sft-scalereasoner"
    full: Annotated[bool, Option("--full", help="Train all weights, not a LoRA.")] = False
    gpus: Annotated[int, Option(min=1, help="GPUs of this machine.")] = 1


def sft(given: SftOptions) -> None:
    from scalevqa_train import sft as work

    plan = work.plan(work.Request(**given.request()))
    if given.dry_run:
        _dry((f"{one.override}    # {one.source}" for one in plan.settings), plan.steps)
        return
    say(f"{plan.preset.title}; {plan.steps} steps")
    _next(work.train(plan, say))


command(app, "sft", SftOptions, sft)


def _dry(settings: Iterable[str], steps: int) -> None:
    for line in settings:
        say(line)
    say(f"{steps} steps; nothing was started")


def _next(checkpoint: Path) -> None:
    say(f"Next: scalevqa train merge {checkpoint} --output MODEL")


@app.command()
def merge(
    checkpoint: Annotated[Path, Argument(help="global_step_N, or a run (its last one).")],
    output: Annotated[Path, Option(help="Directory for the model.")],
    evaluation: Annotated[
        list[Path] | None, Option(help="Run of `scalevqa run` to show in the model card.")
    ] = None,
) -> None:
    """Write a checkpoint as a Hugging Face model directory with a model card."""
    from scalevqa_train import merge as work

    directory = work.merge(checkpoint, output, tuple(evaluation or ()), say)
    say(f"Next: scalevqa run --model hf/{directory} --benchmark B")


@app.command()
def curve(
    run: Annotated[Path, Argument(help="Directory of a run.")],
    output: Annotated[
        Path | None, Option(help="Directory for the pictures.  [default: the run's]")
    ] = None,
) -> None:
    """Draw a run's reward and validation accuracy as PNG pictures and a page."""
    from scalevqa_train import curve as work

    for path in work.draw_run(run, output or run):
        say(path)
