"""What stands before and after a letter, and what that makes of it."""

from __future__ import annotations

import re

from scalevqa_eval.scoring import extraction_patterns as words
from scalevqa_eval.scoring.extraction_options import Options

# --- what follows a letter -----------------------------------------------------------------------

OK, NO, MANY = "ok", "no", "many"
_CLOSE = re.compile(words.CLOSE)
_END = re.compile(r"\s?(?:\Z|\n|[.,;:!?)\]}\"”…。|*]|[-–—]\s)")


def after(text: str, end: int, found: str, options: Options, strict: bool = False) -> str:
    """Whether a letter that ends at `end` is one answer, one of many, or none.

    `strict` asks for the end of a sentence, the option's own text or a reason after it.
    """
    end = after_brackets(text, end)
    rest = text[end : end + 80]
    if words.NEGATED_AFTER.match(rest) or words.EPITHET.match(rest):
        return NO
    own = own_text(text, end, found, options)
    if own and _is_many(text[own : own + 80], found, options):
        return MANY
    if _is_many(rest, found, options):
        return MANY
    if own or _END.match(rest):
        return OK
    if words.NAMED_BY_LETTER.match(rest):
        return NO
    first = rest.lstrip(" ")[:1]
    if (first and ord(first) > 0x24F) or first in "(<[":
        return OK
    if words.FOLLOWS.match(rest.lstrip(" ")):
        joined = re.match(r" ?(?:and|but)\b", rest)
        return OK if not strict or (found.isupper() and (found not in "AI" or joined)) else NO
    if strict or found in "AI" or found.islower():
        return OK if re.match(r" ?(?:because|since|as|due|not|rather)\b", rest) else NO
    return OK if first.isupper() else NO


def after_brackets(text: str, end: int) -> int:
    match = _CLOSE.match(text, end)
    return match.end() if match else end


def own_text(text: str, end: int, found: str, options: Options) -> int:
    """Where the option's own text ends if it follows the letter, else 0."""
    letter = options.letter(found)
    skipped = re.compile(r"[\s.:)\-–—,\"“'(]{0,6}").match(text, end)
    start = skipped.end() if skipped else end
    limit = max(map(len, options.texts.values()), default=0) + 200
    named, length = options.begins(text[start : start + limit])
    return start + length if letter in named else 0


def contradicted(text: str, end: int, letter: str, options: Options) -> bool:
    """Whether the letter is followed by the exact text of another option and not its own."""
    start = after_brackets(text, end)
    skipped = re.compile(r"\s?[.:)\-–—,]{1,2}[\s\"“'(]{0,3}|\s?[(\"“]").match(text, start)
    if not skipped:
        return False
    line = text[skipped.end() : skipped.end() + 2000].split("\n", 1)[0]
    named, length = options.begins(line)
    if not named or letter in named:
        return False
    return bool(re.match(r"[\s)\"”'.]*(?:\Z|[.;,)\n])", line[length : length + 40]))


_BEFORE_SECOND = re.compile(
    r"\A(?:[\s)\"”\]]{1,8}(?=[,/&;|]|and|or)|[\s(.…,—–-]{1,8}(?=(?:and"
    r"|or) [^.\n]{0,30}(?:[.\n]|$)))"
)


def _is_many(rest: str, found: str, options: Options) -> bool:
    match = words.SEVERAL.match(_BEFORE_SECOND.sub(" ", rest))
    if not match:
        return False
    second = match["second"]
    letter = options.letter(second)
    if letter is None or letter == found.upper() or second.islower() != found.islower():
        return False
    return bool(words.SEVERAL_REST.match(match["rest"]))


# --- what stands before --------------------------------------------------------------------------


def clause_before(text: str, start: int) -> str:
    """The words before `start` in the same clause."""
    left = text[max(0, start - 90) : start]
    last = 0
    for mark in words.CLAUSE_END.finditer(left):
        last = mark.end()
    return left[last:]


def sentence_before(text: str, start: int) -> str:
    """The words before `start` in the same sentence."""
    left = text[max(0, start - 200) : start]
    return re.split(r"[.!?\n]", left)[-1]


def negated(text: str, conditional: bool = True) -> bool:
    text = words.NO_DOUBT.sub("", text)
    return bool(words.NEGATION.search(text) or (conditional and words.CONDITIONAL.search(text)))
