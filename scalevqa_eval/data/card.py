"""Benchmark cards: YAML files that say where a benchmark's files are and which field is what."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from scalevqa_eval.data.readers import read_yaml
from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.paths import data_directory
from scalevqa_eval.types import Scale

CARD_SUFFIXES = (".yaml", ".yml")
TABLE_SUFFIXES = (".json", ".jsonl", ".parquet")


def _as_tuple(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(
            "YAML reads a bare No, Yes, On or Off as true or false: put the field's name in "
            "quotes, such as 'No'"
        )
    return (value,) if isinstance(value, str) else value


def _inside(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} leads out of the card's directory: give it as --data-dir")
    return name


# A dotted path into a row, or several: the first that is there is taken.
Paths = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
# What a card may read without being asked to lies beside or below it.
Inside = Annotated[str, AfterValidator(_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Strict):
    """One split: its file, and how many questions it should hold.

    `files` are candidates relative to the benchmark's directory, of which the first that exists
    is read. `parts` makes this split the union of others instead.
    """

    files: Annotated[tuple[Inside, ...], BeforeValidator(_as_tuple)] = ()
    parts: tuple[str, ...] = ()
    count: int | None = Field(default=None, ge=0)
    dimensions: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _files_or_parts(self) -> Split:
        if bool(self.files) == bool(self.parts):
            raise ValueError("a split has either `files` or `parts`")
        return self


class Source(_Strict):
    """Where the files are: a directory (relative to the card), a hub repository, or code.

    `images` is the image root inside that directory. `access` is the line shown when none of
    them is known. `generator` names a built-in benchmark that is drawn by code.
    """

    directory: Inside | None = None
    hub: str | None = None
    revision: str | None = None
    images: Inside = "."
    access: str = ""
    generator: Literal["", "demo", "demo-leaky"] = ""


class Fields(_Strict):
    """Which field of a row is what, as dotted paths (`extra_info.wsi_name`)."""

    id: Paths = ()
    text: Paths = ()
    options: Paths = ()
    answer: Paths = ()
    rationale: Paths = ()
    dimension: Paths = ()
    slide: Paths = ()
    views: dict[Scale, Paths] = Field(default_factory=dict)
    extra: dict[str, Paths] = Field(default_factory=dict)


class Card(_Strict):
    """A benchmark as its card describes it. docs/cards.md explains every field."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    title: str = ""
    description: str = ""
    homepage: str = ""
    license: str = ""
    citation: str = ""
    prompt: str = "scalereasoner"
    format: Literal["table", "pathmmu", "conversations"] = "table"
    rows: str = ""
    ids: str = "{split}-{id}"
    answer_index_from: Literal[0, 1] | None = None
    source: Source = Source()
    splits: dict[str, Split] = Field(default_factory=dict)
    default_split: str | None = None
    fields: Fields = Fields()
    dimensions: dict[str, str] = Field(default_factory=dict)
    magnifications: dict[Scale, str] = Field(default_factory=dict)
    image_sources: dict[str, str] = Field(default_factory=dict)
    sha256: str = ""
    path: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        for name, split in self.splits.items():
            for part in split.parts:
                if part not in self.splits or self.splits[part].parts:
                    raise ValueError(f"split {name!r}: part {part!r} is no split with files")
        if self.default_split is not None and self.default_split not in self.splits:
            raise ValueError(f"default_split {self.default_split!r} is none of the splits")
        if "{id}" not in self.ids:
            raise ValueError("`ids` must contain {id}")
        return self

    @property
    def dimension_order(self) -> tuple[str, ...]:
        """Public dimension names in the order of the tables."""
        return tuple(dict.fromkeys(self.dimensions.values()))

    def in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names of dimensions: the card's first, in its order, then others as they come."""
        there = dict.fromkeys(names)
        return tuple(dict.fromkeys([n for n in self.dimension_order if n in there] + list(there)))

    def choose_split(self, split: str | None) -> str:
        """The split asked for; else the default, `test`, or the only one.

        Raises UsageError that names the splits.
        """
        names = list(self.splits)
        if split is None:
            split = self.default_split or (names[0] if len(names) == 1 else "test")
        if split in names:
            return split
        if not names:
            raise UsageError(
                f"{self.path or self.name} says no splits: add the files of each, such as "
                "splits: {test: {files: questions.json}}"
            )
        raise UsageError(
            f"{self.name} has no split {split!r}: choose one of {', '.join(names)} with --split"
        )

    def splits_in(self, directory: Path) -> tuple[str, ...]:
        """The splits whose files lie in a directory; unions of splits are not listed."""
        return tuple(
            name
            for name, split in self.splits.items()
            if any((directory / file).is_file() for file in split.files)
        )


