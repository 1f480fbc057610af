"""What replies cost: token counts times a small table that anyone can edit (prices.yaml)."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Usage

VARIABLE = "SCALEVQA_PRICES"
RATES = ("input", "cached", "output")
# gpt-5.4-2026-03-05, claude-opus-4-5-20251101, gemini-3.5-flash-latest: priced as their family.
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)\Z")


def cost(model_name: str, usage: Usage) -> float | None:
    """US dollars of one reply of the model `engine/name`; None if price or counts are unknown.

    Raises DataError if the file that SCALEVQA_PRICES names cannot be used.
    """
    rates = rates_of(model_name)
    if rates is None:
        return None
    if not any(rates.values()):
        return 0.0
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    dollars = (
        (usage.prompt_tokens - cached) * rates["input"]
        + cached * rates["cached"]
        + usage.completion_tokens * rates["output"]
    )
    return dollars / 1_000_000


def rates_of(model_name: str, today: datetime.date | None = None) -> Mapping[str, float] | None:
    """Dollars per million tokens (`input`, `cached`, `output`), or None if they are unknown."""
    table = _table(os.environ.get(VARIABLE, ""))
    entry = _find(table, model_name) or _find(table, _SNAPSHOT.sub("", model_name))
    if entry is None:
        return None
    until = entry.get("until")
    if isinstance(until, datetime.datetime):  # a date too, but one that compares with no date
        until = until.date()
    if until is not None and (today or datetime.date.today()) > until:
        return None
    return {rate: float(entry[rate]) for rate in RATES}


def _find(table: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    if name in table:
        return table[name]
    patterns = [key for key in table if key.endswith("*") and name.startswith(key[:-1])]
    return table[max(patterns, key=len)] if patterns else None


@lru_cache(maxsize=8)
def _table(own: str) -> Mapping[str, Mapping[str, Any]]:
    built_in = resources.files(__package__) / "prices.yaml"
    table = _read(built_in.read_text("utf-8"), "prices.yaml")
    if own:
        try:
            text = Path(own).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{VARIABLE}={own} cannot be read: {error}") from None
        table |= _read(text, own)
    return table


def _read(text: str, place: str) -> dict[str, Mapping[str, Any]]:
    from scalevqa_eval.data import read_yaml

    table = read_yaml(text, place) or {}
    if not isinstance(table, dict):
        raise DataError(f"{place} must map model names to prices")
    for name, entry in table.items():
        if not _is_price(entry):
            raise DataError(
                f"{place}: {name} needs input, cached and output in dollars per million tokens, "
                "such as {input: 2.5, cached: 0.25, output: 15}"
            )
    return {str(name): entry for name, entry in table.items()}


def _is_price(entry: object) -> bool:
    if not isinstance(entry, dict) or not set(entry) <= {*RATES, "until"}:
        return False
    rates = [entry.get(rate) for rate in RATES]
    numbers = all(
        isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < float("inf")
        for rate in rates
    )
    return numbers and isinstance(entry.get("until", datetime.date.min), datetime.date)
