"""The data of a leaderboard: one YAML file per benchmark, an entry per model.

Every result is `n` and `correct`. Percentages that a source printed stand beside the counts they
come from and must round to them; where a source gives too few digits for counts, the entry says
so in `no_counts`. Anything else is refused with one line that names the entry.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

State = Literal["published", "reproduced", "ours"]
FULL = "full"

_MAX_ENTRIES = 5_000
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_ANSWERS = r"^answers/[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*\.jsonl$"
_PERCENT = r"^\d{1,3}\.\d{1,3}$"
_DATE = r"^\d{4}-\d{2}(-\d{2})?$"
Text = Annotated[str, Field(max_length=500)]
Percent = Annotated[str, Field(pattern=_PERCENT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Count(_Strict):
    """`correct` of `n` questions."""

    n: Annotated[int, Field(ge=1, strict=True)]
    correct: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Count:
        if self.correct > self.n:
            raise ValueError(f"{self.correct} correct of {self.n}")
        return self


class Source(_Strict):
    """Where a result is from: a paper and its table, or a run by its manifest's hash."""

    text: Annotated[str, Field(min_length=1, max_length=500)]
    url: Annotated[str, Field(pattern=r"^(https?://[^\s<>\"']{1,300})?$")] = ""
    manifest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class Entry(_Strict):
    """One model's result under one condition.

    `results` are counts by dimension. `printed` are the source's percentages by dimension (and
    `average`, `overall`), `slips` the names of those that fit no count, with the reason.
    `answers` is a file beside the board with one line per question (see answers.py), and
    `benchmark_revision` the revision of the questions that the run was on.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    revision: Text = ""
    state: State
    condition: Annotated[str, Field(max_length=200)] = FULL
    prompt: Text = ""
    harness: Text = ""
    source: Source
    date: Annotated[str, Field(pattern=_DATE)]
    results: dict[str, Count] = Field(default_factory=dict)
    printed: dict[str, Percent] = Field(default_factory=dict)
    slips: dict[str, Text] = Field(default_factory=dict)
    no_counts: Text = ""
    notes: tuple[Text, ...] = ()
    benchmark_revision: Text = ""
    answers: Annotated[str, Field(pattern=_ANSWERS)] | None = None
    answers_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        if bool(self.results) == bool(self.no_counts):
            raise ValueError("give `results` (n and correct), or say in `no_counts` why not")
        if self.no_counts and not self.printed:
            raise ValueError("an entry without counts needs `printed` percentages")
        if (self.answers is None) != (self.answers_sha256 is None):
            raise ValueError("`answers` and `answers_sha256` go together")
        if self.no_counts and self.answers:
            raise ValueError("an entry with answers has counts")
        if unknown := self.slips.keys() - self.printed.keys():
            raise ValueError(f"slip {min(unknown)!r} is not among the printed figures")
        for name, text in self.printed.items():
            if problem := self._misprint(name, text):
                raise ValueError(problem)
        return self

    def _misprint(self, name: str, text: str) -> str:
        if Decimal(text) > 100:
            return f"printed {name} is {text} %"
        if not self.results:
            return ""
        if name == "average":
            shares = [Decimal(c.correct) / c.n for c in self.results.values()]
            exact = 100 * sum(shares, Decimal(0)) / len(shares)
            what = "the mean over dimensions"
        else:
            total = self.total if name == "overall" else self.results.get(name)
            if total is None:
                return f"printed {name!r} has no counts"
            exact = Decimal(100 * total.correct) / total.n
            what = f"{total.correct}/{total.n}"
        digits = Decimal(1).scaleb(-len(text.partition(".")[2]))
        # Half a unit in the last place, so that either way of rounding a tie is accepted.
        fits = abs(exact - Decimal(text)) <= digits / 2
        if fits and name in self.slips:
            return f"printed {name} {text} fits {what}: it is no slip"
        if not fits and name not in self.slips:
            return f"printed {name} {text} does not fit {what} = {exact:.3f} (note it in `slips`?)"
        return ""

    @property
    def total(self) -> Count | None:
        """All dimensions together, None without counts."""
        if not self.results:
            return None
        return Count(
            n=sum(count.n for count in self.results.values()),
            correct=sum(count.correct for count in self.results.values()),
        )

    @property
    def key(self) -> tuple[str, ...]:
        """What no two entries of a board may share."""
        name = " ".join(unicodedata.normalize("NFKC", self.model).casefold().split())
        return name, self.revision, self.state, self.condition, self.prompt


class Credit(_Strict):
    """Like Count, but ties earn their share: an audit may credit half a question."""

    n: Annotated[int, Field(ge=1, strict=True)]
    correct: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Credit:
        if self.correct > self.n:
            raise ValueError(f"{self.correct:g} correct of {self.n}")
        return self


class TextOnly(_Strict):
    """What text alone reaches on the benchmark: an audit's probe, on a split of it.

    `ci` is the audit's clustered interval; without it Wilson's is shown.
    """

    probe: Annotated[str, Field(min_length=1, max_length=200)]
    split: Annotated[str, Field(min_length=1, max_length=80)]
    trained_on: Text = ""
    source: Source
    results: dict[str, Credit] = Field(min_length=1)
    ci: tuple[float, float] | None = None
    ci_method: Text = ""
    notes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _interval_holds_the_share(self) -> TextOnly:
        share = self.total.correct / self.total.n
        if self.ci is not None and not 0 <= self.ci[0] <= share <= self.ci[1] <= 1:
            raise ValueError(f"ci {list(self.ci)} does not hold {share:.4f}")
        return self

    @property
    def total(self) -> Credit:
        return Credit(
            n=sum(count.n for count in self.results.values()),
            correct=round(sum(count.correct for count in self.results.values()), 2),
        )


class Prompt(_Strict):
    """The prompt that entries of this board are expected to use."""

    style: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Hub(_Strict):
    """The benchmark's dataset on the hub; without it no `.eval_results` can be written."""

    dataset: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Text | None = None


