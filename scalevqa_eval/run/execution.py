"""The work of one `evaluate` call: ask what is open, keep each answer at once, sum up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model, StartableModel
from scalevqa_eval.models.prices import cost
from scalevqa_eval.prompts import PromptStyle, build_prompt
from scalevqa_eval.run import store, writing
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.progress import Progress, Reporter
from scalevqa_eval.run.retry import RetryPolicy, Throttle, ask
from scalevqa_eval.run.store import Evaluation, QuestionKey, Run
from scalevqa_eval.scoring.score import score_reply, summarise
from scalevqa_eval.types import Benchmark, Outcome, Prompt, Question, Record, Reply, Sampling

# After so many questions in a row without a reply, the next are drawn at random from all that
# are open; if as many of those get none either, the fault is not in the questions: the run stops.
FAILURES_IN_A_ROW = 10
# How long a run that stops waits for replies that are under way and paid for, in seconds.
LAST_REPLIES = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is asked: all that `evaluate` takes besides model, benchmark and conditions."""

    output: Path = Path("runs")
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_concurrency: int | None = None
    seed: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cache: bool = True


@dataclass(slots=True)
class Plan:
    """One condition of an evaluation: what is shown, and which questions have a record.

    Records themselves stay in the file: a run may have more of them than fit into memory.
    """

    condition: str
    questions: dict[str, Question]
    manifest: dict[str, Any]
    directory: Path
    answered: set[str] = field(default_factory=set)
    failed_before: set[str] = field(default_factory=set)
    asked: int = 0
    images: dict[str, tuple[str, str]] = field(default_factory=dict)
    writer: writing.RecordWriter | None = None


