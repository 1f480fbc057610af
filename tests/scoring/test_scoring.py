"""Reply → outcome → summary, and the printed table."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.cli.run_table import summary_table
from scalevqa_eval.pages.terminal import console
from scalevqa_eval.scoring.score import comparable, open_answer, open_measures, score_reply
from scalevqa_eval.scoring.summary import summarise
from scalevqa_eval.types import Outcome, Question, Record, Reply

OPTIONS = {"A": "gland", "B": "stroma", "C": "necrosis", "D": "nerve"}


def question(id_: str = "q1", answer: str = "B", **more: Any) -> Question:
    return Question(id_, "What is it?", OPTIONS, answer, **more)


OPEN = Question("o1", "Diagnosis?", {}, "Invasive ductal carcinoma")


@pytest.mark.parametrize(
    ("text", "finish", "outcome", "letter"),
    [
        ("<think>x</think> <answer>B</answer>", "stop", "correct", "B"),
        ("<think>x</think> <answer>C</answer>", "stop", "wrong", "C"),
        ("<think>x</think> <answer>B</answer> and fur", "length", "correct", "B"),
        ("<think>it might be B because", "length", "truncated", None),
        ("<think>it might be B because", "stop", "truncated", None),
        ("The answer is B", "length", "truncated", None),
        ("The answer is B.", "stop", "correct", "B"),
        ("", "stop", "unparsed", None),
        ("", "refusal", "refused", None),
        ("<answer>B</answer>", "refusal", "refused", None),
        ("I'm sorry, but I can't help with that.", "stop", "refused", None),
        ("Hard to say.", "stop", "unparsed", None),
    ],
)
def test_outcomes(text: str, finish: Any, outcome: str, letter: str | None) -> None:
    scored = score_reply(question(), Reply(text, finish=finish))
    assert (scored.outcome, scored.letter) == (outcome, letter)
    assert scored.method


def test_logprobs_give_the_letter_even_after_one_token() -> None:
    reply = Reply("B", finish="length", logprobs={"A": -2.0, "B": -0.2})
    assert score_reply(question(), reply).outcome is Outcome.CORRECT
    odd = Reply("The", finish="length", logprobs={"A": -2.0})
    assert score_reply(question(), odd).outcome is Outcome.UNPARSED


@pytest.mark.parametrize(
    ("text", "finish", "outcome", "f1"),
    [
        ("<think>y</think><answer>The invasive, ductal carcinoma.</answer>", "stop", "correct", 1),
        ("<|begin_of_box|>Invasive ductal carcinoma<|end_of_box|>", "length", "correct", 1),
        ("Invasive ductal carcinoma", "stop", "correct", 1),
        ("<answer>ductal carcinoma</answer>", "stop", "wrong", 0.8),
        ("<answer>fibroadenoma</answer>", "stop", "wrong", 0),
        ("<think>invasive ductal carcinoma", "stop", "truncated", 0),
        ("Invasive ductal carcinoma", "length", "truncated", 0),
        ("<answer>Invasive ductal carcinoma</answer> so", "length", "correct", 1),
        ("  ", "stop", "unparsed", 0),
        ("no", "refusal", "refused", 0),
    ],
)
def test_open_questions(text: str, finish: Any, outcome: str, f1: float) -> None:
    scored = score_reply(OPEN, Reply(text, finish=finish))
    assert scored.outcome == outcome
    assert scored.letter is None
    assert scored.measures["token_f1"] == pytest.approx(f1)


def test_the_last_tag_outside_thought_is_the_answer() -> None:
    text = "<think><answer>no</answer></think><answer>one</answer> or <answer> two </answer>"
    assert open_answer(text) == ("two", True)


@given(st.text(), st.text())
def test_open_measures_are_symmetric_shares(a: str, b: str) -> None:
    one, two = open_measures(a, b), open_measures(b, a)
    assert one == pytest.approx(two)
    assert all(0 <= value <= 1 for value in one.values())
    assert open_measures(a, a)["normalised"] == 1
    assert comparable(comparable(a)) == comparable(a)


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("ER- / HER2+", "ER+ / HER2-", False),
        ("ER−/HER2+", "ER- / HER2+", True),
        ("Ki-67 > 5 %", "Ki-67 < 5 %", False),
        ("Ki-67 >5%", "ki-67 > 5 %", True),
        ("CD20 <= 5", "CD20 ≤ 5", True),
        ("Hepatitis", "Hepatitis A", False),
        ("vitamin a deficiency", "Vitamin deficiency", False),
        ("-5 mm", "5 mm", False),
        ("10² cells", "102 cells", False),
        ("A benign lesion of the breast", "benign lesion of breast.", True),
        ("Gland-formation", "gland formation", True),
        ("1,000 cells", "1000 cells", True),
        ("1,5", "15", False),
        ("Ki67", "Ki-67", True),
        ("CD 20", "CD20", True),
        ("CD20", "CD2 0", False),
        ("~5", "5", True),
        ("Ki-67 ≧ 5 %", "Ki-67 ≦ 5 %", False),
        ("CD30 ↑", "CD30 ↓", False),
        ("HER2", "HER2(-)", False),
        ("HER2", "HER2 -", False),
        ("ER -, PR -", "ER- PR-", True),
        ("ER (-) PR (+)", "ER- PR+", True),
        ("carcinoma - invasive", "carcinoma, invasive", True),
        ("5 cm", ".5 cm", False),
        (".5 cm", "0.5 cm", True),
        ("5-6 mm", "5.6 mm", False),
        ("1/2", "1.2", False),
        ("3:1", "3.1", False),
        ("1-2", "1/2", False),
        ("5–6 mm", "5-6 mm", True),
    ],
)
def test_what_carries_meaning_is_compared(answer: str, reference: str, same: bool) -> None:
    assert bool(open_measures(answer, reference)["normalised"]) is same


@given(
    st.sampled_from(["ER", "HER2", "Ki-67"]),
    st.sampled_from("-\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"),
    st.sampled_from(["{}{}", "{} {}", "{}({})", "{} ( {} )"]),
)
def test_every_dash_is_the_same_sign(marker: str, dash: str, form: str) -> None:
    said = comparable(form.format(marker, dash))
    assert said == comparable(f"{marker}-") != comparable(marker)
    assert said != comparable(form.format(marker, "+")) == comparable(f"{marker}+")


@given(
    st.text("ab5 .,-+()/\u2013\u2191\u2193\u2266\u2a7e<=>", max_size=12), st.sampled_from("<≤≦⩽=")
)
def test_opposites_are_never_equal(text: str, sign: str) -> None:
    """Another comparison in the same place is another answer."""
    assert comparable(f"{text} {sign} 5 %") != comparable(f"{text} > 5 %")
    assert comparable(f"{text} ≥ 5 %") == comparable(f"{text} ⩾ 5 %") == comparable(f"{text} >= 5%")


def run_of(outcomes: str, **more: Any) -> tuple[list[Question], list[Record]]:
    """One question a character: c(orrect), w(rong), u(nparsed), e(rror), '.' (no record)."""
    names = {"c": "correct", "w": "wrong", "u": "unparsed", "t": "truncated", "e": "error"}
    letters = {"c": "B", "w": "A"}
    questions, records = [], []
    for place, mark in enumerate(outcomes):
        made = question(f"q{place}", slide=f"s{place // 4}", dimension=f"d{place % 2}")
        questions.append(made)
        if mark != ".":
            records.append(
                Record(
                    made.id, "full", "", Outcome(names[mark]), letters.get(mark),
                    text="<think>a</think><answer>B</answer>", **more,
                )
            )  # fmt: skip
    return questions, records


MANIFEST = {
    "benchmark": {"name": "bench", "revision": "r1", "split": "test"},
    "model": {"name": "engine/model"},
    "condition": "full",
    "prompt": {"style": "scalereasoner-v1", "sha256": "0"},
    "not_applicable": 3,
}


def test_summary_counts() -> None:
    questions, records = run_of("ccwwcucwccwwcwcwcccc")
    summary = summarise(questions, records, manifest=MANIFEST, seconds=1.5)
    assert (summary["n"], summary["correct"], summary["complete"]) == (20, 12, True)
    assert summary["accuracy"] == 0.6
    assert summary["ci"][0] < 0.6 < summary["ci"][1]
    assert summary["by_dimension"]["d0"]["n"] == 10
    rows = summary["by_dimension"].values()
    assert sum(row["correct"] for row in rows) == 12
    assert summary["macro"]["accuracy"] == pytest.approx(0.6)
    assert summary["outcomes"] == {
        "correct": 12, "wrong": 7, "unparsed": 1, "truncated": 0, "refused": 0,
    }  # fmt: skip
    bias = summary["position_bias"]
    assert bias["B"] == {
        "chosen": 12, "of_chosen": 19, "chosen_share": round(12 / 19, 6),
        "answers": 20, "of_answers": 20, "answers_share": 1.0,
    }  # fmt: skip
    assert summary["format_adherence"] == {"followed": 20, "n": 20, "share": 1.0}
    assert summary["chance"] == {"accuracy": 0.25, "corrected": round((0.6 - 0.25) / 0.75, 6)}
    assert summary["clusters"] == 5
    assert summary["not_applicable"] == 3
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert "A 37 (0), B 63 (100)" in printed(summary)


def test_errors_are_in_no_denominator_and_said_loudly() -> None:
    questions, records = run_of("ccwwcecw..")
    summary = summarise(questions, records, manifest=MANIFEST)
    assert (summary["n"], summary["errors"], summary["unanswered"]) == (7, 1, 3)
    assert not summary["complete"]
    assert "INCOMPLETE: 3/10" in printed(summary)
    # A question that failed first and was answered later is no error.
    later = replace(records[5], outcome=Outcome.CORRECT, letter="B")
    assert summarise(questions, [*records, later], manifest=MANIFEST)["errors"] == 0


def test_nothing_answered() -> None:
    questions, _ = run_of("....")
    summary = summarise(questions, [], manifest=MANIFEST)
    assert summary["accuracy"] is None
    assert summary["ci"] == [0.0, 1.0]
    assert summary["chance"] is None
    assert "0/0" in printed(summary)
    json.dumps(summary, allow_nan=False)


def test_records_that_do_not_belong_are_refused() -> None:
    questions, records = run_of("cc")
    with pytest.raises(ValueError, match="no question of this run"):
        summarise(questions[:1], records)
    with pytest.raises(ValueError, match="answered twice"):
        summarise(questions, [*records, records[0]])


@given(st.lists(st.sampled_from("cwut"), min_size=1, max_size=40), st.randoms())
def test_summary_does_not_depend_on_the_order_of_records(marks: list[str], random: Any) -> None:
    questions, records = run_of("".join(marks))
    shuffled = list(records)
    random.shuffle(shuffled)
    assert summarise(questions, shuffled) == summarise(questions, records)


def test_tokens_and_unknown_prices() -> None:
    usage = {"prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 5}
    questions, records = run_of("cw", usage=usage)
    summary = summarise(questions, records, manifest=MANIFEST)
    assert summary["tokens"] == {
        "prompt_tokens": 200, "cached_tokens": 80, "completion_tokens": 10, "replies_without": 0,
    }  # fmt: skip
    assert summary["cost"] is None
    assert "cost unknown" in printed(summary)


@pytest.mark.parametrize(
    ("times", "median", "p95"), [((1, 3), 2, 3), ((3, 1, 2), 2, 3), ((5,), 5, 5)]
)
def test_latency_is_the_median(times: tuple[float, ...], median: float, p95: float) -> None:
    questions, records = run_of("c" * len(times))
    timed = [replace(record, latency=t) for record, t in zip(records, times, strict=True)]
    assert summarise(questions, timed)["latency"] == {"median": median, "p95": p95}


def test_open_benchmark_says_its_measure() -> None:
    reply = Reply("<answer>ductal carcinoma</answer>")
    scored = score_reply(OPEN, reply)
    record = Record("o1", "full", "", scored.outcome, text=reply.text, measures=scored.measures)
    summary = summarise([OPEN], [record], manifest=MANIFEST)
    assert summary["measure"] == "normalised exact match"
    assert summary["measures"]["token_f1"]["mean"] == pytest.approx(0.8)
    assert summary["chance"] is None
    text = printed(summary)
    assert "normalised exact match" in text
    assert "token_f1" in text


def test_table_fits_80_columns_and_prints_markup_as_text() -> None:
    questions, records = run_of("cw" * 10)
    name = f"[red]\x1b[2J{'long ' * 20}<b>"
    hostile = [replace(question, dimension=name + question.dimension) for question in questions]
    manifest = {**MANIFEST, "model": {"name": "[bold]x/" + "y" * 90}}
    summary = summarise(hostile, records, manifest=manifest, dimensions=("absent",))
    text = printed(summary)
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]" in text
    assert "absent" not in text
    assert "10/20" in text
    low, high = summary["ci"]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in text
    assert "\x1b" not in text


def printed(summary: dict[str, Any]) -> str:
    terminal = console()
    terminal.file, terminal.width = io.StringIO(), 80
    terminal.print(summary_table(summary))
    return terminal.file.getvalue()
