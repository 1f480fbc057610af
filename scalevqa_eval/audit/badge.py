"""A small picture of the verdict for a README."""

from __future__ import annotations

from collections.abc import Mapping

_COLOURS: Mapping[str, str] = {"clean": "#1b6e4b", "leaky": "#a02414", "undecided": "#7a5c00",
                                 "imbalanced": "#7a5c00", "measurable": "#1b6e4b"}  # fmt: skip
_LABEL = "text-only audit"
_CHARACTER = 7.0  # of 11 px text, on the wide side: textLength fits the text to it
_PAD = 8


def badge_svg(verdict: str) -> str:
    """A badge that says "text-only audit: clean", leaky or undecided. Needs no font and no link."""
    left = round(len(_LABEL) * _CHARACTER) + 2 * _PAD
    right = round(len(verdict) * _CHARACTER) + 2 * _PAD
    width = left + right
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>'
        for x, length, text in (
            (_PAD, left - 2 * _PAD, _LABEL),
            (left + _PAD, right - 2 * _PAD, verdict),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" '
        f'viewBox="0 0 {width} 20" role="img" aria-label="{_LABEL}: {verdict}">'
        f"<title>{_LABEL}: {verdict}</title>"
        f'<rect width="{width}" height="20" rx="4" fill="#33383e"/>'
        f'<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4}z" '
        f'fill="{_COLOURS[verdict]}"/>'
        f'<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
