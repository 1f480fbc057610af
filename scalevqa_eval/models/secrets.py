"""Keeps keys out of everything that is written or shown."""

from __future__ import annotations

import os
import re

from scalevqa_eval.errors import UsageError

HIDDEN = "***"

# What keys of the providers look like, in case a server echoes one that is not ours.
_KEY_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_*-]{6,}|AIza[A-Za-z0-9_-]{10,}|AQ\.[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{10,})"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}")
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@?#\"'<>]+@")
_QUERY = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.-]*(?:key|token|secret|password|passwd|signature|credential)"
    r"|auth|sig|pwd)=)[^&;#\s\"'<>)]+"
)


def mask(text: str, *keys: str) -> str:
    """`text` with the given keys, and all that looks like one, replaced by `***`.

    User names and passwords in URLs and the values of query fields such as `key=` go too.
    """
    for key in sorted(keys, key=len, reverse=True):
        if len(key) >= 4:
            text = text.replace(key, HIDDEN)
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _KEY_SHAPES.sub(HIDDEN, text)


def key_from_environment(*variables: str, engine: str, default: str | None = None) -> str:
    """The key in the first of `variables` that is set, else `default`.

    Raises UsageError, which names the variable, if there is none or if it cannot be a key.
    """
    for variable in variables:
        key = os.environ.get(variable, "").strip()
        if not key:
            continue
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UsageError(f"{variable} holds spaces or characters that no key has: set it again")
        return key
    if default is None:
        raise UsageError(
            f"{engine}/ needs a key: set the environment variable {' or '.join(variables)}"
        )
    return default
