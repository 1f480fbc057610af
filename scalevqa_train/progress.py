"""What a trainer logs → numbers over steps, and lines for a person."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

METRICS = "metrics"

# verl's names, the first that is there counts.
REWARD = ("critic/score/mean", "critic/rewards/mean")
KL = ("actor/kl_loss", "actor/ppo_kl")
LENGTH = ("response_length/mean",)
SECONDS = ("timing_s/step", "perf/time_per_step")
LOSS = ("train/loss", "val/loss")

_VALIDATION = re.compile(r"val-(?:core|aux)/(?P<source>.+)/(?P<name>[^/]+)/mean@(?P<n>\d+)\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `values` as the trainer names them, `validation` {dimension: {part: mean}}."""

    step: int
    values: Mapping[str, float]
    validation: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def first(self, names: Iterable[str]) -> float | None:
        """The first of these values that was logged."""
        return next((self.values[name] for name in names if name in self.values), None)


def parse_line(line: str) -> Step | None:
    """A line of verl's file logger; None for what is none, such as a torn last line."""
    try:
        entry = json.loads(line)
        step, data = int(entry["step"]), dict(entry["data"])
    except (ValueError, KeyError, TypeError):
        return None
    return _step(
        step, {str(name): float(v) for name, v in data.items() if isinstance(v, (int, float))}
    )


def _step(step: int, values: dict[str, float]) -> Step:
    validation: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        if match := _VALIDATION.match(name):
            dimension = match["source"].rpartition("/")[2]
            validation.setdefault(dimension, {})[match["name"]] = value
    return Step(step, values, validation)


def read_steps(run: Path) -> list[Step]:
    """All steps of a run, in order.

    Each start of the trainer has a file of its own. A later start goes on from a checkpoint: what
    an earlier one did beyond it does not count any more.
    """
    values: dict[int, dict[str, float]] = {}
    for file in sorted((run / METRICS).glob("*.jsonl")):
        own = list(_steps(file))
        if own:
            begin = min(step.step for step in own)
            values = {step: found for step, found in values.items() if step <= begin}
        for step in own:  # several lines may speak of one step
            values.setdefault(step.step, {}).update(step.values)
    return [_step(number, found) for number, found in sorted(values.items())]


def _steps(file: Path) -> Iterator[Step]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if (step := parse_line(line)) is not None:
                yield step


def next_metrics_file(run: Path) -> Path:
    """Where the next start of the trainer logs to."""
    folder = run / METRICS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{len(list(folder.glob('*.jsonl'))) + 1:03d}.jsonl"


def describe(step: Step, total: int, left: float | None) -> Iterator[str]:
    """The lines of a step: what was learned, and what a validation found."""
    parts = [f"step {step.step}/{total}"]
    for label, names, form in (
        ("reward", REWARD, ".3f"),
        ("loss", LOSS, ".4f"),
        ("kl", KL, ".4f"),
        ("length", LENGTH, ".0f"),
        ("s/step", SECONDS, ".1f"),
    ):
        value = step.first(names)
        if value is not None:
            parts.append(f"{label} {value:{form}}")
    if left is not None:
        parts.append(f"left {duration(left)}")
    if len(parts) > 1:
        yield "  ".join(parts)
    if step.validation:
        scores = [
            f"{dimension} {parts['acc']:.3f}"
            for dimension, parts in sorted(step.validation.items())
            if "acc" in parts
        ]
        yield f"step {step.step}/{total}  validation accuracy: {', '.join(scores)}"


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def reporter(total: int, say: Callable[[str], None]) -> Callable[[Step], None]:
    """Says the lines of each new step of a trainer that does `total` steps."""
    seen: list[tuple[int, float]] = []

    def on_step(step: Step) -> None:
        if not seen or step.step > seen[-1][0]:
            seen.append((step.step, time.monotonic()))
        for line in describe(step, total, time_left(seen, total)):
            say(line)

    return on_step


def time_left(seen: Sequence[tuple[int, float]], total: int) -> float | None:
    """Seconds to the end, by the pace of the last steps (step, clock); None before the second."""
    if len(seen) < 2:
        return None
    (first, start), (last, now) = seen[-min(len(seen), 11)], seen[-1]
    return (now - start) / (last - first) * max(0, total - last)
