"""What a reply says: its characters made plain, thought set aside, cut where another turn begins.

Every pattern has bounded repeats, so that time is linear in the length of the reply.
"""

from __future__ import annotations

import re
import unicodedata


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
_ERROR = re.compile(
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
    r"|\n[ *#]{0,6}(?:question|问题|q) ?#?(?:[2-9]|1\d)\b ?[.:)]",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(?<=[a-z.!?)*])(?:user|assistant)\n")
_RESTATED = re.compile(r"\n[ *#>]{0,6}(?:question|q|问题|题目)[ *]{0,3}[:.]", re.IGNORECASE)

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


def is_error(text: str) -> bool:
    """Whether a reply is an error message or page instead of a reply."""
    return bool(_ERROR.match(text))


def first_turn(text: str) -> tuple[str, str]:
    """The reply up to where another speaker or a further question begins, in two parts.

    A line "Question:" can restate the question before it is answered, or begin the next one: the
    second part is what stands from the first such line on ("" without one).
    """
    text = _ESCAPED.sub(r"<\1>", text).strip()
    for turn in (_TURN, _GLUED):
        if end := turn.search(text, 1):
            text = text[: end.start()]
    again = _RESTATED.search(text)
    return (text[: again.start()], text[again.start() :]) if again else (text, "")


def prose(text: str) -> str:
    """Text without Markdown and LaTeX styles, with single spaces and line ends."""
    if "\\" in text:
        text = _STYLE.sub(r"\1", text)
    text = _SPACES.sub(" ", _MARKS.sub("", text))
    return "\n".join(stripped for line in text.split("\n") if (stripped := line.strip()))
