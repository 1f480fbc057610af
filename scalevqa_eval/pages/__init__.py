"""How results are written for others: the templates of pages, and cells that are safe to open."""

from __future__ import annotations

import re

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_AFTER_SEMICOLON = re.compile(r'(;[\s"]*)(?=[=+\-@|%＝＋－＠])')


def csv_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: such ones begin with an apostrophe.

    Nor what follows a semicolon, which splits cells where a comma is the decimal sign.
    """
    one_line = " ".join(text.split())
    one_line = _AFTER_SEMICOLON.sub(r"\1'", one_line)
    return f"'{one_line}" if one_line.startswith(_FORMULA) or text[:1] in _FORMULA else one_line
