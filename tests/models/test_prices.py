"""The price table, and what replies cost by it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from scalevqa_eval.errors import DataError
from scalevqa_eval.models.prices import cost, price_of
from scalevqa_eval.types import Usage

MILLION = 1_000_000


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "prices.yaml"
    monkeypatch.setenv("SCALEVQA_PRICES", str(path))
    return path


def test_fresh_cached_and_written_tokens_have_their_own_price(own: Path) -> None:
    own.write_text("openai/mine: {input: 2, cached: 0.5, output: 8}")
    assert cost("openai/mine", Usage(3 * MILLION, MILLION, MILLION)) == 2 * 2 + 0.5 + 8
    assert cost("openai/mine", Usage(MILLION, None, 0)) == 2.0


def test_what_is_unknown_is_said(own: Path) -> None:
    own.write_text("openai/mine: {input: 2, cached: 0.5, output: 8}")
    assert cost("openai/other", Usage(1, 0, 1)) is None
    assert cost("openai/mine", Usage(None, None, 1)) is None
    assert cost("openai/mine", Usage(1, 0, None)) is None


def test_more_cached_than_sent_costs_no_less_than_nothing(own: Path) -> None:
    own.write_text("openai/mine: {input: 2, cached: 0.5, output: 8}")
    assert cost("openai/mine", Usage(MILLION, 5 * MILLION, 0)) == 0.5


@pytest.mark.parametrize("name", ["baseline/random", "hf/some/model", "vllm/path"])
def test_local_models_cost_nothing(name: str) -> None:
    assert cost(name, Usage()) == 0.0


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("openai/gpt-5.4-2026-03-05", "openai/gpt-5.4"),
        ("anthropic/claude-opus-4-5-20251101", "anthropic/claude-opus-4-5"),
        ("gemini/gemini-3.5-flash-latest", "gemini/gemini-3.5-flash"),
    ],
)
def test_a_dated_name_has_the_price_of_its_family(name: str, family: str) -> None:
    assert price_of(name) == price_of(family) is not None


def test_a_mini_model_does_not_have_the_price_of_the_large_one() -> None:
    assert price_of("openai/gpt-5.4-mini") != price_of("openai/gpt-5.4")
    assert price_of("openai/gpt-5.4-huge") is None


def test_own_prices_overrule_and_the_longest_pattern_wins(own: Path) -> None:
    own.write_text(
        "hf/*: {input: 1, cached: 1, output: 1}\n"
        "hf/big-*: {input: 9, cached: 9, output: 9}\n"
        "hf/big-one: {input: 10, cached: 10, output: 10}\n"
    )
    usage = Usage(MILLION, 0, 0)
    assert [cost(f"hf/{name}", usage) for name in ("x", "big-x", "big-one")] == [1, 9, 10]
    assert cost("baseline/random", usage) == 0.0


@pytest.mark.parametrize(
    "until", ["2026-12-31", "2026-12-31 12:00:00", "2026-12-31T23:59:59Z", "2026-12-31 00:00:00 -5"]
)
def test_a_price_that_has_ended_is_unknown(own: Path, until: str) -> None:
    own.write_text(f"openai/mine: {{input: 2, cached: 0.5, output: 8, until: {until}}}")
    last = datetime.date(2026, 12, 31)
    assert price_of("openai/mine", last) is not None
    assert price_of("openai/mine", last + datetime.timedelta(days=1)) is None


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "openai/x: 3",
        "openai/x: {input: 1, output: 2}",
        "openai/x: {input: 1, cached: -1, output: 2}",
        "openai/x: {input: 1, cached: .nan, output: 2}",
        "openai/x: {input: true, cached: 1, output: 2}",
        "openai/x: {input: 1, cached: 1, output: 2, until: soon}",
        "openai/x: {input: 1, cached: 1, output: 2, outputs: 3}",
        "{",
    ],
)
def test_a_file_that_is_no_price_table(text: str, own: Path) -> None:
    own.write_text(text)
    with pytest.raises(DataError, match=r"prices\.yaml"):
        cost("openai/x", Usage(1, 1, 1))


@pytest.mark.parametrize("until", ['"2026-12-31"', "soon"])
def test_a_last_day_that_is_no_date_is_named(own: Path, until: str) -> None:
    own.write_text(f"openai/x: {{input: 1, cached: 1, output: 2, until: {until}}}")
    with pytest.raises(DataError, match=r"openai/x, until: .* date without quotes"):
        cost("openai/x", Usage(1, 1, 1))


def test_a_file_that_is_missing(own: Path) -> None:
    with pytest.raises(DataError, match="SCALEVQA_PRICES"):
        cost("openai/x", Usage(1, 1, 1))
