"""Boards: the published data, what is refused, and pages that are the same each time."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.data import load_card
from scalevqa_eval.errors import DataError
from scalevqa_eval.leaderboard.board import Board, Entry, load_board, load_boards
from scalevqa_eval.leaderboard.build import build, check
from scalevqa_eval.leaderboard.page import to_html
from scalevqa_eval.leaderboard.standing import work_out
from scalevqa_eval.leaderboard.tables import to_csv, to_eval_results, to_json, to_markdown
from scalevqa_eval.pages import csv_text, markdown_text
from scalevqa_eval.paths import data_directory
from scalevqa_eval.prompts import load_style

# Percentages as the source prints them: five dimensions, then the average.
PUBLISHED = {
    "Qwen2.5-VL-7B": ("41.79", "47.26", "71.14", "44.28", "63.68", "53.63"),
    "Gemini 3 Flash": ("48.26", "58.71", "71.64", "53.73", "72.14", "60.90"),
    "GPT-5.2": ("47.76", "59.70", "74.13", "45.77", "65.17", "58.51"),
    "LLaVA-Med-7B": ("25.87", "16.92", "28.36", "20.90", "24.88", "23.38"),
    "Quilt-LLaVA": ("32.34", "14.43", "45.27", "30.35", "29.35", "30.35"),
    "CLOVER": ("37.31", "61.69", "73.13", "46.27", "65.77", "56.82"),
    "Patho-R1": ("31.84", "40.30", "59.70", "56.22", "68.66", "51.34"),
    "ScaleReasoner-R1": ("80.60", "89.05", "84.58", "76.12", "84.08", "82.89"),
}


def a_board(**changes: Any) -> dict[str, Any]:
    entry = {
        "model": "a model",
        "state": "published",
        "source": {"text": "a paper"},
        "date": "2026-06",
        "results": {"one": {"n": 10, "correct": 5}, "two": {"n": 20, "correct": 5}},
    }
    board = {
        "benchmark": "bench",
        "title": "Bench",
        "split": "test",
        "dimensions": {"one": 10, "two": 20},
        "entries": [{**entry, **changes.pop("entry", {})}],
    }
    return {**board, **changes}


def write_board(directory: Path, board: dict[str, Any]) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"{board['benchmark']}.yaml"
    path.write_text(yaml.safe_dump(board, sort_keys=False), "utf-8")
    return path


def test_published_percentages_are_the_stored_counts() -> None:
    board = load_board(data_directory("leaderboards") / "scale-vqa.yaml")
    entries = {entry.model: entry for entry in board.entries if entry.state == "published"}
    assert entries.keys() == PUBLISHED.keys()
    for model, printed in PUBLISHED.items():
        entry = entries[model]
        counts = [entry.results[name] for name in board.dimensions]
        assert [count.n for count in counts] == [201] * 5
        ours = [f"{100 * count.correct / 201:.2f}" for count in counts]
        total = entry.total
        assert total is not None
        ours.append(f"{100 * total.correct / total.n:.2f}")
        differing = [(a, b) for a, b in zip(ours, printed, strict=True) if a != b]
        assert differing == ([("65.67", "65.77")] if model == "CLOVER" else [])
    assert entries["CLOVER"].slips.keys() == {"Diagnosis"}


def test_pathmmu_has_no_counts_and_says_so() -> None:
    board = load_board(data_directory("leaderboards") / "pathmmu.yaml")
    standing = work_out(board, data_directory("leaderboards"))
    for line in standing.lines:
        if line.entry.state == "published":
            assert line.entry.no_counts
            assert line.overall.count is None
            assert line.overall.interval is None
    assert "66.2 % (no k/n)" in to_markdown(standing)


def test_boards_expect_the_benchmarks_own_prompt() -> None:
    for board in load_boards(data_directory("leaderboards")):
        style = load_style(load_card(board.benchmark).prompt)
        assert board.prompt is not None
        assert (board.prompt.style, board.prompt.sha256) == (style.name, style.sha256)


def test_committed_pages_are_what_the_data_give() -> None:
    """If this fails: scalevqa leaderboard build, and commit the pages with the data."""
    entries, _, problems = check(data_directory("leaderboards"))
    assert entries >= 10
    assert problems == []


def test_two_builds_are_equal_bytes() -> None:
    directory = data_directory("leaderboards")
    assert build(directory) == build(directory)


@pytest.mark.parametrize(
    ("board", "words"),
    [
        (a_board(entry={"results": {"one": {"n": 10, "correct": 11}}}), "11 correct of 10"),
        (a_board(entry={"results": {"one": {"n": 10, "correct": -1}}}), "greater than or equal"),
        (a_board(entry={"results": {"one": {"n": 10, "correct": True}}}), "valid integer"),
        (a_board(entry={"results": {"one": {"n": 10, "correct": 5}}}), "no result for dimension"),
        (a_board(dimensions={"one": 10, "three": 20}), "unknown dimension 'two'"),
        (a_board(dimensions={"one": 10, "two": 21}), "20 questions in two, the board has 21"),
        (a_board(entries=a_board()["entries"] * 2), "duplicate"),
        (
            a_board(
                entries=[*a_board()["entries"], {**a_board()["entries"][0], "model": "A  Model"}]
            ),
            "duplicate",
        ),
        (a_board(entry={"results": {}}), "why not"),
        (a_board(entry={"printed": {"one": "51.00"}}), "does not fit 5/10"),
        (a_board(entry={"printed": {"one": "50.00"}, "slips": {"one": "x"}}), "it is no slip"),
        (a_board(entry={"printed": {"three": "50.00"}}), "no counts"),
        (a_board(entry={"printed": {"one": "150.00"}}), "150.00 %"),
        (a_board(entry={"printed": {"average": "33.3"}}), "the mean over dimensions"),
        (a_board(entry={"state": "best"}), "'published', 'reproduced' or 'ours'"),
        (a_board(entry={"date": "yesterday"}), "date"),
        (a_board(entry={"source": {"text": "x", "url": "javascript:alert(1)"}}), "source, url"),
        (a_board(entry={"answers": "../../etc/passwd", "answers_sha256": "0" * 64}), "answers"),
        (a_board(entry={"surprise": 1}), "unknown field"),
        (a_board(benchmark="../x"), "benchmark"),
        (a_board(revision="r1", entry={"benchmark_revision": "r2"}), "revision 'r2'"),
    ],
)
def test_faulty_boards_are_refused_in_one_line(
    tmp_path: Path, board: dict[str, Any], words: str
) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(json.dumps(board), "utf-8")  # YAML too, and without anchors
    with pytest.raises(DataError, match=r"bench\.yaml") as caught:
        load_board(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "benchmark: [",
        "benchmark: bench\nbenchmark: bench",
        "a: &x [1]\nb: *x",
        "a: {<<: {b: 1}}",
        "? [1]\n: 2",
        "1: 2",
        "!!python/object/apply:os.system [ls]",
        "\x00",
        "[" * 3000,
    ],
)
def test_what_is_no_board_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bench.yaml").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"bench\.yaml"):
        load_board(tmp_path / "bench.yaml")


def test_a_board_is_named_like_its_benchmark(tmp_path: Path) -> None:
    path = write_board(tmp_path, a_board())
    path.rename(tmp_path / "other.yaml")
    with pytest.raises(DataError, match="name the file after it"):
        load_boards(tmp_path)
    with pytest.raises(DataError, match="no leaderboard"):
        load_boards(tmp_path / "nowhere")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "| a | b |\n# title",
    "[link](javascript:alert(1))",
    "{{ 7*7 }}",
    "</svg><script>",
]


class Page(HTMLParser):
    """Tags, names of attributes and text of a page, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_out_as_text(tmp_path: Path, name: str) -> None:
    board = a_board(
        title=name,
        description=name,
        notes=[name],
        hub={"dataset": "a/b"},
        dimensions={"one": 10, "two": 20, "x" + name: 5},
        entry={
            "model": name,
            "prompt": name,
            "notes": [name],
            "source": {"text": name, "url": "https://example.org/a?b=c&d=e"},
            "results": {
                "one": {"n": 10, "correct": 5},
                "two": {"n": 20, "correct": 5},
                "x" + name: {"n": 5, "correct": 5},
            },
        },
    )
    write_board(tmp_path, board)
    (loaded,) = load_boards(tmp_path)
    standing = work_out(loaded, tmp_path)
    page = Page(to_html([standing]))
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not any(name.startswith("on") for name in page.attributes)
    shown = " ".join(name.split())
    assert shown in " ".join(page.text.split())
    markdown = to_markdown(standing)
    assert "<script" not in markdown.replace("\\<script", "")
    width = {
        line.count("|") - line.count("\\|") for line in markdown.splitlines() if line[:1] == "|"
    }
    assert len(width) == 1
    for row in csv.reader(io.StringIO(to_csv(standing))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert json.loads(to_json(standing))["title"] == loaded.title
    for file, text in to_eval_results(standing).items():
        assert "/" not in file
        assert yaml.safe_load(text)


@given(st.text(min_size=1, max_size=40))
def test_any_text_is_safe_in_markdown_and_csv(text: str) -> None:
    assert "\n" not in markdown_text(text)
    for mark in "<|`[":
        assert markdown_text(text).count(mark) == markdown_text(text).count("\\" + mark)
    assert not csv_text(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_eval_results_are_what_the_hub_library_reads() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    standing = work_out(Board(**a_board(hub={"dataset": "owner/name"})), Path())
    (text,) = to_eval_results(standing).values()
    entries = hub.parse_eval_result_entries(yaml.safe_load(text))
    assert [(e.dataset_id, e.task_id, e.value) for e in entries] == [
        ("owner/name", "overall", 33.33),
        ("owner/name", "one", 50.0),
        ("owner/name", "two", 25.0),
    ]
    assert "10/30" in entries[0].notes
    assert hub.eval_result_entries_to_yaml(entries) == yaml.safe_load(text)


def test_order_of_entries_does_not_matter(tmp_path: Path) -> None:
    first = a_board()["entries"][0]
    second = {
        **first,
        "model": "b",
        "results": {"one": {"n": 10, "correct": 9}, "two": {"n": 20, "correct": 9}},
    }
    one = work_out(Board(**a_board(entries=[first, second])), tmp_path)
    two = work_out(Board(**a_board(entries=[second, first])), tmp_path)
    assert [line.entry.model for line in one.lines] == ["b", "a model"]
    assert [line.entry for line in one.lines] == [line.entry for line in two.lines]
    ranks = [line.rank for line in one.lines]
    assert ranks == [1, 2]


def test_text_only_stands_beside_the_models(tmp_path: Path) -> None:
    probe = {
        "probe": "rules",
        "split": "val",
        "source": {"text": "an audit"},
        "results": {"one": {"n": 10, "correct": 9}, "two": {"n": 20, "correct": 18}},
    }
    standing = work_out(Board(**a_board(text_only=[probe], chance=0.25)), tmp_path)
    assert "27/30 = 90.0" in to_markdown(standing)
    page = to_html([standing])
    assert "text only: rules (val)" in page
    assert "model -56.7" in page


def test_half_units_fit_either_way() -> None:
    """k/n that ends in exactly half a unit: both printed neighbours are right."""
    for printed in ("12.5", "12.50"):
        Entry(
            model="m", state="published", source={"text": "s"}, date="2026-01",
            results={"one": {"n": 8, "correct": 1}}, printed={"one": printed},
        )  # fmt: skip


@pytest.mark.parametrize(
    "hidden",
    ["a\u202emodel", "a\u200b model", "a\x1b[31m model", "a\u3164model", "a\ufe0f", "a\u2800b"],
)
def test_characters_that_cannot_be_seen_are_refused(tmp_path: Path, hidden: str) -> None:
    for board in (
        a_board(entry={"model": hidden}),
        a_board(title=hidden),
        a_board(notes=[hidden]),
        a_board(dimensions={"one": 10, "two": 20, hidden: 5}),
    ):
        path = write_board(tmp_path, board)
        with pytest.raises(DataError, match="cannot be seen") as caught:
            load_board(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "\uff41 model",  # a fullwidth a
        "\u0430 model",  # a Cyrillic a
        "GP\u03a4-5",  # a Greek tau
        "\u212a2",  # the Kelvin sign
        "a\u2010model",  # another hyphen
        "a \U0001d426odel",  # a bold m
        "a mode\u0131",  # a dotless i
        "a\u00a0model",  # another blank
    ],
)
def test_names_that_can_be_taken_for_others_are_refused(tmp_path: Path, name: str) -> None:
    board = a_board(entry={"model": name})
    with pytest.raises(DataError, match="can be taken for another character") as caught:
        load_board(write_board(tmp_path, board))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["R\u00e9seau-7B", "\u4e66\u751f 7B", "A-b_c.d (e) / f+"])
def test_names_of_other_languages_are_taken(tmp_path: Path, name: str) -> None:
    assert load_board(write_board(tmp_path, a_board(entry={"model": name}))).entries


@pytest.mark.parametrize("name", ["overall", "Overall", "average", "All questions", "ONE"])
def test_a_dimension_is_not_called_like_another_row(tmp_path: Path, name: str) -> None:
    board = a_board(dimensions={"one": 10, "two": 20, name: 5})
    with pytest.raises(DataError, match="cannot be a dimension's name"):
        load_board(write_board(tmp_path, board))


@pytest.mark.parametrize("text", ["m;=1+1", "m; @SUM(1)", 'm;"=1+1"'])
def test_no_formula_after_a_semicolon(text: str) -> None:
    cells = [cell.strip(' "') for cell in csv_text(text).split(";")]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert csv_text("binary; 4-bit") == "binary; 4-bit"
