"""evaluate: what is asked, what is kept, and what survives."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import Scripted, always, benchmark, picture, tagged

from scalevqa_eval import evaluate, open_run
from scalevqa_eval.errors import DataError, ModelError, UsageError
from scalevqa_eval.run import Progress, RetryPolicy
from scalevqa_eval.types import Capabilities, Outcome, Prompt, Reply, Sampling

QUICK = RetryPolicy(base=0.001, cap=0.01, time_limit=5)


def failing(times: int, error: ModelError) -> Scripted:
    """Fails the first `times` tries of each question, then answers A."""
    tries: dict[str, int] = {}

    def answer(prompt: Prompt) -> Reply:
        tries[prompt.question_id] = tries.get(prompt.question_id, 0) + 1
        if tries[prompt.question_id] <= times:
            raise error
        return tagged("A")

    return Scripted(answer)


def test_a_run_answers_every_question_and_can_be_read_again(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    model = always("A")
    done = evaluate(model, questions, output=tmp_path / "runs")
    assert done.complete
    assert done.summary["n"] == 12
    assert done.summary["correct"] == 3  # q0, q4, q8
    assert done.summary["accuracy"] == pytest.approx(3 / 12)
    assert done.summary["outcomes"]["correct"] == 3
    low, high = done.summary["ci"]
    assert 0 <= low < 0.25 < high <= 1
    read = open_run(done.path)
    assert read.records == done.records
    assert dict(read.summary) == done.summary
    assert [key.id for key in read.questions] == [q.id for q in questions.questions]


@pytest.mark.parametrize("seed", ["x", None, 1.5, True])
def test_a_seed_is_a_whole_number(tmp_path: Path, seed: Any) -> None:
    with pytest.raises(UsageError, match="whole number"):
        evaluate(always("A"), benchmark(tmp_path / "images"), output=tmp_path / "r", seed=seed)


def test_letters_only_for_a_baseline_says_what_to_leave_out(tmp_path: Path) -> None:
    questions, sampling = benchmark(tmp_path / "images"), Sampling(letters_only=True)
    with pytest.raises(UsageError, match="leave out --letters-only"):
        evaluate("baseline/random", questions, output=tmp_path / "r", sampling=sampling)


def test_one_seed_is_for_conditions_and_sampling(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    for own, seed in ((None, 7), (Sampling(seed=3), 3)):
        model = always("A")
        done = evaluate(model, questions, output=tmp_path / "runs", seed=7, sampling=own)
        assert {prompt.sampling.seed for prompt in model.prompts} == {seed}
        assert open_run(done.path).manifest["sampling"]["seed"] == seed


def test_images_come_first_and_equal_sets_are_asked_together(tmp_path: Path) -> None:
    model = always("A")
    evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / "runs", max_concurrency=1)
    places = [prompt.images[0].source.split("/")[0] for prompt in model.prompts]
    assert places == [f"s{place}" for place in range(4) for _ in range(3)]
    for prompt in model.prompts:
        assert [part.scale for part in prompt.images] == ["low", "mid"]
        assert prompt.parts[:2] == prompt.images


def test_no_model_is_told_the_answer(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    marked = tuple(
        replace(q, rationale="SECRET-WHY", extra={"note": "SECRET"}) for q in questions.questions
    )
    model = always("A")
    evaluate(model, replace(questions, questions=marked), output=tmp_path / "runs")
    for prompt in model.prompts:
        assert "SECRET" not in repr(prompt)
        assert not hasattr(prompt, "answer")


def test_the_same_call_asks_nothing_again(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    first = evaluate(always("A"), questions, output=tmp_path / "runs", cache=False)
    again = always("A")
    second = evaluate(again, questions, output=tmp_path / "runs", cache=False)
    assert again.prompts == []
    assert second.path == first.path
    assert second.records == first.records


def test_a_stopped_run_is_continued(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    asked: list[str] = []

    def until_seven(prompt: Prompt) -> Reply:
        asked.append(prompt.question_id)
        if len(asked) == 7:
            raise ModelError("the key was revoked", fatal=True)
        return tagged("B")

    first = evaluate(
        Scripted(until_seven), questions, output=tmp_path / "runs", max_concurrency=1, cache=False
    )
    assert not first.complete
    assert "revoked" in first.stopped
    rest = always("B")
    second = evaluate(rest, questions, output=tmp_path / "runs", cache=False)
    assert second.complete
    assert len(rest.prompts) == 12 - 6
    lines = (second.path / "records.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["question_id"] for line in lines) == sorted(
        q.id for q in questions.questions
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1))
def test_records_cut_at_any_byte_are_completed(tmp_path: Path, cut: float) -> None:
    questions = benchmark(tmp_path / "images")
    output = tmp_path / "runs"
    path = evaluate(always("A"), questions, output=output, cache=False).path / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    done = evaluate(always("A"), questions, output=output, cache=False)
    assert done.complete
    lines = path.read_bytes().splitlines()
    assert sorted(lines) == sorted(whole.splitlines())


def test_a_damaged_line_in_the_middle_is_said_and_nothing_is_overwritten(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    path = evaluate(always("A"), questions, output=tmp_path / "runs").path / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{oops\n", *lines[3:]]))
    before = path.read_bytes()
    with pytest.raises(DataError, match="line 4"):
        evaluate(always("A"), questions, output=tmp_path / "runs")
    assert path.read_bytes() == before


def test_errors_are_not_scored_not_cached_and_tried_again(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")

    def fails_on_odd(prompt: Prompt) -> Reply:
        if int(prompt.question_id[1:]) % 2:
            raise ModelError("context too long")
        return tagged("A")

    first = evaluate(Scripted(fails_on_odd), questions, output=tmp_path / "runs")
    assert not first.complete
    assert first.summary["n"] == 6
    assert first.summary["errors"] == 6
    assert first.summary["complete"] is False
    assert {r.error for r in first.records if r.outcome is Outcome.ERROR} == {"context too long"}
    healed = always("A")
    second = evaluate(healed, questions, output=tmp_path / "runs")
    assert len(healed.prompts) == 6
    assert second.complete
    assert second.summary["n"] == 12


def test_what_may_heal_is_tried_again(tmp_path: Path) -> None:
    model = failing(3, ModelError("503", retryable=True))
    done = evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / "runs", retry=QUICK)
    assert done.complete
    assert {record.attempts for record in done.records} == {4}


def test_what_cannot_heal_is_not_tried_again(tmp_path: Path) -> None:
    model = failing(1, ModelError("400"))
    done = evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / "runs", retry=QUICK)
    assert len(model.prompts) == 12
    assert all(record.outcome is Outcome.ERROR for record in done.records)


def test_a_question_has_a_total_time_limit(tmp_path: Path) -> None:
    def never(prompt: Prompt) -> asyncio.Future[Reply]:
        return asyncio.get_running_loop().create_future()

    questions = benchmark(tmp_path / "images", sets=1, each=2)
    done = evaluate(
        Scripted(never), questions, output=tmp_path / "runs", retry=RetryPolicy(time_limit=0.05)
    )
    assert [record.outcome for record in done.records] == [Outcome.ERROR] * 2
    assert "no reply within" in done.records[0].error


def test_429_lowers_the_concurrency(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(progress: Progress) -> None:
        seen.append(progress.concurrency)

    model = failing(1, ModelError("429", retryable=True, rate_limited=True))
    questions = benchmark(tmp_path / "images", sets=4, each=10)
    done = evaluate(
        model, questions, output=tmp_path / "runs", retry=QUICK, max_concurrency=16,
        progress=watch,
    )  # fmt: skip
    assert done.complete
    assert seen[0] == 16
    assert min(seen) <= 8


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    policy = RetryPolicy(base=0.001, cap=0.001, time_limit=1)
    error = ModelError("429", retryable=True, rate_limited=True, retry_after=30)
    model = failing(1, error)
    questions = benchmark(tmp_path / "images", sets=1, each=1)
    done = evaluate(model, questions, output=tmp_path / "runs", retry=policy)
    # 30 seconds do not fit into the limit of one: it is given up at once, not asked too early.
    assert len(model.prompts) == 1
    assert done.records[0].outcome is Outcome.ERROR


def test_paid_replies_are_shared_by_runs(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    evaluate(always("C"), questions, output=tmp_path / "one")
    other = always("C")
    done = evaluate(other, questions, output=tmp_path / "two")
    assert other.prompts == []
    assert all(record.cached for record in done.records)


def test_a_changed_image_is_asked_again_and_its_answers_are_set_aside(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    path = evaluate(always("A"), questions, output=tmp_path / "runs").path
    before = (path / "records.jsonl").read_text().splitlines()
    picture(tmp_path / "images/s1/low.jpg", seed=999)
    told: list[str] = []
    down = Scripted(failing(10**6, ModelError("down")).answer)
    stopped = evaluate(down, questions, output=tmp_path / "runs", warn=told.append)
    assert stopped.summary["n"] == 9
    aside = (path / "set-aside.jsonl").read_text().splitlines()
    assert len(aside) == 3
    assert set(aside) <= set(before)
    assert "3 answers" in told[0]
    assert str(path / "set-aside.jsonl") in told[0]
    again = always("A")
    done = evaluate(again, questions, output=tmp_path / "runs")
    assert {prompt.images[0].source for prompt in again.prompts} == {"s1/low.jpg"}
    assert len(again.prompts) == 3
    assert done.complete


def test_changed_settings_make_another_run(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    paths = {
        evaluate(always("A"), questions, output=tmp_path / "runs", **changed).path  # type: ignore[arg-type]
        for changed in (
            {},
            {"seed": 1},
            {"prompt": "direct"},
            {"sampling": Sampling(max_tokens=7)},
            {"conditions": ["no-images"]},
        )
    }
    assert len(paths) == 5


def test_several_conditions_in_one_call(tmp_path: Path) -> None:
    done = evaluate(
        always("A"), benchmark(tmp_path / "images"), ["full", "no-images"], output=tmp_path / "runs"
    )
    assert list(done.runs) == ["full", "no-images"]
    assert done.summary["conditions"]["no-images"]["n"] == 12
    assert {record.condition for record in done.records} == {"full", "no-images"}
    assert all(not record.images for record in done["no-images"].records)
    frame = done.to_pandas()
    assert len(frame) == 24
    assert set(frame["condition"]) == {"full", "no-images"}


def test_it_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    async def notebook() -> int:
        done = evaluate(always("A"), benchmark(tmp_path / "images"), output=tmp_path / "runs")
        return int(done.summary["n"])

    assert asyncio.run(notebook()) == 12


def test_one_model_serves_several_evaluations(tmp_path: Path) -> None:
    model = always("A")
    for name in ("one", "two"):
        evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / name, cache=False)
    assert len(model.prompts) == 24
    assert model.closed == 0


def test_an_unusable_image_is_found_before_the_first_request(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    (tmp_path / "images/s2/mid.jpg").unlink()
    model = always("A")
    with pytest.raises(DataError, match=r"s2/mid\.jpg"):
        evaluate(model, questions, output=tmp_path / "runs")
    assert model.prompts == []
    assert evaluate(model, questions, ["no-images"], output=tmp_path / "runs").complete


@pytest.mark.parametrize(
    ("capabilities", "sampling", "says"),
    [
        (Capabilities(max_images=1), Sampling(), "at most 1 image"),
        (Capabilities(max_images=0), Sampling(), "no images"),
        (Capabilities(), Sampling(logprobs=True), "log-probabilities"),
        (Capabilities(), Sampling(letters_only=True), "letters"),
    ],
)
def test_what_a_model_cannot_do_is_said_before_the_run(
    tmp_path: Path, capabilities: Capabilities, sampling: Sampling, says: str
) -> None:
    model = Scripted(lambda prompt: tagged("A"), capabilities)
    with pytest.raises(UsageError, match=says):
        evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / "r", sampling=sampling)
    assert model.prompts == []


def test_cut_and_refused_replies_stay_in_the_denominator(tmp_path: Path) -> None:
    replies = [
        Reply("<think>and so on", finish="length"),
        Reply("I cannot help with that.", finish="refusal"),
        Reply("It is hard to say."),
        tagged("D"),
    ]
    model = Scripted(lambda prompt: replies[int(prompt.question_id[1:]) % 4])
    heard: list[str] = []
    questions = benchmark(tmp_path / "images", sets=1, each=4)
    done = evaluate(model, questions, output=tmp_path / "runs", warn=heard.append)
    outcomes = [record.outcome for record in done.records]
    assert outcomes == ["truncated", "refused", "unparsed", "correct"]
    assert done.summary["n"] == 4
    assert done.summary["correct"] == 1
    assert any("1/4 replies are truncated" in message for message in heard)


def test_no_condition_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="such as full"):
        evaluate(always("A"), benchmark(tmp_path / "images"), (), output=tmp_path / "runs")


def test_what_comes_back_has_a_short_name(tmp_path: Path) -> None:
    done = evaluate(always("A"), benchmark(tmp_path / "images"), output=tmp_path / "runs")
    assert repr(done) == "<Evaluation: full 3/12 right>"
    assert repr(done["full"]).startswith("<Run of test/scripted, full: 3/12 right; ")


def test_records_are_scored_again_by_code_that_scores_otherwise(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    done = evaluate(always("A"), questions, output=tmp_path / "runs")
    path = done.path / "records.jsonl"
    lines = [
        {**json.loads(line), "outcome": "unparsed", "letter": None}
        for line in path.read_text().splitlines()
    ]
    for line in lines:
        del line["crc32"]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    manifest = json.loads((done.path / "manifest.json").read_text())
    (done.path / "manifest.json").write_text(json.dumps({**manifest, "scorer": "an older one"}))
    model = always("A")
    again = evaluate(model, questions, output=tmp_path / "runs")
    assert again.summary["correct"] == 3
    assert model.prompts == []
    assert open_run(done.path).manifest["scorer"] == manifest["scorer"]


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    twice = replace(questions, questions=(*questions.questions, questions.questions[3]))
    with pytest.raises(DataError, match="'q3'"):
        evaluate(always("A"), twice, output=tmp_path / "runs")


def test_the_manifest_says_what_was_done(tmp_path: Path) -> None:
    questions = replace(benchmark(tmp_path / "images"), card="c0ffee")
    done = evaluate(always("A"), questions, ["full", "blank-images"], output=tmp_path / "runs")
    manifest = open_run(done.path).manifest
    assert manifest["seed"] == 0
    assert manifest["benchmark"]["card"] == "c0ffee"
    assert manifest["versions"]["scalevqa-eval"]
    assert manifest["prompt"]["style"] == "scalereasoner-v1"
    file = tmp_path / "images/s0/low.jpg"
    sent = hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["images"]["s0/low.jpg"] == {"sha256": sent, "change": ""}
    assert len(manifest["images"]) == 8
    blank = open_run(done["blank-images"].path).manifest["images"]["s0/low.jpg"]
    assert blank["sha256"] != sent
    evaluate(always("A"), questions, ["full"], output=tmp_path / "runs")
    assert len(open_run(done.path).manifest["calls"]) == 2


class Slow(Scripted):
    """A model that has to be started."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__(lambda prompt: tagged("A"))
        self.fails = fails
        self.started = 0

    async def start(self) -> None:
        self.started += 1
        assert not self.prompts
        if self.fails:
            raise ModelError("the weights are cut off", fatal=True)


def test_a_model_is_started_before_the_first_prompt_and_not_for_nothing(tmp_path: Path) -> None:
    questions = benchmark(tmp_path / "images")
    model = Slow()
    assert evaluate(model, questions, output=tmp_path / "runs", cache=False).complete
    assert model.started == 1
    evaluate(model, questions, output=tmp_path / "runs", cache=False)
    assert model.started == 1
    evaluate(Slow(), questions, output=tmp_path / "kept")
    cached = Slow()
    assert evaluate(cached, questions, output=tmp_path / "again").complete
    assert cached.started == 0


def test_a_model_that_does_not_start_says_why(tmp_path: Path) -> None:
    model = Slow(fails=True)
    done = evaluate(model, benchmark(tmp_path / "images"), output=tmp_path / "runs")
    assert not done.complete
    assert done.stopped == "the weights are cut off"
    assert model.prompts == []
