"""Entities in reasoning: whole words, negation, soft Dice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.errors import DataError
from scalevqa_train.rewards.entities import Lexicon, Mention, read_lexicon, similarity, soft_dice

NAMES = ["necrosis", "tumour", "tumour cells", "mitosis", "HER2", "lymphocytic infiltrate", "rosis"]


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps([*NAMES, {"name": "apoptosis", "synonyms": ["cell death"]}]))
    return read_lexicon(file)


@pytest.mark.parametrize(
    ("text", "stated", "denied"),
    [
        ("Tumour cells with necrosis.", {"tumour cells", "necrosis"}, set()),
        ("TUMOUR\n  cells", {"tumour cells"}, set()),
        ("pseudotumour, necrosislike", set(), set()),
        ("HER2-positive", {"her2"}, set()),
        ("There is no necrosis.", set(), {"necrosis"}),
        ("no mitosis or necrosis", set(), {"mitosis", "necrosis"}),
        ("No necrosis, but tumour cells", {"tumour cells"}, {"necrosis"}),
        ("No gland. Necrosis is seen.", {"necrosis"}, set()),
        ("Necrosis is absent", set(), {"necrosis"}),
        ("necrosis was not clearly identified", set(), {"necrosis"}),
        ("I don't see any mitosis", set(), {"mitosis"}),
        ("negative for HER2", set(), {"her2"}),
        ("a notable tumour", {"tumour"}, set()),
        ("cell death", {"apoptosis"}, set()),
        ("", set(), set()),
    ],
)
def test_mentions(lexicon: Lexicon, text: str, stated: set[str], denied: set[str]) -> None:
    expected = {Mention(n) for n in stated} | {Mention(n, denied=True) for n in denied}
    assert lexicon.mentions(text) == expected


def test_dice() -> None:
    a, b = Mention("necrosis"), Mention("tumour")
    assert soft_dice({a, b}, {a, b}) == 1
    assert soft_dice({a}, {a, b}) == pytest.approx(2 / 3)
    assert soft_dice({Mention("necrosis", denied=True)}, {a}) == 0
    near = similarity("tumour", "tumour cells")
    assert soft_dice({Mention("tumour cells")}, {b}) == pytest.approx(0.5 * near)
    assert soft_dice(set(), {a}) == soft_dice({a}, set()) == 0


def test_padding_with_near_names_does_not_pay() -> None:
    wanted = {Mention("tumour")}
    near = {Mention(f"tumour {n}") for n in "abcdefgh"}
    one = soft_dice({Mention("tumour a")}, wanted)
    assert soft_dice(near, wanted) < one < soft_dice(wanted, wanted)


mentions = st.frozensets(
    st.builds(Mention, st.sampled_from([n.casefold() for n in NAMES]), st.booleans())
)


@given(mentions, mentions)
def test_dice_is_a_bounded_symmetric_agreement(one: set[Mention], other: set[Mention]) -> None:
    value = soft_dice(one, other)
    assert 0 <= value <= 1
    assert value == pytest.approx(soft_dice(other, one))
    assert (value == 1) == (one == other and bool(one))


@given(st.text(st.sampled_from("no necrosis tumour.,;\n"), max_size=60), st.integers(2, 4))
def test_repeating_a_text_states_nothing_new(text: str, times: int) -> None:
    lexicon = Lexicon({("necrosis",): "necrosis", ("tumour",): "tumour"})
    once = lexicon.mentions(text + ".")
    assert lexicon.mentions((text + ".\n") * times) == once


def test_lexicon_files(tmp_path: Path) -> None:
    triples = "head,relation,tail\nnecrosis,seen in,glioma\n"
    for name, text in {
        "graph.csv": triples,
        "graph.tsv": triples.replace(",", "\t"),
        "graph.json": '[["necrosis", "seen in", "glioma"]]',
        "graph.txt": "necrosis\n\nglioma\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert set(read_lexicon(tmp_path / name).names.values()) == {"necrosis", "glioma"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "x,y\n1,2\n"), ("a.json", "{"), ("a.json", "[1]"), ("a.txt", "\n"), ("a.txt", None)],
)
def test_bad_lexicons(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="entity lexicon"):
        read_lexicon(tmp_path / name)