def list_cards() -> tuple[str, ...]:
    """Names of the built-in cards, sorted."""
    return tuple(sorted(path.stem for path in data_directory("benchmarks").glob("*.yaml")))


def load_card(name_or_path: str | Path, split: str | None = None) -> Card:
    """A built-in card by name, a user's card by path, or the card that a bare file stands for.

    `split` names the split that a bare file is. Raises UsageError for an unknown name and
    DataError for a file that is no card.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in list_cards():
        return _read_card(data_directory("benchmarks") / f"{name}.yaml")
    suffix = path.suffix.lower()
    if path.is_dir():
        raise UsageError(
            f"{name} is a directory: give one of its files (.json, .jsonl, .parquet, or a card), "
            f"or a built-in benchmark with --data-dir {name}"
        )
    if suffix not in CARD_SUFFIXES + TABLE_SUFFIXES:
        near = difflib.get_close_matches(name, list_cards(), 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(list_cards())}"
        raise UsageError(
            f"no benchmark {name!r}: {hint} (or give the path of a card or question file)"
        )
    if not path.is_file():
        raise UsageError(f"no file {name}: give a card (.yaml), or a .json, .jsonl or .parquet")
    return _read_card(path) if suffix in CARD_SUFFIXES else _bare_card(path, split)


def _bare_card(path: Path, split: str | None) -> Card:
    """The card of a bare question file in the Scale-VQA format: one split, no counts.

    Files of the same type beside it are its other splits if they are named like splits.
    """
    own = path.stem if split is None else split
    files = {own: path.name}
    for sibling in ("train", "val", "test"):
        if sibling != path.stem and path.with_stem(sibling).is_file():
            files.setdefault(sibling, f"{sibling}{path.suffix}")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-")[:80]
    return _read_card(data_directory("benchmarks") / "scale-vqa.yaml").model_copy(
        update={
            "name": name or "questions",
            "title": path.name,
            **dict.fromkeys(("description", "homepage", "license", "citation", "sha256"), ""),
            "source": Source.model_construct(directory=str(path.parent.absolute())),
            "splits": {key: Split(files=(value,)) for key, value in files.items()},
            "default_split": own,
            "path": None,
        }
    )


def _read_card(path: Path) -> Card:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the card {path}: {error.strerror}") from error
    data = read_yaml(raw, str(path), "card")
    if not isinstance(data, dict):
        raise DataError(f"{path} is no card: a card is a YAML mapping that begins with `name:`")
    try:
        return Card(**data, sha256=hashlib.sha256(raw).hexdigest(), path=path.absolute())
    except ValidationError as error:
        raise DataError(f"{path}: {_problems(error)}") from error
    except TypeError as error:  # what Python says of `1: 2` and of a second `path`
        raise DataError(f"{path}: field names must be text, and not `sha256` or `path`") from error


def _problems(error: ValidationError) -> str:
    """What is wrong with a card, field by field, in one line."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False)[:4]:
        *inside, last = problem["loc"] or ("card",)
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            models: dict[str, type[BaseModel]] = {
                "splits": Split,
                "source": Source,
                "fields": Fields,
            }
            model = models.get(str(inside[0]), Card) if inside else Card
            near = difflib.get_close_matches(str(last)[:80], list(model.model_fields), 1)
            text = f"unknown field{f'; did you mean {near[0]}?' if near else ''}"
        lines.append(f"{'.'.join(map(str, (*inside, last)))}: {text}"[:300])
    more = error.error_count() - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")
