"""Cards: the built-in ones, a user's own, and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scalevqa_eval.data import Card, list_cards, load_card
from scalevqa_eval.data.card import Fields, Source, Split
from scalevqa_eval.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = "name: mine\nsplits: {test: {files: test.json}}\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_built_in_cards_load_and_name_themselves() -> None:
    assert set(list_cards()) >= {"scale-vqa", "pathmmu", "pathreasoner", "demo", "demo-leaky"}
    for name in list_cards():
        card = load_card(name)
        assert card.name == name
        assert re.fullmatch("[0-9a-f]{64}", card.sha256)
        assert card.license
        assert card.choose_split(None) in card.splits


def test_pathmmu_counts_agree_with_each_other() -> None:
    splits = load_card("pathmmu").splits
    assert splits["val"].count == 710
    assert splits["test_all"].count == 9677
    assert splits["test"].dimensions["Atlas"] == 799
    assert splits["test_tiny"].dimensions["Atlas"] == 208
    assert splits["val"].dimensions["Atlas"] == 80
    for name in ("test_tiny", "test", "test_all"):
        assert sum(splits[name].dimensions.values()) == splits[name].count
    for subset, count in splits["test_all"].dimensions.items():
        assert count == sum(splits[part].dimensions[subset] for part in splits["test_all"].parts)


@pytest.mark.parametrize("model", [Card, Source, Split, Fields])
def test_documentation_names_every_field(model: type[Card]) -> None:
    text = (ROOT / "docs" / "cards.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    own = {"sha256", "path"}  # computed, refused in a file
    assert set(model.model_fields) - own <= documented


def test_documentation_names_no_field_that_is_not_there() -> None:
    text = (ROOT / "docs" / "cards.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))
    known = {field for model in (Card, Source, Split, Fields) for field in model.model_fields}
    assert documented <= known


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean scale-vqa"):
        load_card("scale_vqa")
    with pytest.raises(UsageError, match="there are demo"):
        load_card("qqqqqq")


def test_directory_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data-dir"):
        load_card(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        load_card(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a card is a YAML mapping"),
        ("[1, 2]", "a card is a YAML mapping"),
        ("name: [", "no YAML card"),
        ("name: !!python/object/apply:os.system ['true']", "no YAML card"),
        ("name: mine\nlicence: MIT", "licence: unknown field; did you mean license"),
        ("name: mine\nfields: {txt: q}", "fields.txt: unknown field; did you mean text"),
        ("name: ../mine", "name: "),
        ("title: no name", "name: Field required"),
        ("name: mine\nsplits: {test: {count: 3}}", "either `files` or `parts`"),
        ("name: mine\nsplits: {a: {parts: [b]}}", "'b' is no split"),
        (MINIMAL + "default_split: val", "default_split"),
        (MINIMAL + "ids: '{split}'", "must contain"),
        (MINIMAL + "fields: {views: {highest: x}}", "fields.views.highest"),
        (MINIMAL + "source: {images: ../outside}", "source.images: '../outside' leads out"),
        (MINIMAL + "source: {directory: /etc}", "source.directory: '/etc' leads out"),
        ("name: m\nsplits: {test: {files: [../secrets.json]}}", "leads out of the card"),
        (MINIMAL + "sha256: abc", "not `sha256`"),
        (MINIMAL + "1: 2", "field names must be text"),
        ("name: a\x80b", "no YAML card"),
    ],
)
def test_what_is_no_card_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_card(write(tmp_path, text))
    assert "card.yaml" in str(caught.value)
    assert len(str(caught.value)) < 800


def test_bom_and_one_file_as_text(tmp_path: Path) -> None:
    path = tmp_path / "card.yml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    card = load_card(path)
    assert card.splits["test"].files == ("test.json",)
    assert card.path == path


def test_split_choice(tmp_path: Path) -> None:
    both = load_card(write(tmp_path, "name: m\nsplits: {a: {files: a.json}, b: {files: b.json}}"))
    with pytest.raises(UsageError, match="no split 'test': choose one of a, b with --split"):
        both.choose_split(None)
    with pytest.raises(UsageError, match="no split 'c': choose one of a, b"):
        both.choose_split("c")
    assert both.choose_split("b") == "b"
    with pytest.raises(UsageError, match=r"card\.yaml says no splits: add"):
        load_card(write(tmp_path, "name: m\nsource: {directory: .}")).choose_split(None)
    assert load_card(write(tmp_path, MINIMAL)).choose_split(None) == "test"


def test_the_hash_follows_the_text(tmp_path: Path) -> None:
    first = load_card(write(tmp_path, MINIMAL)).sha256
    assert load_card(write(tmp_path, MINIMAL + "title: x\n")).sha256 != first


def test_a_bare_no_in_a_card_is_explained(tmp_path: Path) -> None:
    """YAML reads the field name `No` of Scale-VQA files as false."""
    card = tmp_path / "card.yaml"
    card.write_text("name: mine\nfields: {id: No, text: question}\n")
    with pytest.raises(DataError, match=r"fields\.id: YAML reads a bare No.*quotes"):
        load_card(card)
