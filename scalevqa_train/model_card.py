"""README.md of a merged model: what it was trained from, on what, how, and what it scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalevqa_eval.run import open_run

# Settings that say where things lay on the machine, not how the model was trained.
_LOCAL = ("_files", "_dir", "model.path", "_path", "external_lib")


def write_card(
    path: Path,
    name: str,
    about: Mapping[str, Any],
    step: str,
    pictures: Sequence[Path],
    evaluations: Sequence[Path],
) -> None:
    """Write the card. `about` is the run's run.json ({} if it is not known)."""
    base = _name(str(about.get("model", "")))
    lines = ["---", "pipeline_tag: image-text-to-text", "library_name: transformers"]
    if base:
        lines.append(f"base_model: {json.dumps(base)}")
    lines += [
        "tags: [pathology, scalevqa-eval, verl]",
        "---",
        "",
        f"# {name}",
    ]
    if about:
        how = "GRPO" if about["kind"] == "grpo" else "supervised fine-tuning"
        lines += [
            "",
            f"{base} after {how} with verl, {step.replace('_', ' ')}"
            f" of {about['steps']} (preset `{about['preset']}`"
            + (f", reward `{about['reward']}`" if about["reward"] else "")
            + f", scalevqa-eval {about['version']}).",
            "Not for clinical use.",
            "",
            "## Data",
            "",
            *_data(about["data"]),
            "",
            f"Prompt: `{about['prompt']['name']}` (sha256 {about['prompt']['sha256'][:16]}).",
        ]
    if pictures:
        lines += ["", "## Training", ""]
        lines += [f"![{picture.stem} over steps]({picture.name})" for picture in pictures]
    lines += _evaluations(evaluations)
    if about:
        lines += ["", "## Settings", "", "| verl 0.9.1 | value | source |", "|---|---|---|"]
        lines += [
            f"| `{s['key']}` | {_cell(json.dumps(s['value']))} | {_cell(s['source'])} |"
            for s in about["settings"]
            if not s["key"].endswith(_LOCAL)
        ]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _name(model: str) -> str:
    """A hub id as it is; of a path, its last part."""
    return model if model.count("/") == 1 and not model.startswith((".", "/")) else Path(model).name


def _data(data: Mapping[str, Any]) -> list[str]:
    lines = [f"{_cell(data['benchmark'])}, revision `{data['revision'][:16]}`.", ""]
    lines += ["| split | questions | slides | file | sha256 |", "|---|---|---|---|---|"]
    for name, split in data["splits"].items():
        for file in (f"{name}.parquet", f"sft_{name}.parquet"):
            if file in data["files"]:
                digest = data["files"][file]["sha256"][:16]
                counts = f"{split['questions']} | {split['slides']}"
                lines.append(f"| {split['split']} | {counts} | {file} | `{digest}` |")
    return lines


def _evaluations(paths: Sequence[Path]) -> list[str]:
    """k of n with the interval, for each run of the harness; a run without answers has none."""
    if not paths:
        return []
    lines = ["", "## Evaluation", "", "| benchmark | condition | correct | 95 % interval |"]
    lines.append("|---|---|---|---|")
    for path in paths:
        run = open_run(path)
        micro = run.summary["micro"]
        low, high = micro["ci"] or (0.0, 1.0)
        name = f"{run.summary['benchmark']}/{run.summary['split']}"
        lines.append(
            f"| {_cell(name)} | {run.condition} | {micro['correct']}/{micro['n']}"
            f" | {100 * low:.1f} to {100 * high:.1f} % |"
        )
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
