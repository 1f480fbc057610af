"""The data of a leaderboard: one YAML file per benchmark, an entry per model.

Every result is `n` and `correct`. Percentages that a source printed stand beside the counts they
come from and must round to them; where a source gives too few digits for counts, the entry says
so in `no_counts`. Anything else is refused with one line that names the entry.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from scalevqa_eval.data import read_yaml
from scalevqa_eval.errors import DataError
from scalevqa_eval.pages import is_unseen

State = Literal["published", "reproduced", "ours"]
FULL = "full"

_MAX_BYTES, _MAX_ENTRIES = 5_000_000, 5_000
_OURS = ("overall", "average", "all questions")  # what pages call their own rows


def _plain_name(text: str) -> str:
    """Names are ASCII, accented Latin, Chinese or Korean: no letter that looks like another."""
    for c in text:
        known = unicodedata.name(c, "").startswith(("CJK UNIFIED", "HANGUL SYLLABLE"))
        latin = (
            unicodedata.normalize("NFC", c) == c and unicodedata.normalize("NFD", c)[0].isascii()
        )
        if not known and not latin:
            raise ValueError(
                f"{text[:80]!a} holds {c!a} ({unicodedata.name(c, 'no letter')}), which can be "
                "taken for another character: write names in ASCII, accented, Chinese or Korean "
                "letters"
            )
    return text


def _text(pattern: str = "", longest: int = 500, least: int = 0) -> Any:
    return Field(pattern=pattern or None, max_length=longest, min_length=least)


Text = Annotated[str, _text()]
LongText = Annotated[str, _text(longest=2000)]
Name = Annotated[str, _text(longest=200), AfterValidator(_plain_name)]
Sha256 = Annotated[str, _text(r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Credit(_Strict):
    """`correct` of `n` questions, where a tie may earn a share of one (in an audit)."""

    n: Size
    correct: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Credit:
        if self.correct > self.n:
            raise ValueError(f"{self.correct} correct of {self.n}")
        return self

    @property
    def share(self) -> float:
        return self.correct / self.n


class Count(Credit):
    """`correct` of `n` questions."""

    correct: Annotated[int, Field(ge=0, strict=True)]


class Reported(_Strict):
    """Where a result is from: a paper and its table, or a run by its manifest's hash."""

    text: Annotated[str, _text(least=1)]
    url: Annotated[str, _text(r"^(https?://[^\s<>\"']{1,300})?$")] = ""
    manifest: Annotated[str, _text(r"^([0-9a-f]{64})?$")] = ""


class Entry(_Strict):
    """One model's result under one condition.

    `results` are counts by dimension. `printed` are the source's percentages by dimension (and
    `average`, `overall`), `slips` the names of those that fit no count, with the reason.
    `answers` is a file beside the board with one line per question (see standing.py),
    `benchmark_revision` the revision of the questions that the run was on, and `questions` the
    digest of all that was asked and what is right.
    """

    model: Annotated[Name, Field(min_length=1)]
    revision: Name = ""
    state: State
    condition: Name = FULL
    prompt: Text = ""
    harness: Text = ""
    source: Reported
    date: Annotated[str, BeforeValidator(str), _text(r"^\d{4}-\d{2}(-\d{2})?$")]
    results: dict[str, Count] = Field(default_factory=dict)
    printed: dict[str, Annotated[str, _text(r"^\d{1,3}\.\d{1,3}$")]] = Field(default_factory=dict)
    slips: dict[str, Text] = Field(default_factory=dict)
    no_counts: Text = ""
    notes: tuple[Text, ...] = ()
    benchmark_revision: Text = ""
    questions: Annotated[str, _text(r"^([0-9a-f]{64})?$")] = ""
    answers: (
        Annotated[str, _text(r"^answers/[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\.jsonl$")] | None
    ) = None
    answers_sha256: Sha256 | None = None

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
            self._check_printed(name, text)
        return self

    def _check_printed(self, name: str, text: str) -> None:
        """A printed percentage rounds to its counts, or is noted as a slip."""
        if Decimal(text) > 100:
            raise ValueError(f"printed {name} is {text} %")
        if not self.results:
            return
        if name == "average":
            shares = [Decimal(100 * c.correct) / c.n for c in self.results.values()]
            exact, what = sum(shares, Decimal(0)) / len(shares), "the mean over dimensions"
        else:
            total = self.total if name == "overall" else self.results.get(name)
            if total is None:
                raise ValueError(f"printed {name!r} has no counts")
            exact, what = Decimal(100 * total.correct) / total.n, f"{total.correct}/{total.n}"
        # Half a unit in the last place, so that either way of rounding a tie is accepted.
        fits = abs(exact - Decimal(text)) <= Decimal(1).scaleb(-len(text.partition(".")[2])) / 2
        if fits and name in self.slips:
            raise ValueError(f"printed {name} {text} fits {what}: it is no slip")
        if not fits and name not in self.slips:
            raise ValueError(
                f"printed {name} {text} does not fit {what} = {exact:.3f} (note it in `slips`?)"
            )

    @property
    def total(self) -> Count | None:
        """All dimensions together, None without counts."""
        counts = self.results.values()
        if not counts:
            return None
        return Count(n=sum(c.n for c in counts), correct=sum(c.correct for c in counts))

    @property
    def key(self) -> tuple[str, ...]:
        """What no two entries of a board may share."""
        name = " ".join(self.model.casefold().split())
        return name, self.revision, self.state, self.condition, self.prompt

    @property
    def name(self) -> str:
        """The model with its revision, if it has one."""
        return f"{self.model} @ {self.revision}" if self.revision else self.model


