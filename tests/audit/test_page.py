"""The page, badge and datasheet of an audit: self-contained, escaped, the same bytes again."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import plant

from scalevqa_eval import audit
from scalevqa_eval.audit import Finding
from scalevqa_eval.audit.badge import badge_svg
from scalevqa_eval.audit.datasheet import datasheet
from scalevqa_eval.audit.output import save
from scalevqa_eval.audit.page import to_html
from scalevqa_eval.types import Benchmark, Question

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)> \u202eevil \x1b[31m | `x` "


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


def test_hostile_texts_become_text(
    hostile: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    seen = Seen(to_html(*hostile))
    assert not {"script", "img", "link", "iframe", "object"} & set(seen.tags)
    assert "</style><script>alert(1)</script>" in seen.text
    assert seen.tags.count("style") == 1
    assert not any("\u202e" in word or "\x1b" in word for word in seen.words)
    for name, value in seen.attributes:
        assert not name.startswith("on")
        if name in ("href", "src"):
            assert (value or "").startswith("#")


def test_long_texts_are_cut_and_the_right_option_is_marked(
    hostile: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    seen = Seen(to_html(*hostile))
    assert "characters)" in seen.text
    assert seen.attributes.count(("class", "right")) == 20
    assert ("dir", "auto") in seen.attributes


def test_the_page_shows_verdict_probes_and_examples(tmp_path: Path) -> None:
    leaky = plant("phrase", 120, strength=0.6)
    report = audit(leaky, permutations=40, seeds=1)
    save(report, tmp_path, leaky.questions)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit.html", "audit.json", "badge.svg", "datasheet.md",
    ]  # fmt: skip
    text = Seen((tmp_path / "audit.html").read_text("utf-8")).text
    assert report.verdict == "leaky"
    for words in ("when seen as a whole", "all questions", "Every probe", report.questions[0].id):
        assert words in text
    best = report.text_only.best
    assert f"{best.name} " in text
    assert f"{100 * best.accuracy:.1f} %" in text
    sheet = (tmp_path / "datasheet.md").read_text("utf-8")
    assert "**Verdict: leaky.**" in sheet
    assert "“when seen as a whole”" in sheet
    assert "leaky" in (tmp_path / "badge.svg").read_text("utf-8")
    again = tmp_path / "again"
    save(audit(leaky, permutations=40, seeds=1), again, leaky.questions)
    for file in again.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_datasheet_tables_cannot_be_broken(
    hostile: tuple[dict[str, Any], tuple[Question, ...]],
) -> None:
    lines = datasheet(hostile[0]).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {9}
    assert not any("<script" in line or "<img" in line for line in lines)


@given(st.sampled_from(["clean", "leaky", "undecided"]))
def test_badges_are_svg_of_their_own(verdict: str) -> None:
    root = ElementTree.fromstring(badge_svg(verdict))
    assert root.get("aria-label") == f"text-only audit: {verdict}"
    assert int(root.get("width", "0")) > 100


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
    for words in ("+50.0", "No single scale is enough.", "Not applicable here: shuffled-views",
                  "Repair by blocks: not shown", "24 of 30 questions are kept"):  # fmt: skip
        assert words in seen.text
    assert "only-low): +50.0 points" in datasheet(data)
