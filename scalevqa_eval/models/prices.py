"""What replies cost: token counts times a small table that anyone can edit (prices.yaml)."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Usage

VARIABLE = "SCALEVQA_PRICES"
# gpt-5.4-2026-03-05, claude-opus-4-5-20251101, gemini-3.5-flash-latest: priced as their family.
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)\Z")

_Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Day = Annotated[
    datetime.date | None,
    BeforeValidator(lambda day: day.date() if isinstance(day, datetime.datetime) else day),
]


class Price(BaseModel):
    """Dollars per million tokens, and the last day on which that is so."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: _Rate
    cached: _Rate
    output: _Rate
    until: _Day = None


def cost(model_name: str, usage: Usage) -> float | None:
    """US dollars of one reply of the model `engine/name`; None if price or counts are unknown.

    Raises DataError if the file that SCALEVQA_PRICES names cannot be used.
    """
    price = price_of(model_name)
    if price is None:
        return None
    if not (price.input or price.cached or price.output):
        return 0.0
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    dollars = (
        (usage.prompt_tokens - cached) * price.input
        + cached * price.cached
        + usage.completion_tokens * price.output
    )
    return dollars / 1_000_000


def price_of(model_name: str, today: datetime.date | None = None) -> Price | None:
    """The price of a model's tokens, or None if it is unknown."""
    table = _table(os.environ.get(VARIABLE, ""))
    price = _find(table, model_name) or _find(table, _SNAPSHOT.sub("", model_name))
    if price and price.until and (today or datetime.date.today()) > price.until:
        return None
    return price


def _find(table: Mapping[str, Price], name: str) -> Price | None:
    if name in table:
        return table[name]
    patterns = [key for key in table if key.endswith("*") and name.startswith(key[:-1])]
    return table[max(patterns, key=len)] if patterns else None


@lru_cache(maxsize=8)
def _table(own: str) -> Mapping[str, Price]:
    built_in = resources.files(__package__) / "prices.yaml"
    table = _read(built_in.read_text("utf-8"), "prices.yaml")
    if own:
        try:
            text = Path(own).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{VARIABLE}={own} cannot be read: {error}") from None
        table |= _read(text, own)
    return table


def _read(text: str, place: str) -> dict[str, Price]:
    from scalevqa_eval.data import read_yaml

    table = read_yaml(text, place) or {}
    if not isinstance(table, dict):
        raise DataError(f"{place} must map model names to prices")
    prices: dict[str, Price] = {}
    for name, entry in table.items():
        try:
            prices[str(name)] = Price.model_validate(entry)
        except ValidationError as error:
            field = ".".join(map(str, error.errors()[0]["loc"]))
            raise DataError(
                f"{place}: {name}{field and f', {field}'}: a price is input, cached and output in "
                "dollars per million tokens and may have a last day, until, as a date without "
                "quotes, such as {input: 2.5, cached: 0.25, output: 15, until: 2030-12-31}"
            ) from None
    return prices
