"""What `evaluate` gives back, and where it is while it works."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalevqa_eval.run.store import Run
from scalevqa_eval.types import Record

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True)
class Progress:
    """Where an evaluation is: one object, updated in place and handed to `on_progress`.

    `kept` questions were answered by an earlier call. `cost` is in US dollars, None once a
    reply had no known price. `concurrency` is how many prompts may be under way now.
    """

    total: int = 0
    kept: int = 0
    answered: int = 0
    errors: int = 0
    from_cache: int = 0
    cost: float | None = 0.0
    concurrency: int = 0
    last_error: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.kept + self.answered + self.errors


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The runs of one call of `evaluate`, one per condition, by the condition's name.

    `complete` is False if a question has no answer; `stopped` then says why the call ended
    early, "" if it did not.
    """

    runs: Mapping[str, Run]
    complete: bool
    stopped: str = ""

    def __getitem__(self, condition: str) -> Run:
        return self.runs[condition]

    @property
    def summary(self) -> dict[str, Any]:
        """The first condition's summary; with several, the key `conditions` holds all by name."""
        summaries = {name: dict(run.summary) for name, run in self.runs.items()}
        first = next(iter(summaries.values()))
        return first if len(summaries) == 1 else {**first, "conditions": summaries}

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all conditions."""
        return tuple(record for run in self.runs.values() for record in run.records)

    @property
    def path(self) -> Path:
        """The first condition's run directory."""
        return next(iter(self.runs.values())).path

    def to_pandas(self) -> pd.DataFrame:
        """All records as one DataFrame, with a column `condition`."""
        frames = [run.to_pandas() for run in self.runs.values()]
        import pandas as pd

        return pd.concat(frames, ignore_index=True)
