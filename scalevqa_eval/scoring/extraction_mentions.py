"""Where a reply names an option: by a letter used as a label, or by the option's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_clauses import HOLE
from scalevqa_eval.scoring.extraction_options import Options

_LONGEST_TEXT = 400
_CLASSES = re.compile(
    r"(?:grade|stage|type|class|group|category|hepatitis|vitamin|figure|fig\.?|panel|image|plan"
    r"|view|table|slide|part|region|area|zone|factor|subtype|phase|level|score|case|patient"
    r"|influenza|duct|field)s?\s[\"'(]{0,2}\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where an option is named; `by_text` if only its text is there, no letter."""

    start: int
    end: int
    letter: str
    by_text: bool


_LETTER_MENTION = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Aa]lternative|[Ss]tatement|[Ll]etter)s?\s)?[(\[\"'“]?"
    r"(?<![A-Za-z0-9_À-ɏ])(?P<letter>[A-Z])(?![A-Za-z0-9_À-ɏ]|['’][A-Za-z]|[+%°^]"
    r"|[&/](?![A-Z](?![A-Za-z]))|-[a-z0-9]|[-–][A-Za-z](?![A-Za-z]))[)\]\"'”]?"
)


def mentions(text: str, options: Options) -> Iterator[Mention]:
    """Where options are named, in order and without overlap."""
    text = text.replace(HOLE, " ")
    texts = _texts(options)
    spans = [] if texts is None else [match.span() for match in texts.finditer(text)]
    taken, upcoming = 0, 0
    for match in _LETTER_MENTION.finditer(text):
        while upcoming < len(spans) and spans[upcoming][1] <= match.start():
            yield from _text_mention(text, spans[upcoming], taken, options)
            upcoming += 1
        inside = upcoming < len(spans) and spans[upcoming][0] <= match.start("letter")
        letter = options.letter(match["letter"])
        if inside or letter is None or match.start() < taken or not _labels(text, match):
            continue
        end = match.end()
        skipped = re.compile(r"\s?[.:)\-–—,]{0,2}[\s\"'“(\[]{0,3}").match(text, end)
        start = skipped.end() if skipped else end
        follows = upcoming < len(spans) and spans[upcoming][0] == start
        if follows and options.named(text[start : spans[upcoming][1]]) == letter:
            end = spans[upcoming][1]
            end += text[end : end + 1] == ")" and "(" in text[match.end() : start]
            upcoming += 1
        taken = end
        yield Mention(match.start(), end, letter, False)
    for span in spans[upcoming:]:
        yield from _text_mention(text, span, taken, options)


def _text_mention(
    text: str, span: tuple[int, int], taken: int, options: Options
) -> Iterator[Mention]:
    letter = options.named(text[slice(*span)])
    if letter and span[0] >= taken:
        yield Mention(*span, letter, True)


def _labels(text: str, match: re.Match[str]) -> bool:
    """Whether a capital is a label, not an article, a pronoun or the name of a cell."""
    if match.end("letter") - match.start() > 1:
        return not _CLASSES.search(text[max(0, match.start() - 14) : match.start()])
    rest = text[match.end() : match.end() + 40]
    if words.NAMED_BY_LETTER.match(rest) or words.EPITHET.match(rest):
        return False
    if _CLASSES.search(text[max(0, match.start() - 14) : match.start()]):
        return False
    if match["letter"] in "AI":
        return bool(
            re.match(
                r"\s?(?:\Z|\n|[.,;:!?)\]]|[-–—]\s|(?:is|fits|best|or|and|to me|here|then"
                r"|instead)\b)",
                rest,
            )
        )
    return True


def _texts(options: Options) -> re.Pattern[str] | None:
    """The texts of all options, longest first; those of three letters or fewer as capitals only."""
    plain = {
        one
        for one in options.plain.values()
        if len(one) > 3 or re.search(r"[^\W\d_]\d|[\u2e80-\uffff]{2}", one)
    }
    plain = {one for one in plain if len(one) <= _LONGEST_TEXT}
    capitals = {one.strip() for one in options.texts.values()}
    capitals = {one for one in capitals if re.fullmatch(r"[A-Z]{2,3}", one)} - {"YES", "NO"}
    if not plain and not capitals:
        return None
    longest = sorted(plain, key=len, reverse=True)
    parts = (_bounded(r"[\s\W]{1,3}".join(map(re.escape, one.split())), one) for one in longest)
    return re.compile(
        "|".join([*parts, *(rf"(?<!\w)(?-i:{one})(?!\w)" for one in sorted(capitals))]),
        re.IGNORECASE,
    )


def _bounded(pattern: str, plain: str) -> str:
    """The pattern for whole words only, where the script puts space between words."""
    return pattern if ord(plain[0]) > 0x2E7F else rf"(?<!\w){pattern}(?!\w)"
