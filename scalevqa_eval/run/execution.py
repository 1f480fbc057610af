"""The work of one `evaluate` call: ask what is open, keep each answer at once, sum up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model, StartableModel
from scalevqa_eval.models.prices import cost
from scalevqa_eval.prompts import PromptStyle, build_prompt
from scalevqa_eval.run import store as runs
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.result import Evaluation, Progress
from scalevqa_eval.run.retry import RetryPolicy, Throttle, ask
from scalevqa_eval.run.store import QuestionKey, Run
from scalevqa_eval.scoring.score import score_reply, summarise
from scalevqa_eval.types import Benchmark, Outcome, Prompt, Question, Record, Reply, Sampling, Usage

# A run stops when so many questions in a row got no reply at all: the other side is gone.
HOPELESS = 20


@dataclass(slots=True)
class Plan:
    """One condition of an evaluation: what is shown, and what is already answered."""

    condition: str
    questions: dict[str, Question]
    manifest: dict[str, Any]
    directory: Path
    kept: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, Record] = field(default_factory=dict)
    failed_before: set[str] = field(default_factory=set)
    asked: int = 0
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    writer: runs.RecordWriter | None = None


class Execution:
    """The state of one call of `evaluate` while it works."""

    def __init__(
        self,
        model: Model,
        benchmark: Benchmark,
        plans: list[Plan],
        style: PromptStyle,
        sampling: Sampling,
        store: ImageStore,
        replies: ReplyCache,
        policy: RetryPolicy,
        draw: random.Random,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.model, self.benchmark, self.plans = model, benchmark, plans
        self.style, self.sampling, self.store, self.replies = style, sampling, store, replies
        self.policy, self.draw, self.on_progress = policy, draw, on_progress
        self.progress = Progress(total=sum(len(plan.questions) for plan in plans))
        self.seconds = time.monotonic()
        self.in_a_row = 0

    def prompt(self, plan: Plan, question: Question) -> Prompt:
        prompt = build_prompt(question, self.style, self.sampling, self.store.part)
        for part in prompt.images:
            plan.images[part.source] = {"sha256": part.sha256, "change": part.change}
        return prompt

    def load(self) -> None:
        """Take over what earlier calls answered, if it was asked exactly as it would be now."""
        for plan in self.plans:
            path = plan.directory / runs.RECORDS
            found, torn = runs.read_records(path)
            for record in found:
                question = plan.questions.get(record.question_id)
                if question is None:
                    continue
                if not record.outcome.scored:
                    plan.failed_before.add(record.question_id)
                    continue
                # The digest holds the images' bytes: a file that changed is asked again.
                if self.prompt(plan, question).digest() == record.prompt:
                    plan.kept.setdefault(record.question_id, _rescored(question, record))
            if torn or list(plan.kept.values()) != found:
                runs.rewrite_records(plan.directory, plan.kept.values())
            self.progress.kept += len(plan.kept)

    def tasks(self) -> Iterator[tuple[Plan, Question]]:
        """Open questions; those that show the same images stand next to each other.

        What failed in the call before comes last, so that it cannot stop every call anew.
        """
        sets: dict[tuple[str, ...], list[str]] = {}
        for question in self.benchmark.questions:
            sets.setdefault(question.image_set, []).append(question.id)
        for again in (False, True):
            for ids in sets.values():
                for plan in self.plans:
                    for id_ in ids:
                        if id_ not in plan.questions or (id_ in plan.failed_before) is not again:
                            continue
                        if id_ not in plan.kept:
                            yield plan, plan.questions[id_]

    async def run(self, concurrency: int) -> str:
        """Ask everything that is open. Returns why it stopped early, "" if it did not."""
        throttle = Throttle(max(1, concurrency))
        if self.progress.kept < self.progress.total and isinstance(self.model, StartableModel):
            try:
                await self.model.start()
            except ModelError as error:
                return str(error)
        for plan in self.plans:
            plan.writer = runs.RecordWriter(plan.directory / runs.RECORDS)
        tasks = self.tasks()
        stopped = ""
        self.report(throttle)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(throttle.maximum, self.progress.total)):
                    group.create_task(self.work(tasks, throttle))
        except* _Stop as stop:
            stopped = str(stop.exceptions[0])
        except* ScaleVQAError as errors:
            raise errors.exceptions[0] from None
        finally:
            for plan in self.plans:
                if plan.writer:
                    plan.writer.close()
        return stopped

    async def work(self, tasks: Iterator[tuple[Plan, Question]], throttle: Throttle) -> None:
        for plan, question in tasks:
            await self.one(plan, question, throttle)

    async def one(self, plan: Plan, question: Question, throttle: Throttle) -> None:
        plan.asked += 1
        prompt = self.prompt(plan, question)
        known = self.replies.get(self.model, prompt)
        if known is not None:
            self.keep(plan, _record(plan.condition, question, prompt, known, 0, cached=True))
            self.progress.from_cache += 1
            self.report(throttle)
            await asyncio.sleep(0)  # let Ctrl-C in
            return
        asked = await ask(self.model, prompt, self.policy, throttle, self.draw)
        if asked.reply is not None:
            self.in_a_row = 0
            record = _record(plan.condition, question, prompt, asked.reply, asked.attempts)
            self.keep(plan, record)
            self.replies.put(self.model, prompt, asked.reply)
            self.add_cost(asked.reply.usage)
        elif asked.error is not None:
            self.fail(plan, question, prompt, asked.error, asked.attempts)
        self.report(throttle)

    def keep(self, plan: Plan, record: Record) -> None:
        assert plan.writer is not None
        plan.writer.append(record)
        plan.kept[record.question_id] = record
        self.progress.answered += 1

    def fail(
        self, plan: Plan, question: Question, prompt: Prompt, error: ModelError, attempts: int
    ) -> None:
        plan.failed[question.id] = record = Record(
            question.id, plan.condition, prompt.digest(), Outcome.ERROR,
            attempts=attempts, error=str(error), images=tuple(p.sha256 for p in prompt.images),
        )  # fmt: skip
        assert plan.writer is not None
        plan.writer.append(record)
        self.progress.errors += 1
        self.progress.last_error = str(error)
        self.in_a_row += 1
        if error.fatal:
            raise _Stop(str(error))
        if self.in_a_row >= HOPELESS:
            raise _Stop(f"the last {self.in_a_row} questions got no reply: {error}")

    def add_cost(self, usage: Usage) -> None:
        price = cost(self.model.name, usage)
        known = self.progress.cost is not None and price is not None
        self.progress.cost = (self.progress.cost or 0.0) + (price or 0.0) if known else None

    def report(self, throttle: Throttle) -> None:
        self.progress.concurrency = max(1, int(throttle.limit))
        self.on_progress(self.progress)

    def finish(self, stopped: str, tell: Callable[[str], None]) -> Evaluation:
        """Write summaries from what is in the records now."""
        seconds = time.monotonic() - self.seconds
        found: dict[str, Run] = {}
        for plan in self.plans:
            shown = list(plan.questions.values())
            order = {question.id: place for place, question in enumerate(shown)}
            records = [*plan.kept.values(), *plan.failed.values()]
            records.sort(key=lambda record: order[record.question_id])
            summary = summarise(
                shown,
                records,
                manifest=plan.manifest,
                dimensions=self.benchmark.dimensions,
                seconds=_earlier_seconds(plan) + (seconds if plan.asked else 0.0),
            )
            manifest = runs.finish_manifest(plan.directory, plan.images)
            runs.write_json(plan.directory / runs.SUMMARY, summary)
            keys = tuple(map(QuestionKey.of, shown))
            found[plan.condition] = Run(plan.directory, manifest, keys, tuple(records), summary)
            warn_of(plan.condition, summary, tell)
        complete = all(len(plan.kept) == len(plan.questions) for plan in self.plans)
        return Evaluation(found, complete, stopped)


class _Stop(ScaleVQAError):
    """No further question can be answered in this call."""


def _record(
    condition: str,
    question: Question,
    prompt: Prompt,
    reply: Reply,
    attempts: int,
    *,
    cached: bool = False,
) -> Record:
    scored = score_reply(question, reply)
    return Record(
        question_id=question.id,
        condition=condition,
        prompt=prompt.digest(),
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        text=reply.text,
        reasoning=reply.reasoning,
        finish=reply.finish,
        model=reply.model,
        latency=round(reply.latency, 4),
        attempts=attempts,
        cached=cached,
        usage={
            "prompt_tokens": reply.usage.prompt_tokens,
            "cached_tokens": reply.usage.cached_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        },
        logprobs=reply.logprobs,
        images=tuple(part.sha256 for part in prompt.images),
        measures=scored.measures,
    )


def _rescored(question: Question, record: Record) -> Record:
    """The record as today's extractor reads it: its parser may be newer than the record."""
    reply = Reply(text=record.text, finish=record.finish, logprobs=record.logprobs)  # type: ignore[arg-type]
    scored = score_reply(question, reply)
    return replace(
        record,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        measures=scored.measures,
    )


def _earlier_seconds(plan: Plan) -> float:
    """What earlier calls took, by their summary; a call that was killed left none."""
    try:
        seconds = runs.read_object(plan.directory / runs.SUMMARY).get("seconds")
    except ScaleVQAError:
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def warn_of(condition: str, summary: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    n, outcomes = summary["n"], summary["outcomes"]
    for outcome, advice in (
        ("truncated", "give more room with --max-tokens"),
        ("unparsed", "look at these replies in records.jsonl"),
    ):
        count = outcomes.get(outcome, 0)
        if n and count / n > 0.01:
            tell(f"{condition}: {count}/{n} replies are {outcome} and count as wrong; {advice}")
