"""What an audit shows: page, terminal, badge, datasheet, subsets, and changes since another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from designs import FINDINGS, wording
from planted import plant
from rich.console import Console

from scalevqa_eval.audit import Finding
from scalevqa_eval.audit.against import changes, read_audit
from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.output import badge_svg, datasheet, subsets
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.audit.results import VERDICTS, WORDS
from scalevqa_eval.audit.tables import dimensions, first_line
from scalevqa_eval.audit.terminal import show
from scalevqa_eval.errors import DataError
from scalevqa_eval.types import Benchmark, Question

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)> \u202eevil \x1b[31m | `x` "
Data = Mapping[str, Any]


class Seen(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def terminal(data: Data) -> str:
    out = StringIO()
    show(Console(file=out, width=80, highlight=False, markup=False), data)
    return out.getvalue()


@pytest.fixture(scope="module")
def hostile() -> tuple[dict[str, Any], tuple[Question, ...]]:
    questions = tuple(
        Question(
            id=f"q{i}{HOSTILE}",
            text=f"{HOSTILE} {i} " + ("שאלה ארוכה " if i % 2 else "long " * 400),
            options={"A": f"right {HOSTILE} {i}", "B": f"b {i} no", "C": f"c {i}"},
            answer="ABC"[i % 3],
            dimension=f"Dim{i % 2} {HOSTILE}",
            slide=f"s{i % 5}{HOSTILE}",
        )
        for i in range(30)
    )
    report = audit(
        Benchmark(f"name {HOSTILE}", "rev`|", "test", questions), permutations=2, seeds=1,
        findings=[Finding("bad", "error", HOSTILE, {"what": [HOSTILE]}, (HOSTILE,))],
    )  # fmt: skip
    return report.to_json(), questions


@pytest.fixture(scope="module")
def leaky() -> tuple[dict[str, Any], tuple[Question, ...]]:
    planted = plant("phrase", 120, strength=0.6)
    return audit(planted, permutations=40, seeds=1).to_json(), planted.questions


def test_hostile_texts_become_text(hostile: tuple[dict[str, Any], tuple[Question, ...]]) -> None:
    seen = Seen(to_html(*hostile))
    assert not {"script", "img", "link", "iframe", "object"} & set(seen.tags)
    assert "</style><script>alert(1)</script>" in seen.text
    assert seen.tags.count("style") == 1
    assert not any("\u202e" in word or "\x1b" in word for word in seen.words)
    for name, value in seen.attributes:
        assert not name.startswith("on")
        if name in ("href", "src"):
            assert (value or "").startswith("#")
    assert "characters)" in seen.text  # long texts are cut
    assert ("dir", "auto") in seen.attributes
    assert not any(c in terminal(hostile[0]) for c in "\u202e\x1b")


def test_datasheet_tables_cannot_be_broken(
    hostile: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    lines = datasheet(hostile[0]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
    assert not any("<script" in line or "<img" in line for line in lines)


def test_an_author_with_one_minute(leaky: tuple[dict[str, Any], tuple[Question, ...]]) -> None:
    data, questions = leaky
    page = to_html(data, questions)
    text, reader = Seen(page).text.split("be answered without looking?")[-1], data["text_only"]
    line = f"A reader without images gets {reader['correct']:.0f} of 120. A guesser gets 30."
    assert first_line(data).startswith(line)
    order = [line, WORDS["leaky"], "One of them", "Why:", "What to do next",
             "--repair blocks", "datasheet.md", "What text alone reaches"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    example = page[page.index("One of them") : page.index("What to do next")]
    assert "<mark>when seen as a whole</mark>" in example  # the planted phrase
    assert "“when seen as a whole” stands in the right option" in text
    for words in ("one question at a time", "who has the whole file", "no text (base rate)"):
        assert words in text
    assert line in " ".join(terminal(data).split())
    assert line in datasheet(data)
    assert to_html(data, questions) == page


def test_words_of_the_question_that_decide_are_marked() -> None:
    made = wording(0, ("Yes", "No"))
    data = audit(made, permutations=40, seeds=1, look_at_data=False).to_json()
    page = to_html(data, made.questions)
    finding = page.split("<mark>")[1].split("</mark>")[0]
    assert finding.casefold() in FINDINGS
    assert f"where the question says “{finding.casefold()}”, “" in Seen(page).text
    assert "Ask each wording about places where the other labels are right" in Seen(page).text


def test_a_skew_of_positions_alone_leaves_the_text_its_own_verdict() -> None:
    data = audit(plant("position", 150, strength=0.4), permutations=40, seeds=1).to_json()
    assert data["verdict"] == "leaky"
    assert {row.cells[-1] for row in dimensions(data).rows} == {WORDS[data["text_only"]["verdict"]]}


def test_what_is_at_chance_is_folded(leaky: tuple[dict[str, Any], tuple[Question, ...]]) -> None:
    page = to_html(*leaky)
    folded = page[page.index("at chance</summary>") :]
    assert "the option of fewest words" in folded[: folded.index("</details>")]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_same_words_everywhere(
    verdict: str, leaky: tuple[dict[str, Any], tuple[Question, ...]]
) -> None:
    data = {**leaky[0], "verdict": verdict}
    words = WORDS[verdict]  # type: ignore[index]
    if verdict == "clean":
        words += "; knowledge not tested"
    root = ElementTree.fromstring(badge_svg(data))
    assert root.get("aria-label") == f"text-only audit: {words}"
    assert words in Seen(to_html(data)).text
    assert words in datasheet(data)
    assert f"Verdict: {words.upper()}" in " ".join(terminal(data).split())
    green = "#1b6e4b"
    assert green not in badge_svg(data)  # knowledge was not tested
    known = {**data, "parts": {**data["parts"], "knowledge": "clean"}}
    assert (green in badge_svg(known)) == (verdict == "clean")


def test_a_dimension_called_like_the_whole_is_told_apart(
    leaky: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    data = json.loads(json.dumps(leaky[0]))
    first = next(iter(data["text_only"]["by_dimension"]))
    for block in (data["text_only"], data["whole_file"]):
        block["by_dimension"]["all questions"] = block["by_dimension"].pop(first)
        block["by_dimension"]["all questions"]["verdict"] = "clean"
    rows = {row.name: row for row in dimensions(data).rows}
    assert rows["all questions"].cells[-1] == "leaky"
    assert rows["“all questions”"].cells[-1] == WORDS["clean"]


def test_sections_of_models_and_repairs_are_shown(
    hostile: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    row = {
        "name": HOSTILE, "n": 10, "first": 8, "second": 3, "difference": 0.5, "low": 0.2,
        "high": 0.8, "permutation": 0.01,
    }  # fmt: skip
    part = {"correct": 8.0, "n": 10, "accuracy": 0.8, "ci": [0.5, 0.9], "chance": 0.25}
    visual = {
        "models": [
            {"model": f"m/{HOSTILE}", "full": part, "answer": "No single scale is enough.",
             "gaps": [{"condition": "only-low", "meaning": "full minus only-low",
                       "overall": row, "rows": [row]}],
             "not_applicable": ["shuffled-views"]}
        ]
    }  # fmt: skip
    repaired = {
        "method": "blocks", "status": "not shown", "statement": f"Because {HOSTILE}",
        "questions": 30, "kept": 24, "files": [f"repair/{HOSTILE}.json"], "lines": [HOSTILE],
        "checks": [{"name": "trees", "about": "boosted trees", **part}],
    }  # fmt: skip
    data = {**hostile[0], "visual": visual, "repair": repaired}
    seen = Seen(to_html(data, hostile[1]))
    assert "script" not in seen.tags
    for words in ("+50.0 [+20.0, +80.0]", "No single scale is enough.",
                  "Not applicable here: shuffled-views", "Option blocks: not shown",
                  "24 of 30 questions are kept", "worksheet.html"):  # fmt: skip
        assert words in seen.text
    assert "only-low" in datasheet(data)


def test_files_are_the_same_bytes_again(tmp_path: Path) -> None:
    planted = plant("length", 60, strength=0.6)
    for name in ("one", "two"):
        audit(planted, permutations=2, seeds=1).save(tmp_path / name)
    names = ["audit.html", "audit.json", "badge.svg", "datasheet.md", "easy.txt", "hard.txt"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_easy_and_hard_are_ids_of_what_text_has_right_and_wrong(
    leaky: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    data, questions = leaky
    found = {name: set(text.splitlines()) for name, text in subsets(data).items()}
    assert found["easy.txt"] | found["hard.txt"] == {question.id for question in questions}
    assert not found["easy.txt"] & found["hard.txt"]
    credit = {row["id"]: row["credit"] for row in data["questions"]}
    assert {id_ for id_ in credit if credit[id_] == 1} <= found["easy.txt"]
    assert len(found["easy.txt"]) == pytest.approx(data["text_only"]["correct"], abs=3)


def test_changes_since_an_earlier_audit(
    leaky: tuple[dict[str, Any], tuple[Question, ...]], tmp_path: Path
) -> None:
    old = leaky[0]
    new = audit(plant("none", 60), permutations=2, seeds=1).to_json()
    lines = changes(old, {**new, "findings": [Finding.about(["a"], "new-one", "error", "{n}").to_json()]})  # noqa: E501  # fmt: skip
    text = "\n".join(lines)
    assert "verdict: leaky to undecided" in text
    assert "120 to 60" in text
    assert "finding new: new-one (1 question)" in text
    assert any(line.startswith("finding gone: ") for line in lines)
    assert f"one question at a time: {old['text_only']['correct']:.0f}" in text.replace(".3", "")
    assert "verdict: leaky, as before" in changes(old, old)
    assert not any("finding" in line for line in changes(old, old))
    (tmp_path / "old.json").write_text('{"format": 1, "text_only": {}}')
    with pytest.raises(DataError, match="another version"):
        read_audit(tmp_path / "old.json")
    (tmp_path / "old.json").write_text("[")
    with pytest.raises(DataError, match="cannot be read"):
        read_audit(tmp_path / "old.json")
