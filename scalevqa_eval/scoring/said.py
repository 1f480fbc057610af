"""What a reply says: plain characters, outside `<think>`, in `<answer>` tags; prose and words."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["answer_tags", "in_words", "outside_thought", "plain_characters", "prose"]


class _Characters(dict[int, str]):
    """Full-width, circled and styled characters as plain ones; invisible ones as nothing.

    One character at a time: superscripts stay (10² is not 102), and nothing is reordered.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if unicodedata.category(char) == "Cf" or 0xFE00 <= code <= 0xFE0F:
            char = ""
        elif not unicodedata.decomposition(char).startswith(("<super>", "<fraction>")):
            char = unicodedata.normalize("NFKC", char)
        self[code] = char
        return char


_CHARACTERS = _Characters({0x3001: ",", 0x85: "\n", 0x2028: "\n", 0x2029: "\n"})
_THINK = re.compile(
    r"(?i)(?:<|◁|\[(?=/?(?-i:THINK)\]))\s{0,3}(/?)\s{0,3}(?:think|thinking|thought|reasoning)\b"
    r"[^<>▷\]]{0,80}[>▷\]]"
)
_OPEN = r"<\s{0,3}(?:final[_ -]?)?ans(?:wer)?\b[^<>]{0,80}>"
_ANSWER = re.compile(rf"(?is){_OPEN}((?:(?!{_OPEN}).)*?){_OPEN.replace('<', '</', 1)}")
_STYLE = re.compile(r"\\(?:text|math)?(?:bf|it|rm|sf|tt|normal|cal)?\s?\{([^{}\\]{1,400})\}")
_MARKS = re.compile(r"[*`#~$]+|__|\\[()\[\]]|\\boxed\b|</?[a-z][a-z_]{0,15}\s?/?>")
_SPACES = re.compile(r" {2,}|[\t\f\v]+")
_DROPPED = re.compile(r"[^\w+\-<>≤≥=%/²³.]+|[.\-](?!\w)|(?<!\w)\.(?!\d)")


def plain_characters(text: str) -> str:
    """Full-width, circled and styled letters as plain ones; one kind of line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else text.translate(_CHARACTERS)


def outside_thought(text: str) -> tuple[str, bool]:
    """What is said outside `<think>`, and whether the last thought was never closed.

    A `</think>` without an opening tag ends a thought that began before the reply did. Nested
    opening tags count as one. GLM's box tokens become the `<answer>` tag that they stand for.
    """
    text = text.replace("<|begin_of_box|>", "<answer>").replace("<|end_of_box|>", "</answer>")
    first, *rest = _THINK.split(text)
    said, inside = [first], False
    for closing, piece in zip(rest[::2], rest[1::2], strict=True):
        if closing and not inside:
            said = []
        inside = not closing
        if not inside:
            said.append(piece)
    return "\n".join(said), inside


def answer_tags(text: str) -> list[re.Match[str]]:
    """Complete `<answer>` tags in order; the first group is what they hold."""
    return [*_ANSWER.finditer(text)]


def prose(text: str) -> str:
    """Text without Markdown and LaTeX styles, with single spaces and line ends."""
    text = _SPACES.sub(" ", _MARKS.sub("", _STYLE.sub(r"\1", text)))
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))


def in_words(text: str) -> str:
    """Lower case, no punctuation but what carries meaning (signs, comparisons), single spaces."""
    return " ".join(_DROPPED.sub(" ", prose(plain_characters(text))).casefold().split())
