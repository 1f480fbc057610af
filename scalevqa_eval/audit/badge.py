"""A small picture of the verdict for a README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalevqa_eval.audit.tables import verdict_words

_RED, _AMBER, _GREEN, _GREY = "#a02414", "#7a5c00", "#1b6e4b", "#50565c"
_COLOURS = {"leaky": _RED, "undecided": _AMBER, "imbalanced": _AMBER, "measurable": _AMBER}
_LABEL = "text-only audit"
_CHARACTER = 7.0  # of 11 px text, on the wide side: textLength fits the text to it
_PAD = 8


def badge_svg(data: Mapping[str, Any]) -> str:
    """A badge with the verdict of an audit.json in words. Needs no font and no link.

    It is green only where language models were asked, too: else knowledge was not tested.
    """
    words = verdict_words(data)
    known = data["parts"]["knowledge"] != "not tested"
    colour = _COLOURS.get(data["verdict"], _GREEN if known else _GREY)
    left = round(len(_LABEL) * _CHARACTER) + 2 * _PAD
    right = round(len(words) * _CHARACTER) + 2 * _PAD
    width = left + right
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>'
        for x, length, text in (
            (_PAD, left - 2 * _PAD, _LABEL),
            (left + _PAD, right - 2 * _PAD, words),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" '
        f'viewBox="0 0 {width} 20" role="img" aria-label="{_LABEL}: {words}">'
        f"<title>{_LABEL}: {words}</title>"
        f'<rect width="{width}" height="20" rx="4" fill="#33383e"/>'
        f'<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4}z" '
        f'fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
