"""The one look of all pages and tables: templates, how numbers are written, text that is safe.

Templates get the environment from here; terminal tables, Markdown and CSV the same functions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_AFTER_SEMICOLON = re.compile(r'(;[\s"]*)(?=[=+\-@|%＝＋－＠])')
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
# Letters and marks that are drawn as nothing; the other unseen characters have categories.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


def environment(package: str = __name__) -> Environment:
    """Templates of `package` (its folder `templates`) and the shared ones of this room.

    Everything is escaped, an unknown name is an error.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, __name__))])
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"percent": percent, "span": span, "fraction": fraction}
    made.filters |= {"short": short, "visible": visible}
    return made


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal and no sign, or a dash."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"


def span(ends: Sequence[float] | None, without: str = "–") -> str:
    """An interval of shares in percent, `[53.7, 59.8]`; `without` where there is none."""
    return without if ends is None else f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def fraction(correct: float, n: int) -> str:
    """k/n, without a needless fraction: 344/450, or 344.33/450 where ties earned a share."""
    return f"{correct:.2f}".rstrip("0").rstrip(".") + f"/{n}"


def short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def is_unseen(character: str) -> bool:
    """Control, format, private and blank characters: they move the cursor, turn text around on a
    page, or make two names alike."""
    odd = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return odd or character in _BLANK


def visible(text: str) -> str:
    """A text with each character that cannot be seen replaced, but for line feeds and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if is_unseen(c) and c not in "\n\t" else c
                   for c in text)  # fmt: skip


def one_line(text: str) -> str:
    """A text from a file as a label: visible, and on one line."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def csv_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: such ones begin with an apostrophe.

    Nor what follows a semicolon, which splits cells where a comma is the decimal sign.
    """
    line = _AFTER_SEMICOLON.sub(r"\1'", " ".join(text.split()))
    return f"'{line}" if line.startswith(_FORMULA) or text[:1] in _FORMULA else line


def markdown_text(text: str) -> str:
    """A text as plain Markdown on one line: no markup, links or HTML get through."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
