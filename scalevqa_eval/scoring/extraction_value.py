"""The one option that a short value names: a tag, a box, a field of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_context import (
    MANY,
    OK,
    after,
    after_brackets,
    clause_before,
    contradicted,
    negated,
)
from scalevqa_eval.scoring.extraction_options import Options
from scalevqa_eval.scoring.extraction_sentences import asserted
from scalevqa_eval.scoring.extraction_statements import Statement, statements

_LABEL = re.compile(
    r"[\s\"'“‘(\[{<*_>•\-–]{0,6}(?:(?:the |my |final |correct |best ){0,3}(?:option|choice"
    r"|answer|ans|letter"
    r"|选项|選項|答案|選択肢|정답|opción|antwort)\s?(?:is|:|是|=|-)?\s?)?[\"'“(\[{]{0,3}"
    r"(?P<letter>[A-Za-z])(?![A-Za-z0-9_À-ɏ&+%°/]|['’][A-Za-z]|-[A-Za-z0-9])",
    re.IGNORECASE,
)


# What a value sets its option against: "B, not A".
_SET_AGAINST = re.compile(
    r",? (?:not|rather than|instead of|as opposed to|over) (?:option )?\(?[A-Z]\)?\Z"
)


def choice_in(value: str, options: Options) -> str | None:
    """The one letter that a short value (a tag, a box, a JSON field) names, or None."""
    value = value.strip().strip("\"'“”‘’.,;:!?*_` ")
    value = _SET_AGAINST.sub("", value)
    if len(value) == 1:
        return options.letter(value)
    if options.is_text(value):
        return options.named(value)
    match = _LABEL.match(value)
    if match:
        found, end = match["letter"], match.end("letter")
        letter = options.letter(found)
        verdict = after(value, end, found, options, strict=True)
        labelled = re.match(
            r"\s?[)\].:}\"']|\s?[-–—,(]|\Z|\n", value[after_brackets(value, end) :][:3] or ""
        )
        closed = after_brackets(value, end) > end
        if letter is None or verdict != OK or not (labelled or closed or _reason(value[end:])):
            return None if verdict == MANY else _by_text_or_statement(value, options)
        if contradicted(value, end, letter, options) or _other_labels(value[end:], found, options):
            return None
        return letter
    return _by_text_or_statement(value, options)


def _reason(rest: str) -> bool:
    return bool(
        re.match(r"\s(?:because|since|as|due|is (?:the )?(?:correct|best|right|most))\b", rest)
    )


def _other_labels(rest: str, found: str, options: Options) -> bool:
    for label in re.finditer(r"(?<![A-Za-z])([A-Z])[).:]\s", rest[:5000]):
        other = options.letter(label[1])
        if other and other != found.upper() and other in options.begins(rest[label.end() :])[0]:
            return True
    others = re.finditer(r"(?:[\n,;/|&(]\s?|(?:and|or) )\(?([A-Za-z])(?:[).:,\]]|\s?$)", rest)
    return any(
        options.letter(one[1]) not in (None, found.upper()) and one[1].isupper() == found.isupper()
        for one in others
    )


def _by_text_or_statement(value: str, options: Options) -> str | None:
    labelled = re.search(r"[\s(\[]\(?(?P<letter>[A-Z])[)\]]\s?\.?\Z", value)
    if labelled:
        named = options.named(value[: labelled.start()])
        letter = options.letter(labelled["letter"])
        if named:
            return named if named == letter else None
    found = statements(value, options) or asserted(value, options)
    letters = {one.letter for one in found}
    return letters.pop() if len(letters) == 1 else None


def boxed(text: str, options: Options) -> Iterator[Statement]:
    """Every `\\boxed{...}` that holds something, unless what follows rejects it."""
    for match in words.BOXED.finditer(text):
        value = match["value"].strip(" {}()[].")
        denied = words.NEGATED_AFTER.match(text[match.end() : match.end() + 80])
        if value and not denied and not negated(clause_before(text, match.start()), False):
            letter = choice_in(value, options)
            yield Statement(match.start(), match.end(), letter, True, "boxed")
