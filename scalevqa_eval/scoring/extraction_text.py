"""A reply made plain before it is read: characters, thought, further turns, tags, error pages.

Everything here takes time linear in the length of the reply: patterns have bounded repeats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A reply longer than this is read at both ends only (tags are still sought in all of it).
WINDOW = 60_000
# How often a reply may restate its question before the rest of it is left unread.
MOST_TURNS = 4

_CHARACTERS: dict[int, str] = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_CHARACTERS |= {0x3000: " ", 0xA0: " ", 0x202F: " ", 0x2009: " ", 0x85: "\n", 0x2028: "\n"}
_CHARACTERS |= {0x2029: "\n", 0x0D: "\n", 0x3001: ",", 0x2E41: ",", 0x060C: ",", 0xFF61: "。"}
_CHARACTERS |= dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xFE0F, 0xAD), "")
_CHARACTERS |= dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "")
for _start in (0x24B6, 0x1F110, 0x1F130, 0x1F150, 0x1F170):  # circled, squared and the like
    _CHARACTERS |= {_start + place: f"({chr(65 + place)})" for place in range(26)}
_CHARACTERS |= {0x24D0 + place: f"({chr(97 + place)})" for place in range(26)}
_CHARACTERS |= {0x249C + place: f"({chr(97 + place)})" for place in range(26)}
for _start in range(0x1D400, 0x1D6A4, 52):  # mathematical bold, italic, ... alphabets
    _CHARACTERS |= {_start + place: chr(65 + place) for place in range(26)}
    _CHARACTERS |= {_start + 26 + place: chr(97 + place) for place in range(26)}

_THINK = re.compile(
    r"<\s{0,3}(/?)\s{0,3}(?:think|thinking|thought|reasoning)\b[^<>]{0,80}>"
    r"|◁(/?)think▷|\[(/?)THINK\]",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"(?:<|\[(?=/?(?:final[_ -]?)?answer\]))\s{0,3}(/?)\s{0,3}(?:final[_ -]?)?(?:answer|ans)\b"
    r"[^<>\]]{0,80}[>\]]",
    re.IGNORECASE,
)
_ANY_TAG = re.compile(r"</?(?:[a-z]|[A-Za-z][\w-]{1,20})(?:\s[^<>]{0,80})?/?>")
_LATEX_STYLE = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathbb|emph|bf"
    r"|rm)\s?(?=\{)"
)
_SPACES = re.compile(r"[ \t\f\v]+")
_LINES = re.compile(r" ?\n[ \n]*")
_MARKDOWN = str.maketrans({"*": None, "`": None, "#": None, "$": None, "~": None})
_RULES = re.compile(r"(?m)^ ?[-=_]{3,} ?$|__")

_ERROR_START = re.compile(
    r"[\[({<\"'\s]{0,4}(?:"
    r"(?:\w{1,40}\.){0,4}\w{0,40}(?:Error|Exception|ERROR)\b(?=\s{0,3}[:(\[{0-9\]]|\s{0,3}$"
    r"|\s(?:code|\d))"
    r"|REQUEST[_ ]FAILED|API[_ ](?:ERROR|FAILURE)|FAILED[_ ]REQUEST"
    r"|(?:the )?(?:api |http )?request (?:has )?(?:failed|timed out|was rejected|error)"
    r"|(?:http|status|error)(?:[ /_]?(?:1\.1|code|status))?[ :=]{0,3}[45]\d\d\b"
    r"|[45]\d\d[ :,-]{1,3}(?:internal|bad|service|gateway|too many|unauthor|forbidden|not found"
    r"|server|client|error|payment|request|overloaded|\{)"
    r"|internal server error|bad gateway|gateway time-?out|service (?:temporarily )?unavailable"
    r"|too many requests|rate limit|quota exceeded|connection (?:error|reset|refused|aborted"
    r"|timed)"
    r"|read timed out|time-?d?[ -]?out\b|upstream (?:connect|request)|server (?:error|overloaded)"
    r"|failed to (?:obtain|get|generate|fetch|connect|receive|parse|load|decode|process)"
    r"|could not (?:connect|reach|resolve)|unable to (?:connect|reach)"
    r"|traceback \(most recent|<!doctype|<html|<\?xml|!doctype|html>|html\b[^\n]{0,40}>"
    r"|\"?error\"?\s{0,2}:|cuda (?:error|out of memory)|out of memory"
    r"|content[_ ]filter|blocked by|(?:sorry|oops|unfortunately)?,?\s{0,2}(?:something went wrong"
    r"|an (?:internal |unexpected |unknown )?error (?:has )?occurred))",
    re.IGNORECASE,
)
_ERROR_LATER = re.compile(r"(?m)^\s{0,8}Traceback \(most recent call last\)|<!DOCTYPE html|<html\b")
_CASED_ERROR = re.compile(
    r"[\[({<\"'\s]{0,4}(?:[a-z_.]{0,80}[A-Za-z]{0,40}(?:Error|Exception)|ERROR)"
)

_CHAT_END = re.compile(
    r"<\|?(?:im_end|eot_id|endoftext|end_of_text|end|eom_id|end_of_turn|/s)\|?>"
    r"|<[｜|](?:end▁of▁sentence|User|Assistant)[｜|]>|</s>|<end_of_turn>|<eos>",
    re.IGNORECASE,
)
_CHAT_START = re.compile(
    r"<\|im_start\|>\s?(?:assistant|user|system)?"
    r"|<\|start_header_id\|>\s?\w{0,10}\s?<\|end_header_id\|>"
    r"|<start_of_turn>\s?(?:model|user)?|<\|begin_of_text\|>|<s>|\[/?INST\]",
    re.IGNORECASE,
)
_NEW_TURN = re.compile(
    r"(?:^|\n)[ *#_>\-]{0,8}(?:"
    r"(?:(?:human|user|student|questioner|用户|问|人类)[ *]{0,3}:)"
    r"|(?:(?:new |next |another )question\b)"
    r"|(?:(?:question|q|problem|case|问题|第)[ .#]{0,2}(?:no\.? ?)?(?:[2-9]"
    r"|1\d)\b[^\n]{0,3}[:.)\n-])"
    r"|(?:(?:user|human|assistant|model)[ *]{0,3}\n)"
    r"|(?:(?:###|\*\*) ?(?:instruction|input|human|user)\b)"
    r"|(?P<weak>(?:question|q|问题|题目|query)(?: ?1)?[ *]{0,3}[:.]))",
    re.IGNORECASE,
)
_GLUED_TURN = re.compile(r"(?<=[.!?)a-zA-Z*])(?:assistant|user)\n")

_PLACEHOLDER = re.compile(
    r"[\[<({\"'\s]{0,4}(?:x|(?:the |your |single |best |correct |final |option |one |chosen "
    r"|insert )"
    r"{0,5}(?:answer|letter|option|choice|option letter|answer here|letter here|here)"
    r"|\.{2,}|…|[_?\-]{1,9}|[a-z]\s?[-–]\s?[a-z]"
    r"|[a-z](?:\s?[/|]\s?[a-z]){2,})[\]>)}\"'.\s]{0,4}\Z",
    re.IGNORECASE,
)
_EXAMPLE_BEFORE = re.compile(
    r"(?:example|e\.g\.|for instance|such as|format|in the form|like this|template|例如|示例|格式)"
    r"[\s:,(\"'`*]{0,6}\Z",
    re.IGNORECASE,
)


def plain_characters(text: str) -> str:
    """Full-width, circled and mathematical letters as plain ones; one kind of line end."""
    if "&lt;" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("\r\n", "\n").translate(_CHARACTERS)


def outside_thought(text: str) -> tuple[str, bool]:
    """What is said outside `<think>`, and whether the last thought was never closed.

    A `</think>` without an opening tag ends a thought that began before the reply did. Nested
    opening tags count as one.
    """
    said: list[str] = []
    inside = False
    position = 0
    for tag in _THINK.finditer(text):
        closing = "/" in (tag[1] or tag[2] or tag[3] or "")
        if inside:
            if closing:
                inside, position = False, tag.end()
        elif closing:
            said, position = [], tag.end()
        else:
            said.append(text[position : tag.start()])
            inside = True
    if not inside:
        said.append(text[position:])
    return "\n".join(said), inside


def without_examples(text: str) -> str:
    """The text without `<think>…</think> <answer>A</answer>` quoted as an example of the form."""
    kept: list[str] = []
    position = 0
    for tag in _EXAMPLE_TAG.finditer(text):
        if _EXAMPLE_BEFORE.search(text, max(0, tag.start() - 40), tag.start()):
            kept.append(text[position : tag.start()])
            position = tag.end()
    return "".join(kept) + text[position:]


_EXAMPLE_TAG = re.compile(
    r"(?:<think>[^<>]{0,80}</think>\s{0,5})?<answer>[^<>]{0,40}</answer>", re.IGNORECASE
)


def turns(text: str) -> list[tuple[str, bool]]:
    """The reply cut where a further question or speaker begins.

    Each piece comes with whether it may still belong to the reply: a line "Question:" can
    restate the question that was asked, "Question 2:" or "User:" cannot.
    """
    end = _CHAT_END.search(text, len(text) - len(text.lstrip()) + 1)
    if end and text[: end.start()].strip():
        text = text[: end.start()]
    text = _CHAT_START.sub("\n", text)
    text = _GLUED_TURN.sub("\nuser\n", text)
    pieces: list[tuple[str, bool]] = []
    position, own = 0, True
    for mark in _NEW_TURN.finditer(text):
        if len(pieces) == MOST_TURNS or not own:
            break
        if not text[position : mark.start()].strip():
            continue
        pieces.append((text[position : mark.start()], own))
        position = mark.start()
        own = own and mark["weak"] is not None
    pieces.append((text[position:], own))
    return pieces


@dataclass(frozen=True, slots=True)
class Tagged:
    """The content of a complete `<answer>` tag."""

    content: str


def answer_tags(text: str) -> list[Tagged]:
    """Complete `<answer>` tags that hold something, in order; placeholders are passed over."""
    found: list[Tagged] = []
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            content = text[opened : tag.start()]
            if content.strip(" \n\t*_`") and not _PLACEHOLDER.match(content.strip(" \n\t*_`")[:99]):
                found.append(Tagged(content))
            opened = None
    return found


def is_placeholder(text: str) -> bool:
    """Whether this stands where a letter should: "X", "your answer", "..."."""
    return bool(_PLACEHOLDER.match(text.strip()[:99]))


def looks_like_error(text: str) -> bool:
    """Whether a reply is an error message or page instead of a reply."""
    start = text.lstrip()[:400]
    if start.startswith("<") and not _ERROR_START.match(start):
        start = _ANY_TAG.sub("", start)
    match = _ERROR_START.match(start)
    return bool(
        match and (not re.match(r"\W*\w*(?:error|exception)", start, re.I) or _error_case(start))
    )


def _error_case(start: str) -> bool:
    """Names of errors are cased (`ValueError`, `ERROR`), "error analysis" is prose."""
    return bool(_CASED_ERROR.match(start)) or bool(
        re.match(r"\W{0,4}\"?error\"?\s{0,2}[:(\d]", start)
    )


def before_error(text: str) -> str:
    """The text up to a traceback or an HTML page in it."""
    found = _ERROR_LATER.search(text)
    return text[: found.start()] if found else text


def prose(text: str) -> str:
    """Text without markup: no Markdown, LaTeX styles or tags, single spaces and line ends."""
    if len(text) > 2 * WINDOW:
        text = f"{text[:WINDOW]}\n\n\n{text[-WINDOW:]}"
    text = _LATEX_STYLE.sub("", text)
    text = text.replace("\\(", "").replace("\\)", "").replace("\\[", "").replace("\\]", "")
    text = _ANY_TAG.sub(" ", text).replace("\\_", "_")
    text = _RULES.sub("", text.translate(_MARKDOWN))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