@dataclass
class Execution:
    """The state of one call of `evaluate` while it works."""

    model: Model
    benchmark: Benchmark
    plans: list[Plan]
    settings: Settings
    style: PromptStyle
    images: ImageStore
    replies: ReplyCache
    reporter: Reporter

    def __post_init__(self) -> None:
        self.progress = Progress(total=sum(len(plan.questions) for plan in self.plans))
        self.seconds = time.monotonic()
        self.draw = random.Random(self.settings.seed)
        self.open: list[tuple[Plan, Question]] = []
        self.failures = 0
        self.failed_draws = 0
        self.stopped = ""

    def prompt(self, plan: Plan, question: Question) -> Prompt:
        prompt = build_prompt(question, self.style, self.settings.sampling, self.images.part)
        for part in prompt.images:
            plan.images[part.source] = part.sha256, part.change
        return prompt

    # --- what earlier calls left ---------------------------------------------------------------

    def take_over(self) -> None:
        """Keep what earlier calls answered, if it was asked exactly as it would be now."""
        for plan in self.plans:
            self._take_over(plan)
            self.progress.kept += len(plan.answered)
        self.open = self._in_order()

    def _take_over(self, plan: Plan) -> None:
        changes: dict[int, bytes] = {}
        aside: list[bytes] = []
        score_again = _scorer(plan) != plan.manifest["scorer"]
        for line in store.read_records(plan.directory):
            record = line.record
            if record is None or not record.outcome.scored:
                changes[line.number] = b""
                if record is not None:
                    plan.failed_before.add(record.question_id)
                continue
            question = plan.questions.get(record.question_id)
            # The digest holds the images' bytes: what shows a changed file is asked again.
            if (
                question is None
                or question.id in plan.answered
                or self.prompt(plan, question).digest() != record.prompt
            ):
                changes[line.number] = b""
                aside.append(line.data)
                continue
            plan.answered.add(question.id)
            if score_again and (scored := _scored_again(question, record)) != record:
                changes[line.number] = writing.record_line(scored)
        if aside:
            writing.set_aside(plan.directory, aside)
            self.reporter.warn(
                f"{plan.condition}: {len(aside)} answers were to other images or prompts than "
                f"now; they are moved to {plan.directory / store.SET_ASIDE}, and asked again"
            )
        if changes:
            writing.revise_records(plan.directory, changes)
        writing.write_start(
            plan.directory, plan.manifest, map(QuestionKey.of, plan.questions.values())
        )

    def _in_order(self) -> list[tuple[Plan, Question]]:
        """Open questions, the next one last; those that show the same images stand together.

        What failed in the call before comes after all others.
        """
        sets: dict[tuple[str, ...], list[str]] = {}
        for question in self.benchmark.questions:
            sets.setdefault(question.image_set, []).append(question.id)
        fresh: list[tuple[Plan, Question]] = []
        again: list[tuple[Plan, Question]] = []
        for ids in sets.values():
            for plan in self.plans:
                for id_ in ids:
                    if id_ in plan.questions and id_ not in plan.answered:
                        place = again if id_ in plan.failed_before else fresh
                        place.append((plan, plan.questions[id_]))
        return [*reversed(again), *reversed(fresh)]

    # --- asking --------------------------------------------------------------------------------

    async def run(self, concurrency: int) -> None:
        """Ask everything that is open, or until `stopped` says why nothing more is asked."""
        throttle = Throttle(max(1, concurrency))
        if self.open and isinstance(self.model, StartableModel):
            try:
                await self.model.start()
            except ModelError as error:
                self.stopped = str(error)
                return
        for plan in self.plans:
            plan.writer = writing.RecordWriter(plan.directory)
        self.report(throttle)
        try:
            async with asyncio.timeout(None) as self.patience, asyncio.TaskGroup() as group:
                for _ in range(min(throttle.maximum, len(self.open))):
                    group.create_task(self.work(throttle))
        except TimeoutError:
            pass  # what was still under way after the stop is given up
        except BaseExceptionGroup as errors:
            known, unknown = errors.split(ScaleVQAError)
            raise (unknown or known.exceptions[0]) from None  # type: ignore[union-attr]
        finally:
            for plan in self.plans:
                if plan.writer:
                    plan.writer.close()

    async def work(self, throttle: Throttle) -> None:
        while self.open and not self.stopped:
            drawn = self.failures >= FAILURES_IN_A_ROW
            plan, question = self.open.pop(self.draw.randrange(len(self.open)) if drawn else -1)
            await self.one(plan, question, drawn, throttle)

    async def one(self, plan: Plan, question: Question, drawn: bool, throttle: Throttle) -> None:
        plan.asked += 1
        prompt = self.prompt(plan, question)
        digest = prompt.digest()
        known = self.replies.get(digest)
        if known is not None:
            self.keep(plan, _answer(plan.condition, question, prompt, digest, known, 0))
            self.progress.from_cache += 1
            self.report(throttle)
            await asyncio.sleep(0)  # let Ctrl-C in
            return

        def on_retry(reason: str) -> None:
            self.progress.retrying = reason
            self.report(throttle)

        asked = await ask(self.model, prompt, self.settings.retry, throttle, self.draw, on_retry)
        if asked.reply is not None:
            self.failures = self.failed_draws = 0
            self.progress.retrying = ""
            record = _answer(plan.condition, question, prompt, digest, asked.reply, asked.attempts)
            self.keep(plan, record)
            self.replies.put(digest, asked.reply)
            price = cost(self.model.name, asked.reply.usage)
            known_cost = self.progress.cost is not None and price is not None
            self.progress.cost = (self.progress.cost or 0) + (price or 0) if known_cost else None
        elif asked.error is not None:
            self._append(
                plan,
                Record(
                    question.id, plan.condition, digest, Outcome.ERROR, attempts=asked.attempts,
                    error=str(asked.error), images=tuple(part.sha256 for part in prompt.images),
                ),
            )  # fmt: skip
            self.failed(plan, question, asked.error, drawn)
        self.report(throttle)

    def keep(self, plan: Plan, record: Record) -> None:
        self._append(plan, record)
        plan.answered.add(record.question_id)
        self.progress.answered += 1

    def _append(self, plan: Plan, record: Record) -> None:
        assert plan.writer is not None
        plan.writer.append(record)

    def failed(self, plan: Plan, question: Question, error: ModelError, drawn: bool) -> None:
        """Count a question without a reply; stop if it is no longer the questions' own fault.

        One image that a provider refuses costs its questions, however many there are in a row.
        """
        self.progress.errors += 1
        self.progress.last_error = str(error)
        if error.fatal:
            self.stop(str(error))
        if question.id in plan.failed_before and not error.retryable:
            return  # refused before and refused again: nothing new
        self.failures += 1
        self.failed_draws += drawn
        if self.failed_draws >= FAILURES_IN_A_ROW:
            self.stop(
                f"the last {self.failures} questions got no reply, those drawn at random from all "
                f"others neither: {error}"
            )

    def stop(self, reason: str) -> None:
        """Ask no more questions; replies that are under way are awaited for a while, and kept."""
        if not self.stopped:
            self.stopped = reason
            self.patience.reschedule(asyncio.get_running_loop().time() + LAST_REPLIES)

    def report(self, throttle: Throttle) -> None:
        self.progress.concurrency = max(1, int(throttle.limit))
        self.reporter.update(self.progress)

    # --- summing up ----------------------------------------------------------------------------

    def finish(self) -> Evaluation:
        """Write summaries from what is in the records now."""
        seconds = time.monotonic() - self.seconds
        found: dict[str, Run] = {}
        for plan in self.plans:
            summary = summarise(
                list(plan.questions.values()),
                _records(plan.directory),
                manifest=plan.manifest,
                dimensions=self.benchmark.dimensions,
                seconds=_earlier_seconds(plan) + (seconds if plan.asked else 0.0),
            )
            manifest = writing.finish_manifest(plan.directory, plan.images)
            writing.write_json(plan.directory / store.SUMMARY, summary)
            found[plan.condition] = Run(plan.directory, manifest, summary)
            self._warn_of(plan.condition, summary)
        complete = all(len(plan.answered) == len(plan.questions) for plan in self.plans)
        return Evaluation(found, complete, self.stopped, self.progress.last_error)

    def _warn_of(self, condition: str, summary: Mapping[str, Any]) -> None:
        n, outcomes = summary["n"], summary["outcomes"]
        for outcome, advice in (
            ("truncated", "give more room with --max-tokens"),
            ("unparsed", "look at these replies in records.jsonl"),
        ):
            count = outcomes.get(outcome, 0)
            if n and count / n > 0.01:
                self.reporter.warn(
                    f"{condition}: {count}/{n} replies are {outcome} and count as wrong; {advice}"
                )


