"""YAML file → Board, strictly: what is wrong is said in one line that names the entry."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.entries import Board

_MAX_BYTES = 5_000_000


class _Loader(yaml.SafeLoader):
    """Plain YAML: a key given twice and anchors (which can blow a file up) are errors."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not used in a leaderboard")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"{key!r} stands twice in the mapping at line {line}")
        return super().construct_mapping(node, deep)


# A date is text here, as it stands in the file.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_board(path: Path) -> Board:
    """Read and check one board. Raises DataError, in one line, for anything wrong in it."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is too large for a leaderboard ({_MAX_BYTES:,} bytes)")
        data = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(data, dict):
        raise DataError(f"{path} is no leaderboard: it begins with `benchmark:`")
    board = make_board(data, str(path))
    if board.benchmark != path.stem:
        raise DataError(f"{path} holds the board of {board.benchmark!r}: name the file after it")
    return board


def make_board(data: dict[str, Any], where: str) -> Board:
    """A board from its fields. Raises DataError, in one line that begins with `where`."""
    if (text := _unseen(data)) is not None:
        mark = next(c for c in text if _is_unseen(c))
        raise DataError(
            f"{where}: {text[:80]!a} holds a character that cannot be seen "
            f"(U+{ord(mark):04X}): leave it out"
        )
    try:
        return Board(**data)
    except (ValidationError, TypeError) as error:
        raise DataError(f"{where}: {_problem(error, data)}") from error


def _is_unseen(character: str) -> bool:
    """Control and format characters: they turn text around on a page, or make two names alike."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in "\n\t"


def _unseen(value: Any) -> str | None:
    """The first text with such a character in (nested) YAML values."""
    if isinstance(value, str):
        return value if any(map(_is_unseen, value)) else None
    inside: list[Any] = []
    if isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        inside = value
    return next((text for part in inside if (text := _unseen(part)) is not None), None)


def load_boards(directory: Path) -> list[Board]:
    """All boards of a directory, sorted by name. Raises DataError if there is none."""
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise DataError(f"no leaderboard (*.yaml) in {directory}; name another with --directory")
    return [load_board(path) for path in paths]


def _problem(error: Exception, data: dict[str, Any]) -> str:
    if not isinstance(error, ValidationError):
        return "field names must be text"
    first = error.errors(include_url=False, include_input=False)[0]
    place = list(first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        text = "unknown field"
    words = ".".join(str(part) for part in place)
    if len(place) > 1 and place[0] == "entries" and isinstance(place[1], int):
        entry = data["entries"][place[1]]
        model = entry.get("model", "?") if isinstance(entry, dict) else "?"
        words = f"entry {place[1] + 1} ({str(model)[:80]})"
        words += "".join(f", {part}" for part in place[2:])
    more = error.error_count() - 1
    return f"{words}: {text}".removeprefix(": ") + (f" (and {more} more)" if more else "")
