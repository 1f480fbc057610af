"""What a reply says: its characters made plain, thought set aside, cut where another turn begins;
and which option a piece of it names: by a letter, a letter with its text, the text.

Every pattern has bounded repeats, so that time is linear in the length of the reply.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


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


class _Characters(dict[int, str]):
    """Full-width, circled and styled characters as plain ones; invisible ones as nothing.

    One character at a time: superscripts stay (10² is not 102), and nothing is reordered.
    """

    def __missing__(self, code: int) -> str:
        char = folded = chr(code)
        if unicodedata.category(char) == "Cf" or 0xFE00 <= code <= 0xFE0F:
            folded = ""
        elif not unicodedata.decomposition(char).startswith(("<super>", "<fraction>")):
            folded = unicodedata.normalize("NFKC", char)
        self[code] = folded
        return folded


_CHARACTERS = _Characters(
    {0x3001: ",", 0x85: "\n", 0x2028: "\n", 0x2029: "\n", 0x0D: "\n", 0x130: "I"}
)
_THINK = re.compile(
    r"<\s{0,3}(/?)\s{0,3}(?:think|thinking|thought|reasoning)\b[^<>]{0,80}>"
    r"|◁(/?)think▷|\[(/?)THINK\]",
    re.IGNORECASE,
)
_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}(?:final[_ -]?)?(?:answer|ans)\b[^<>]{0,80}>", re.IGNORECASE)
_ESCAPED = re.compile(r"&lt;(/?[a-z_ ]{1,20})&gt;", re.IGNORECASE)
ERROR = re.compile(
    r"(?:<!doctype|<html|<h1>|\[error\]|traceback \(most recent"
    r"|[\w.]{0,60}(?-i:Error|Exception|ERROR)\s?[:(\[]"
    r"|\[?request[_ ](?:failed|timed out)|\{\s{0,3}[\"']error[\"']"
    r"|(?:http |error )?[45]\d\d[ :,-]{1,3}[a-z]"
    r"|error: )",
    re.IGNORECASE,
)
_TURN = re.compile(
    r"<[|｜/]?(?:im_end|eot_id|endoftext|end|end_of_turn|eos|s|user|end▁of▁sentence)[|｜]?>"
    r"|<\|(?:im_start|start_header_id)\|>|<start_of_turn>|\[/?INST\]"
    r"|\n[ *#]{0,6}(?:human|user|人类|用户)[ *]{0,3}:"
    r"|\n[ *#>]{0,6}(?:question|问题|题目|q)(?: ?#?(?:[2-9]|1\d)\b)?[ *]{0,3}[.:)]"
    r"|(?<=[a-z.!?)*])(?:user|assistant)\n",
    re.IGNORECASE,
)
_STYLE = re.compile(r"\\(?:text|math)?(?:bf|it|rm|sf|tt|normal|cal)?\s?\{([^{}\\]{1,400})\}")
_MARKS = re.compile(r"[*`#~$]+|__|\\[()\[\]]|\\boxed\b|</?[a-z][a-z_]{0,15}\s?/?>")
_SPACES = re.compile(r" {2,}|[\t\f\v]+")


def plain_characters(text: str) -> str:
    """Full-width, circled and styled letters as plain ones; one kind of line end."""
    text = text.replace("\r\n", "\n")
    return text.replace("\r", "\n") if text.isascii() else text.translate(_CHARACTERS)


def outside_thought(text: str) -> tuple[str, bool]:
    """What is said outside `<think>`, and whether the last thought was never closed.

    A `</think>` without an opening tag ends a thought that began before the reply did. Nested
    opening tags count as one.
    """
    said: list[str] = []
    inside, position = False, 0
    for tag in _THINK.finditer(text):
        closing = "/" in (tag[1] or tag[2] or tag[3] or "")
        if closing and not inside:
            said = []
        elif not closing and not inside:
            said.append(text[position : tag.start()])
        if closing or not inside:
            inside, position = not closing, tag.end()
    if not inside:
        said.append(text[position:])
    return "\n".join(said), inside


def answer_tags(text: str) -> list[str]:
    """What complete `<answer>` tags hold, in order."""
    found: list[str] = []
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            found.append(text[opened : tag.start()])
            opened = None
    return found


def first_turn(text: str) -> str:
    """The reply up to where another speaker or a further question begins."""
    text = _ESCAPED.sub(r"<\1>", text).strip()
    end = _TURN.search(text, 1)
    return text[: end.start()] if end else text


def prose(text: str) -> str:
    """Text without Markdown and LaTeX styles, with single spaces and line ends."""
    if "\\" in text:
        text = _STYLE.sub(r"\1", text)
    text = _SPACES.sub(" ", _MARKS.sub("", text))
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))


SEVERAL = "several"  # what `Options.choice` says of "A and C"
LETTER = r"[(\[{\"'“‘<「]{0,2} ?([A-Za-z])(?![A-Za-z0-9_²³]) ?[)\]}\"'”’>」]{0,2}"
_VALUE = re.compile(
    r"\W{0,3}(?:(?:the |my )?(?:final |correct |best )?(?:answer|option|choice|letter|选项|答案)"
    rf"(?: is)? ?[:=]? ?)?{LETTER}(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_MORE = re.compile(
    r" ?(?:,|/|&|\+|;|and/or |and |or |和|或|与|及|to |[-–] ?) ?"
    r"(?:(?:also|possibly|maybe|option|choice|both|or|and|it is|it['’]s) ){0,2}"
    r"[(\[\"']?([A-Z])(?![A-Za-z0-9'’])(?! [a-z]{2,})|[ ,]{0,2}[(\[]([A-Z])[)\]]"
)
_RUN = re.compile(r"\W{0,3}([A-Z](?:[, ]{0,2}[A-Z]){1,25})(?![A-Za-z0-9])")
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
        run = _RUN.match(text)
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
        value = prose(value).strip(" ,:;\n")
        if not value or len(value) > self.longest + 400:
            return None
        match, exact = _VALUE.match(value), self.with_text(value)
        if not match or not self.means(match[1], value, match.end(1)):
            return SEVERAL if not exact and self.run(value) else exact
        letter, rest = match[1].upper(), match["rest"]
        after = after_letter(rest)
        if not re.search(r"\w", after) or exact:
            return exact if exact and re.search(r"\w", after) else letter
        said = self.leading(after, wanted=letter)
        if goes_on(rest, letter) or said not in (None, letter):
            return SEVERAL
        if OTHERS.search(rest) and plain_text(after) != self.plain[letter]:
            return SEVERAL
        opened = value[: match.start(1)].endswith("(")
        marked = opened or re.match(r"[)\]]? ?[.:),]| (?:because|since|as)\b", rest)
        named = value[: match.start(1)].strip(" (")  # "Option B: …" is the heading of a discussion
        return letter if said or (marked and match[1].isupper() and not named) else None