def _records(directory: Path) -> Iterator[Record]:
    return (line.record for line in store.read_records(directory) if line.record is not None)


def _answer(
    condition: str, question: Question, prompt: Prompt, digest: str, reply: Reply, attempts: int
) -> Record:
    """The record of a reply; no attempts: it comes from the cache."""
    scored = score_reply(question, reply)
    return Record(
        question_id=question.id,
        condition=condition,
        prompt=digest,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        text=reply.text,
        reasoning=reply.reasoning,
        finish=reply.finish,
        model=reply.model,
        latency=round(reply.latency, 4),
        attempts=attempts,
        cached=not attempts,
        usage={
            "prompt_tokens": reply.usage.prompt_tokens,
            "cached_tokens": reply.usage.cached_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        },
        logprobs=reply.logprobs,
        images=tuple(part.sha256 for part in prompt.images),
        measures=scored.measures,
    )


def _scored_again(question: Question, record: Record) -> Record:
    """The record as today's code scores it."""
    reply = Reply(text=record.text, finish=record.finish, logprobs=record.logprobs)  # type: ignore[arg-type]
    scored = score_reply(question, reply)
    return replace(
        record,
        outcome=scored.outcome,
        letter=scored.letter,
        method=scored.method,
        measures=scored.measures,
    )


def _scorer(plan: Plan) -> object:
    """The code that scored the records so far, by its digest."""
    if not (plan.directory / store.MANIFEST).is_file():
        return None
    return store.read_manifest(plan.directory).get("scorer")


def _earlier_seconds(plan: Plan) -> float:
    """What earlier calls took, by their summary; a call that was killed left none."""
    try:
        seconds = store.read_summary(plan.directory).get("seconds")
    except ScaleVQAError:
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) else 0.0