class TextOnly(_Strict):
    """What text alone reaches on the benchmark: an audit's probe, on a split of it.

    `ci` is the audit's clustered interval; without it Wilson's is shown.
    """

    probe: Annotated[str, _text(longest=200, least=1)]
    split: Annotated[str, _text(longest=80, least=1)]
    trained_on: Text = ""
    source: Reported
    results: dict[str, Credit] = Field(min_length=1)
    ci: tuple[float, float] | None = None
    ci_method: Text = ""
    notes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _interval_holds_the_share(self) -> TextOnly:
        if self.ci is not None and not 0 <= self.ci[0] <= self.total.share <= self.ci[1] <= 1:
            raise ValueError(f"ci {list(self.ci)} does not hold {self.total.share:.4f}")
        return self

    @property
    def total(self) -> Credit:
        counts = self.results.values()
        return Credit(n=sum(c.n for c in counts), correct=round(sum(c.correct for c in counts), 2))


class Prompt(_Strict):
    """The prompt that entries of this board are expected to use."""

    style: Text
    sha256: Sha256


class Hub(_Strict):
    """The benchmark's dataset on the hub; without it no `.eval_results` can be written."""

    dataset: Annotated[str, _text(r"^[\w.-]+/[\w.-]+$")]
    revision: Text | None = None


