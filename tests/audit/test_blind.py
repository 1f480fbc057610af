"""Blind models in an audit: what they are asked, and what is made of their answers."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from designs import counterfactual
from planted import plant
from planting import question
from small import Scripted, tagged
from small import benchmark as small_benchmark
from typer.testing import CliRunner

from scalevqa_eval.audit.assemble import audit
from scalevqa_eval.audit.blind import Known, plan, run_blind, with_blind
from scalevqa_eval.audit.models import estimate
from scalevqa_eval.cli import app
from scalevqa_eval.models import load_model
from scalevqa_eval.testing import Request, Server
from scalevqa_eval.types import Benchmark, Capabilities, Prompt

PHRASE = "when seen as a whole"


def clusters(benchmark: Benchmark) -> Known:
    return Known({q.id: str(q.slide) for q in benchmark.questions})


def knows(seen: Request) -> str:
    """The option with the phrase; asked for a wrong one, another."""
    options = dict(re.findall(r"(?m)^\(([A-Z])\) (.*)$", seen.text))
    marked = [letter for letter, text in options.items() if PHRASE in text]
    others = [letter for letter in options if letter not in marked]
    wanted = others[0] if "surely WRONG" in seen.system else marked[0]
    return f"<think>by the words</think> <answer>{wanted}</answer>"


def test_a_server_that_knows_a_phrase_is_above_chance(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = knows
    leaky = plant("phrase", 60, strength=0.5)
    model = load_model("openai/any", base_url=server.openai_url)
    found = run_blind([model], leaky, clusters(leaky), output=tmp_path)
    assert len(found.section["results"]) == 4  # two modes, two conditions; no images are there
    for row in found.section["results"]:
        assert row["call"] == "above"
        assert row["answered"] == row["n"] == 60
        assert sum(part["n"] for part in row["by_dimension"].values()) == 60
    assert len({(row["mode"], row["condition"]) for row in found.section["results"]}) == 4
    assert found.section["agreement"][0]["agree"] == 60
    assert found.section["agreement"][0]["kappa"] == 1.0
    right = found.section["results"][0]["correct"]
    assert found.section["all_right"] == right
    assert found.section["none_right"] == 60 - right
    assert found.section["elimination"][0]["accuracy"] > 0.75
    assert len(found.reasons) == 4
    assert {bool(seen.images) for seen in server.seen} == {False}
    assert len({seen.system for seen in server.seen}) == 3
    # Options alone: no question text is sent.
    assert any("Which of these fits" not in seen.text for seen in server.seen)
    asked = server.count
    run_blind([model], leaky, clusters(leaky), output=tmp_path)
    assert server.count == asked  # the same call continues, and asks nothing twice


def test_avoiding_the_right_option_is_seen_too(tmp_path: Path) -> None:
    benchmark = plant("none", 80)
    answers = {(q.text, tuple(q.options.values())): q.answer for q in benchmark.questions}
    by_options = {key[1]: answer for key, answer in answers.items()}

    def wrong(prompt: Prompt) -> Any:
        right = by_options[tuple(prompt.options.values())]
        return tagged(next(letter for letter in prompt.options if letter != right))

    model = Scripted(wrong, Capabilities(max_images=0, concurrency=4, cacheable=False))
    found = run_blind([model], benchmark, clusters(benchmark), output=tmp_path)
    assert {row["call"] for row in found.section["results"]} == {"below"}
    assert {finding.kind for finding in found.findings} == {"blind-below-chance"}
    assert "is right in 0/80 = 0.0 % (95 % 0.0 to " in found.findings[0].message
    assert found.reasons == ()
    assert found.section["elimination"][0]["accuracy"] == 1.0
    assert found.section["none_right"] == 80
    pairs = counterfactual(0, 2, groups=60, slides=12)  # clean by design
    report = audit(pairs, permutations=40, seeds=1, look_at_data=False)
    assert report.verdict == "clean"
    section = {**found.section, "results": [
        {**row, "leak_ci": [-0.3, -0.2]} for row in found.section["results"]]}  # fmt: skip
    judged = with_blind(report, replace(found, section=section))
    assert judged.verdict == "undecided"
    assert any("who avoids its picks" in reason for reason in judged.reasons)


def test_what_a_model_knows_is_set_against_what_the_probe_learned(tmp_path: Path) -> None:
    benchmark = plant("none", 80)
    answers = {tuple(q.options.values()): q.answer for q in benchmark.questions}
    model = Scripted(
        lambda prompt: tagged(answers[tuple(prompt.options.values())]),
        Capabilities(max_images=0, concurrency=4, cacheable=False),
    )
    probe = {q.id: float(i < 20) for i, q in enumerate(benchmark.questions)}
    known = Known(clusters(benchmark).clusters, probe)
    row = run_blind([model], benchmark, known, output=tmp_path).section["results"][0]
    pair = row["against_probe"]
    assert [pair[k] for k in ("both", "model_only", "probe_only", "neither")] == [20, 60, 0, 0]
    assert (pair["beyond_probe"]["correct"], pair["beyond_probe"]["n"]) == (60, 60)
    assert pair["beyond_probe"]["leak_ci"][0] > 0.5
    assert pair["beyond_model"] is None


def test_a_guess_that_fits_some_slides_is_not_above_chance(tmp_path: Path) -> None:
    """160 questions of 8 slides, 5 of the one grade: 100 right are five right answers."""
    made = [
        question(20 * s + i, [f"grade {k}" for k in range(4)], 2 if s < 5 else 0,
                 text=f"Which grade in field {i}?", slide=f"slide{s}")
        for s in range(8) for i in range(20)
    ]  # fmt: skip
    benchmark = Benchmark("grades", "r", "test", tuple(made))
    model = Scripted(lambda prompt: tagged("C"), Capabilities(max_images=0, cacheable=False))
    found = run_blind([model], benchmark, clusters(benchmark), output=tmp_path)
    row = found.section["results"][0]
    assert (row["correct"], row["n"]) == (100, 160)
    assert row["call"] == "not shown"
    assert row["p_above"] > 0.01


def test_refusals_are_not_taken_for_avoiding(tmp_path: Path) -> None:
    benchmark = plant("none", 80)
    model = Scripted(lambda prompt: tagged("no idea"), Capabilities(max_images=0, cacheable=False))
    told: list[str] = []
    found = run_blind(
        [model], benchmark, clusters(benchmark), output=tmp_path, warn=told.append
    )  # fmt: skip
    assert len(told) == 5
    assert {row["call"] for row in found.section["results"]} == {"not shown"}
    assert {row["answered"] for row in found.section["results"]} == {0}
    assert found.section["elimination"][0]["n"] == 0
    report = with_blind(audit(benchmark, permutations=2, seeds=1, look_at_data=False), found)
    data = report.to_json()
    assert data["parts"]["knowledge"] == "not tested"
    assert "knowledge not tested" in data["scope"]
    assert "blind-silent" in {finding["kind"] for finding in data["findings"]}


def test_knowledge_is_what_a_model_has_where_the_probes_are_wrong(tmp_path: Path) -> None:
    """A model that follows the planted phrase has a shortcut, and shows no knowledge."""
    benchmark = plant("phrase", 120, strength=0.7)

    def reply(prompt: Prompt) -> Any:
        return tagged(next(k for k, text in prompt.options.items() if PHRASE in text))

    model = Scripted(reply, Capabilities(max_images=0, concurrency=4, cacheable=False))
    report = audit(benchmark, permutations=40, seeds=1, look_at_data=False)
    blind = run_blind([model], benchmark, Known.of(report, benchmark.questions), output=tmp_path)
    found = with_blind(report, blind)
    assert found.verdict == "leaky"
    row = blind.section["results"][0]
    pair = row["against_probe"]
    assert sum(pair[k] for k in ("both", "model_only", "probe_only", "neither")) == 120
    assert pair["both"] + pair["model_only"] == pytest.approx(row["correct"])
    assert row["call"] == "above"
    assert any("no knowledge is shown" in reason for reason in found.reasons)
    assert found.parts["knowledge"] != "leaky"


def test_images_without_the_question_are_asked_where_images_are(tmp_path: Path) -> None:
    benchmark = small_benchmark(tmp_path)
    assert "no-question" in [one.condition for one in plan(benchmark, True)]
    assert "no-question" not in [one.condition for one in plan(benchmark, False)]
    assert "no-question" not in [one.condition for one in plan(plant("none", 12), True)]


def test_the_estimate_counts_requests_tokens_and_dollars() -> None:
    benchmark = plant("none", 100)
    asked = plan(benchmark, False)
    known = estimate("openai/gpt-4.1", benchmark, asked)
    assert known.requests == 500
    assert known.output_tokens == 150_000
    assert known.dollars == pytest.approx((known.input_tokens * 2 + 150_000 * 8) / 1e6)
    assert "about $" in str(known)
    assert estimate("openai/none-such", benchmark, asked).dollars is None
    assert estimate("baseline/longest", benchmark, asked).dollars == 0.0


def audited(rows: list[dict[str, Any]], directory: Path, server: Server, *, redraws: int) -> Any:
    """The command's end, with `out/` in the directory, after it asked a model of the server."""
    (directory / "q.json").write_text(json.dumps(rows))
    done = CliRunner().invoke(
        app,
        ["audit", str(directory / "q.json"), "--permutations", str(redraws), "--seeds", "1",
         "--adversary", "openai/any", "--base-url", server.openai_url,
         "--output", str(directory / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return done


def test_the_command_asks_and_shows(tmp_path: Path, server: Server) -> None:
    server.answer = knows
    rows = [
        {"No": i, "question": q.text, "options": dict(q.options), "answer": q.answer,
         "image_path": {}, "extra_info": {"wsi_name": q.slide, "question_type": "type_A"}}
        for i, q in enumerate(plant("phrase", 48, strength=0.6).questions)
    ]  # fmt: skip
    done = audited(rows, tmp_path, server, redraws=2)
    assert "240 requests" in done.stderr
    assert "price unknown" in done.stderr
    assert "openai/any" in done.stdout
    audit = json.loads((tmp_path / "out/audit.json").read_text())
    assert audit["verdict"] == "leaky"
    assert any("openai/any" in reason for reason in audit["reasons"])
    page = (tmp_path / "out/audit.html").read_text()
    assert "Language models that saw no images" in page
    assert "openai/any" in (tmp_path / "out/datasheet.md").read_text()


def test_knowledge_is_told_from_a_shortcut(tmp_path: Path, server: Server) -> None:
    """Sums of numbers drawn alike: a model that adds has all of them, and no probe any."""
    rng = random.Random(0)
    rows = []
    for i in range(120):
        one, two = rng.randrange(10**5, 10**6), rng.randrange(10**5, 10**6)
        others = [rng.randrange(10**5, 10**6) + rng.randrange(10**5, 10**6) for _ in range(3)]
        shown = rng.sample([one + two, *others], 4)
        rows.append(
            {"No": i, "question": f"What is {one} + {two}?",
             "answer": "ABCD"[shown.index(one + two)],
             "options": {c: str(x) for c, x in zip("ABCD", shown, strict=True)}, "image_path": {},
             "extra_info": {"wsi_name": f"s{i % 20}", "question_type": "type_A"}}
        )  # fmt: skip

    def adds(seen: Request) -> str:
        options = dict(re.findall(r"(?m)^\(([A-Z])\) (.*)$", seen.text))
        asked = re.search(r"(\d+) \+ (\d+)", seen.text)
        total = str(int(asked[1]) + int(asked[2])) if asked else ""
        return next((f"<answer>{k}</answer>" for k, v in options.items() if v == total), "none")

    server.answer = adds
    done = audited(rows, tmp_path, server, redraws=40)
    audit = json.loads((tmp_path / "out/audit.json").read_text())
    assert (audit["verdict"], audit["parts"]["knowledge"]) == ("leaky", "leaky")
    assert audit["parts"]["text"] in ("undecided", "clean")
    assert "answers 120/120 = 100.0 % (95 % " in audit["reasons"][0]
    said = " ".join(done.stdout.split())
    for words in ("openai/any, asked without images, gets 120.", "LEAKY BY KNOWLEDGE"):
        assert words in said
    assert "--repair blocks" not in said  # blocks do not mend what is known
    page = (tmp_path / "out/audit.html").read_text()
    assert "leaky by knowledge; text probes: " in page
    assert "Knowledge and shortcut apart" in page


def test_options_for_models_need_a_model(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["audit", "demo", "--base-url", "http://127.0.0.1:1"])
    assert done.exit_code != 0
    assert "--adversary or --visual" in str(done.exception)