class Board(_Strict):
    """One leaderboard. `dimensions` gives the order and how many questions each has."""

    benchmark: Annotated[str, Field(pattern=_NAME, max_length=80)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=2000)] = ""
    split: Annotated[str, Field(min_length=1, max_length=80)]
    revision: Text = ""
    dimensions: dict[str, Annotated[int, Field(ge=1, strict=True)]] = Field(min_length=1)
    chance: Annotated[float, Field(ge=0, lt=1)] | None = None
    prompt: Prompt | None = None
    hub: Hub | None = None
    text_only: tuple[TextOnly, ...] = ()
    notes: tuple[Annotated[str, Field(max_length=2000)], ...] = ()
    entries: tuple[Entry, ...] = Field(default=(), max_length=_MAX_ENTRIES)

    @property
    def asked_revision(self) -> str:
        """The revision of the questions: the board's, else that of the first entry with one."""
        found = (entry.benchmark_revision for entry in self.entries if entry.benchmark_revision)
        return self.revision or next(found, "")

    @model_validator(mode="after")
    def _entries_fit(self) -> Board:
        for name in self.dimensions:
            if not 0 < len(name) <= 80 or name in ("overall", "average"):
                raise ValueError(f"{name!r} cannot be a dimension's name")
        seen: set[Hashable] = set()
        for place, entry in enumerate(self.entries, 1):
            where = f"entry {place} ({entry.model})"
            known = self.dimensions.keys()
            if unknown := (entry.results.keys() | entry.printed.keys()) - known - {
                "overall", "average",
            }:  # fmt: skip
                raise ValueError(
                    f"{where}: unknown dimension {min(unknown)!r}; there are {', '.join(known)}"
                )
            if entry.results and (missing := known - entry.results.keys()):
                raise ValueError(f"{where}: no result for dimension {min(missing)!r}")
            for name, count in entry.results.items():
                if entry.condition == FULL and count.n != self.dimensions[name]:
                    raise ValueError(
                        f"{where}: {count.n} questions in {name}, the board has "
                        f"{self.dimensions[name]}"
                    )
            if entry.benchmark_revision not in ("", self.asked_revision):
                raise ValueError(
                    f"{where}: revision {entry.benchmark_revision!r} of the questions, the others "
                    f"are on {self.asked_revision!r}"
                )
            if entry.key in seen:
                raise ValueError(
                    f"{where}: a duplicate (same model, revision, state, condition and prompt)"
                )
            seen.add(entry.key)
        for probe in self.text_only:
            if unknown := probe.results.keys() - self.dimensions.keys():
                raise ValueError(f"text_only {probe.probe!r}: unknown dimension {min(unknown)!r}")
        return self


def slug(text: str) -> str:
    """A file name from any text; not unique."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:80] or "unnamed"