class Board(_Strict):
    """One leaderboard. `dimensions` gives the order and how many questions each has."""

    benchmark: Annotated[str, _text(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", 80)]
    title: Annotated[str, _text(longest=200, least=1)]
    description: LongText = ""
    split: Annotated[str, _text(longest=80, least=1)]
    revision: Text = ""
    dimensions: dict[Annotated[str, _text(longest=80, least=1)], Size] = Field(min_length=1)
    chance: Annotated[float, Field(ge=0, lt=1)] | None = None
    prompt: Prompt | None = None
    hub: Hub | None = None
    text_only: tuple[TextOnly, ...] = ()
    notes: tuple[LongText, ...] = ()
    entries: tuple[Entry, ...] = Field(default=(), max_length=_MAX_ENTRIES)

    @property
    def asked_revision(self) -> str:
        """The revision of the questions: the board's, else that of the first entry with one."""
        found = (entry.benchmark_revision for entry in self.entries if entry.benchmark_revision)
        return self.revision or next(found, "")

    @model_validator(mode="after")
    def _entries_fit(self) -> Board:
        folded = [name.casefold() for name in self.dimensions]
        for name in self.dimensions:
            if name.casefold() in _OURS or folded.count(name.casefold()) > 1:
                raise ValueError(
                    f"{name!r} cannot be a dimension's name: pages have a row of that name"
                )
        keys: set[tuple[str, ...]] = set()
        asked = next((e.questions for e in self.entries if e.questions and e.condition == FULL), "")
        for place, entry in enumerate(self.entries, 1):
            if problem := self._misfit(entry, asked):
                raise ValueError(f"entry {place} ({entry.model}): {problem}")
            if entry.key in keys:
                raise ValueError(
                    f"entry {place} ({entry.model}): a duplicate (same model, revision, state, "
                    "condition and prompt)"
                )
            keys.add(entry.key)
        for probe in self.text_only:
            if unknown := probe.results.keys() - self.dimensions.keys():
                raise ValueError(f"text_only {probe.probe!r}: unknown dimension {min(unknown)!r}")
        return self

    def _misfit(self, entry: Entry, asked: str) -> str:
        """Why an entry is not on this board's questions; "" if it is."""
        known, full = self.dimensions.keys(), entry.condition == FULL
        named = (entry.results.keys() | entry.printed.keys()) - {"overall", "average"}
        if unknown := named - known:
            return f"unknown dimension {min(unknown)!r}; there are {', '.join(known)}"
        if entry.results and (missing := known - entry.results.keys()):
            return f"no result for dimension {min(missing)!r}"
        for name, count in entry.results.items():
            if full and count.n != self.dimensions[name]:
                return f"{count.n} questions in {name}, the board has {self.dimensions[name]}"
        if entry.benchmark_revision not in ("", self.asked_revision):
            return (
                f"revision {entry.benchmark_revision!r} of the questions, the others are on "
                f"{self.asked_revision!r}"
            )
        if full and entry.questions not in ("", asked):
            return "its questions or right answers differ from those of the other entries"
        return ""


def load_boards(directory: Path) -> list[Board]:
    """All boards of a directory, sorted by name. Raises DataError if there is none."""
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise DataError(f"no leaderboard (*.yaml) in {directory}; name another with --directory")
    return [load_board(path) for path in paths]


def load_board(path: Path) -> Board:
    """Read and check one board. Raises DataError, in one line, for anything wrong in it."""
    try:
        return parse_board(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def parse_board(text: bytes | str, path: Path) -> Board:
    """A board from its YAML; `path` names it in errors, and its file name is the benchmark's.

    Raises DataError, in one line, for anything wrong in it.
    """
    data = read_yaml(text, str(path), "leaderboard", longest=_MAX_BYTES)
    if not isinstance(data, dict):
        raise DataError(f"{path} is no leaderboard: it begins with `benchmark:`")
    for value in _texts(data):
        if mark := next((c for c in value if is_unseen(c) and c not in "\n\t"), ""):
            raise DataError(
                f"{path}: {value[:80]!a} holds a character that cannot be seen "
                f"(U+{ord(mark):04X}): leave it out"
            )
    try:
        board = Board.model_validate(data)
    except ValidationError as error:
        raise DataError(f"{path}: {_problem(error, data)}") from error
    if board.benchmark != path.stem:
        raise DataError(f"{path} holds the board of {board.benchmark!r}: name the file after it")
    return board


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested YAML values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in (*value, *(value.values() if isinstance(value, dict) else ())):
            yield from _texts(part)


def _problem(error: ValidationError, data: dict[str, Any]) -> str:
    """The first problem as `entry 3 (model), field: what`, and how many more there are."""
    first, place = error.errors(include_url=False, include_input=False)[0], ""
    location = [part for part in first["loc"] if part != "[key]"]
    if location[:1] == ["entries"] and len(location) > 1:
        entry = data["entries"][location[1]]
        model = entry.get("model", "?") if isinstance(entry, dict) else "?"
        model = " ".join(str(model).split())[:80]
        place, location = f"entry {int(location[1]) + 1} ({model})", location[2:]
    place = ", ".join(filter(None, [place, *map(str, location)]))
    text = first["msg"].removeprefix("Value error, ")
    text = "unknown field" if first["type"] == "extra_forbidden" else text
    more = error.error_count() - 1
    return f"{place}: {text}".removeprefix(": ") + (f" (and {more} more)" if more else "")


def slug(text: str) -> str:
    """A file name from any text; not unique."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:80] or "unnamed"
