"""Which entities of a knowledge graph a text states or denies, and how well two texts agree.

Entities are found as whole words, longest name first, ignoring case. A mention under a negation
("no necrosis", "mitoses are absent") counts as the denial of the entity, which agrees only with
another denial.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scalevqa_eval.errors import DataError

SIMILARITY_WEIGHT = 0.5

_WORD = re.compile(r"\w+(?:'\w+)?")
# A negation reaches no further than the clause it stands in.
_CLAUSE = re.compile(
    r"[.;:!?]+|\n\s*\n|\n\s*[-*]|,?\s+\b(?:but|however|although|though|whereas|yet|except)\b"
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|lack(?:s|ing)?|lack of|absence of|absent|negative for|free of|neither|nor"
    r"|never|denies|excludes?|excluding|rules? out|ruled out|fails? to (?:show|reveal)|cannot"
    r"|\w+n't)\b"
)
_AFTER = re.compile(
    r"^\W*(?:(?:is|are|was|were|being|has been|have been)\s+)?"
    r"(?:absent|not\s+(?:\w+ly\s+)?(?:seen|present|identified|observed|evident|found|detected|noted"
    r"|visible|appreciated)|ruled out|excluded|lacking|negative)\b"
)
_REACH = 6  # words between a negation and what it negates


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity that a text states, or denies."""

    name: str
    denied: bool = False


@dataclass(frozen=True)
class Lexicon:
    """Names of entities as tuples of lower-case words → the entity's own name."""

    names: dict[tuple[str, ...], str]

    @property
    def longest(self) -> int:
        return max(map(len, self.names), default=0)

    def mentions(self, text: str) -> frozenset[Mention]:
        """All entities that `text` states or denies; one that it does both to counts as both."""
        found: set[Mention] = set()
        for clause in _CLAUSE.split(text.casefold()):
            words = list(_WORD.finditer(clause))
            position = 0
            while position < len(words):
                size, name = self._match([word[0] for word in words], position)
                if name:
                    start, end = words[position].start(), words[position + size - 1].end()
                    denied = _is_denied(clause, start, end)
                    found.add(Mention(name, denied))
                position += size
        return frozenset(found)

    def _match(self, words: list[str], position: int) -> tuple[int, str]:
        for size in range(min(self.longest, len(words) - position), 0, -1):
            name = self.names.get(tuple(words[position : position + size]))
            if name:
                return size, name
        return 1, ""


def _is_denied(clause: str, start: int, end: int) -> bool:
    before = [match.end() for match in _BEFORE.finditer(clause, 0, start)]
    if before and len(_WORD.findall(clause, before[-1], start)) <= _REACH:
        return True
    return _AFTER.match(clause[end:]) is not None


def read_lexicon(path: str | Path) -> Lexicon:
    """Entities from a knowledge graph file.

    `.csv`/`.tsv` with the columns head, relation, tail (both ends are entities); `.json` with a
    list of names, of triples, or of objects with `name` and `synonyms`; any other file has one
    name a line. Raises DataError if it cannot be read or names nothing.
    """
    path = Path(path)
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"the entity lexicon {path} cannot be read: {error.strerror}") from error
    return _read(path, modified)


@lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> Lexicon:
    try:
        text = path.read_text("utf-8")
        pairs = list(_pairs(path.suffix.lower(), text))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the entity lexicon {path} cannot be read: {error}") from error
    names: dict[tuple[str, ...], str] = {}
    for written, name in pairs:
        words = tuple(word[0] for word in _WORD.finditer(written.casefold()))
        if words:
            names.setdefault(words, name.casefold())
    if not names:
        raise DataError(f"the entity lexicon {path} names no entity")
    return Lexicon(names)


def _pairs(suffix: str, text: str) -> Iterable[tuple[str, str]]:
    """(as written, entity's name) of every entity in a file's text."""
    if suffix in {".csv", ".tsv"}:
        rows = csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ",")
        if not {"head", "tail"} <= set(rows.fieldnames or ()):
            raise ValueError("a table of triples needs the columns head, relation and tail")
        for row in rows:
            yield from ((row[end], row[end]) for end in ("head", "tail") if row[end])
    elif suffix == ".json":
        for entry in json.loads(text):
            if isinstance(entry, str):
                yield entry, entry
            elif isinstance(entry, list):
                yield from ((str(entry[end]), str(entry[end])) for end in (0, 2))
            else:
                names = [entry["name"], *entry.get("synonyms", ())]
                yield from ((str(name), str(entry["name"])) for name in names)
    else:
        yield from ((line.strip(), line.strip()) for line in text.splitlines())


def soft_dice(stated: Collection[Mention], reference: Collection[Mention]) -> float:
    """Agreement of two sets of mentions, 0 to 1.

    2·(hits + 0.5·s) / (|stated| + |reference|), where s adds up the name similarities of what is
    left, each reference entity used once, best pairs first: padding with near names does not pay.
    Two empty sets say nothing about each other: 0.
    """
    if not stated or not reference:
        return 0.0
    given, wanted = set(stated), set(reference)
    hits = given & wanted
    pairs = sorted(
        (-similarity(one.name, other.name), one.name, one.denied, other.name)
        for one in given - hits
        for other in wanted - hits
        if one.denied == other.denied
    )
    used: set[tuple[str, str, bool]] = set()
    soft = 0.0
    for negative, one_name, denied, other_name in pairs:
        left, right = ("given", one_name, denied), ("wanted", other_name, denied)
        if left not in used and right not in used:
            used |= {left, right}
            soft -= negative
    total = len(given) + len(wanted)
    return min(1.0, 2 * (len(hits) + SIMILARITY_WEIGHT * soft) / total)


def similarity(one: str, other: str) -> float:
    """Dice coefficient of two names' letter trigrams, 0 to 1."""
    left, right = _trigrams(one), _trigrams(other)
    return 2 * len(left & right) / (len(left) + len(right))


def _trigrams(name: str) -> frozenset[str]:
    padded = f"  {name} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
