"""What names an option: a letter, a letter with its text, the text; what names several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from scalevqa_eval.scoring.reply_text import plain_characters, prose


@dataclass(frozen=True, slots=True)
class Extraction:
    """The chosen letter and how it was found; without a letter `method` says why there is none.

    With a letter: `answer-tag`, `json`, `boxed`, `statement`, `letter`, `option-text`.
    Without: `answer-tag-unreadable`, `ambiguous`, `no-answer` (what it says of an answer is a
    negation or a condition), `no-such-option`, `truncated-think`, `error-text`, `refusal`,
    `empty`, `open-question`, `nothing-found`.
    """

    letter: str | None
    method: str


SEVERAL = "several"  # what `Options.choice` says of "A and C"
LETTER = r"[(\[{\"'“‘<「]{0,2} ?([A-Za-z])(?![A-Za-z0-9_²³]) ?[)\]}\"'”’>」]{0,2}"
_VALUE = re.compile(
    r"(?:(?:the |my )?(?:final |correct |best )?(?:answer|option|choice|letter|选项|答案)"
    rf"(?: is)? ?[:=]? ?)?{LETTER}(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_TEXT_LETTER = re.compile(r"([^\n]{1,400}?) ?\(([A-Z])\)")
_AND = (
    r" ?(?:,|/|&|\+|;|and/or |and |or |和|或|与|及|to |[-–] ?) ?"
    r"(?:(?:also|possibly|maybe|option|choice|both|or|and|it is|it['’]s) ){0,2}"
)
_MORE = re.compile(
    rf"{_AND}[(\[\"']?([A-Z])(?![A-Za-z0-9'’])(?! [a-z]{{2,}})|[ ,]{{0,2}}[(\[]([A-Z])[)\]]"
)
RUN = re.compile(r"\W{0,3}([A-Z](?:[, ]{0,2}[A-Z]){1,25})(?![A-Za-z0-9])")
OTHERS = re.compile(r"(?:^|[ ,;(\"])[B-HJ-Z]\"?(?:[.)](?= |$)|:|\W?$)")
_SYMBOL = re.compile(r" ?[=+^<>≤≥×*/_'’](?! ?[A-Z]\b)|-[A-Za-z]|\.[A-Za-z]")
_AFTER_LETTER = re.compile(  # after an "A" that is no article, an "I" that is no pronoun
    r" ?[^\w\s]{0,2}(?:$|\n)|[)\]}\"'”’.:;,!?。]|\s?[-–—(]"
    r"|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
    r"| (?:because|since|as|which|and|or|with|for|due|based|given|is|was|but|rather|not)\b"
)
_SEPARATOR = re.compile(r"[ .):,\]\"'(]{0,4}(?:[–—-] )?")
_DROPPED = re.compile(r"[^\w+\-<>≤≥=%/²³.]+|[.\-](?!\w)|(?<!\w)\.(?!\d)")


def plain_text(text: str) -> str:
    """Lower case, no punctuation but what carries meaning (signs, comparisons), single spaces."""
    return " ".join(_DROPPED.sub(" ", prose(plain_characters(text))).casefold().split())


def goes_on(rest: str, letter: str) -> bool:
    """Whether another letter goes on after this one: "A and C"."""
    more = _MORE.match(rest)
    return more is not None and (more[1] or more[2]) != letter


def after_letter(rest: str) -> str:
    """What follows a letter and its punctuation; a sign stays with its number."""
    match = _SEPARATOR.match(rest)
    return rest[match.end() :] if match else rest


@lru_cache(maxsize=4096)
def options_of(options: tuple[tuple[str, str], ...]) -> Options:
    return Options(dict(options))


class Options:
    """The options of a question, ready to be recognised."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.letters = frozenset(texts)
        self.plain = {letter: plain_text(text) for letter, text in texts.items()}
        self.longest = max(map(len, texts.values()))
        self.by_text: dict[str, list[str]] = {}
        for letter, text in self.plain.items():
            if text:
                self.by_text.setdefault(text, []).append(letter)

    def with_text(self, text: str) -> str | None:
        """The letter of the one option with exactly this text."""
        found = self.by_text.get(plain_text(text[: 2 * self.longest + 40]), ())
        return found[0] if len(found) == 1 else None

    def leading(self, text: str, *, wanted: str = "") -> str | None:
        """The option whose text `text` begins with, the longest first; of twins the wanted one."""
        words = plain_text(text[: 2 * self.longest + 20])
        starts = [own for own in self.by_text if f"{words} ".startswith(f"{own} ")]
        found = self.by_text[max(starts, key=len)] if starts else []
        if wanted in found:
            return wanted
        return found[0] if len(found) == 1 else None

    def own_text(self, letter: str, rest: str) -> int:
        """Where the option's own text that follows its letter ends; 0 if it does not follow."""
        own = self.plain[letter]
        after = after_letter(rest)
        start = len(rest) - len(after)
        if not own or self.leading(after, wanted=letter) != letter:
            return 0
        for end in range(start + len(own), min(len(rest), start + 2 * len(own) + 12) + 1):
            if not rest[end : end + 1].isalnum() and plain_text(rest[start:end]) == own:
                return end
        return 0

    def run(self, text: str) -> bool:
        """Whether `text` begins with several letters: "ABD", "A, C"."""
        run = RUN.match(text)
        return run is not None and set(run[1]) <= self.letters | {",", " "}

    def means(self, letter: str, text: str, end: int) -> bool:
        """Whether a letter that ends at `end` names an option, and is no article or symbol."""
        rest = text[end : end + 600]
        if letter.upper() not in self.letters or _SYMBOL.match(rest):
            return False
        if self.leading(after_letter(rest), wanted=letter.upper()) == letter.upper():
            return True
        if letter.islower():  # "(b)" or a "b" that ends its line; not if another's text is "b"
            text_of = self.by_text.get(letter, [letter.upper()])
            return letter.upper() in text_of and bool(re.match(r"[)\]]|[.\"' ]{0,2}(?:$|\n)", rest))
        return letter not in "AI" or bool(_AFTER_LETTER.match(rest))

    def choice(self, value: str) -> str | None:
        """The letter that a value means: "B", "(b)", "B. Necrosis", "Necrosis"; or `SEVERAL`."""
        value = prose(value).strip(" .,:;\n")
        if not value or len(value) > 2 * self.longest + 200:
            return None
        if (both := _TEXT_LETTER.fullmatch(value)) and self.with_text(both[1]) == both[2]:
            return both[2]
        match = _VALUE.match(value)
        if not match or not self.means(match[1], value, match.end(1)):
            several = self.run(value) and not self.with_text(value)
            return SEVERAL if several else self.with_text(value)
        letter, rest = match[1].upper(), match["rest"]
        if not rest.strip(" .)]}\"'"):
            return letter
        if exact := self.with_text(value):
            return exact
        if goes_on(rest, letter):
            return SEVERAL
        after = after_letter(rest)
        if OTHERS.search(rest) and plain_text(after) != self.plain[letter]:
            return SEVERAL
        said = self.leading(after, wanted=letter)
        closed = value[match.end(1) : match.end(1) + 1] in (".", ")", ":", "]", ",")
        return letter if said == letter or (closed and not said) else None
