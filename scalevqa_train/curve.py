"""Pictures of a run: reward over steps, and validation accuracy over steps by dimension."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, MissingExtra
from scalevqa_train.progress import KL, LENGTH, LOSS, REWARD, Step, read_steps

PAGE = "curve.html"
_WINDOW = 5  # steps of the moving average that is drawn over the noisy reward

Points = Sequence[tuple[float, float]]


def draw_run(run: Path, output: Path) -> list[Path]:
    """The run's pictures (PNG) and a page with them. Raises DataError if there is nothing yet."""
    steps = read_steps(run)
    if not steps:
        raise DataError(f"{run} holds no numbers of a training run (metrics/*.jsonl)")
    about = _about(run)
    title = run.resolve().name
    output.mkdir(parents=True, exist_ok=True)
    pictures: list[Path] = []
    learned = {"reward": points(steps, REWARD)}
    if not learned["reward"]:
        learned = {"loss": points(steps, LOSS[:1]), "validation loss": points(steps, LOSS[1:])}
    label = "mean reward of sampled replies" if "reward" in learned else "loss"
    name = "reward.png" if "reward" in learned else "loss.png"
    if any(learned.values()):
        pictures.append(output / name)
        draw(learned, label, title, pictures[-1], smooth="reward" in learned)
    accuracy = validation_points(steps, "acc")
    if accuracy:
        pictures.append(output / "validation.png")
        draw(accuracy, "validation accuracy", title, pictures[-1], limits=(0, 1))
    _write_page(output / PAGE, title, about, steps, pictures)
    return [*pictures, output / PAGE]


def points(steps: Sequence[Step], names: Sequence[str]) -> list[tuple[float, float]]:
    """(step, value) wherever one of the values was logged."""
    return [(s.step, value) for s in steps if (value := s.first(names)) is not None]


def validation_points(steps: Sequence[Step], part: str) -> dict[str, list[tuple[float, float]]]:
    """Dimension → (step, mean) of a part of the reward on the validation split."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for step in steps:
        for dimension, parts in step.validation.items():
            if part in parts:
                lines.setdefault(dimension, []).append((step.step, parts[part]))
    return dict(sorted(lines.items()))


def moving_average(line: Points, window: int) -> list[tuple[float, float]]:
    """The mean of the last `window` points, at each point."""
    values = [value for _, value in line]
    return [
        (x, sum(part := values[max(0, i + 1 - window) : i + 1]) / len(part))
        for i, (x, _) in enumerate(line)
    ]


def draw(
    lines: Mapping[str, Points],
    label: str,
    title: str,
    path: Path,
    *,
    limits: tuple[float, float] | None = None,
    smooth: bool = False,
) -> None:
    """One picture: a line for each name. With `smooth`, single steps are dots behind averages."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("pictures of a training run", "train") from None

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, line in lines.items():
        if not line:
            continue
        xs, ys = zip(*line, strict=True)
        if smooth:
            axes.plot(xs, ys, ".", markersize=3, color="0.7")
            xs, ys = zip(*moving_average(line, _WINDOW), strict=True)
        axes.plot(xs, ys, marker="" if smooth else "o", markersize=3, linewidth=1.6, label=name)
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize="small")
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", metadata={"Software": None})
    part.replace(path)


def _about(run: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((run / "run.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _write_page(
    path: Path, title: str, about: Mapping[str, Any], steps: Sequence[Step], pictures: list[Path]
) -> None:
    """A page that needs no other file."""
    facts = {
        "model": about.get("model"),
        "preset": about.get("preset"),
        "reward": about.get("reward"),
        "data": about.get("data", {}).get("benchmark"),
        "steps": f"{max(step.step for step in steps)} of {about.get('steps', '?')}",
        "last KL": _last(steps, KL),
        "last reply length": _last(steps, LENGTH),
    }
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    images = "".join(
        f'<img alt="{escape(picture.stem)} over steps" src="data:image/png;base64,'
        f'{base64.b64encode(picture.read_bytes()).decode()}">'
        for picture in pictures
    )
    settings = "".join(
        f"<tr><td><code>{escape(s['key'])}</code></td><td>{escape(json.dumps(s['value']))}</td>"
        f"<td>{escape(s['source'])}</td></tr>"
        for s in about.get("settings", ())
    )
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(title)}</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
        "padding:0 1rem}img{max-width:100%}th{text-align:left;padding-right:1rem}"
        "td{padding-right:1rem;vertical-align:top}</style>"
        f"<h1>{escape(title)}</h1><table>{rows}</table>{images}"
        f"<h2>Settings</h2><table>{settings}</table></html>"
    )
    part = path.with_suffix(".part")
    part.write_text(page, "utf-8")
    part.replace(path)


def _last(steps: Sequence[Step], names: Sequence[str]) -> str | None:
    line = points(steps, names)
    return f"{line[-1][1]:.4g}" if line else None
