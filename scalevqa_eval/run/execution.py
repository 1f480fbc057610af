"""The work of one `evaluate` call: ask what is open, keep each answer at once, sum up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.models import Model, StartableModel
from scalevqa_eval.models.prices import cost
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.plan import Plan, open_questions, record_of
from scalevqa_eval.run.progress import Progress, Reporter
from scalevqa_eval.run.reading import ReplyReader
from scalevqa_eval.run.retry import RetryPolicy, Throttle, ask
from scalevqa_eval.run.store import Evaluation
from scalevqa_eval.run.writing import RecordWriter
from scalevqa_eval.types import Benchmark, Outcome, Question, Record, Reply, Sampling

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


class Execution:
    """The state of one call of `evaluate` while it works."""

    def __init__(
        self,
        model: Model,
        benchmark: Benchmark,
        plans: list[Plan],
        settings: Settings,
        replies: ReplyCache,
        reporter: Reporter,
        reader: ReplyReader | None = None,
    ) -> None:
        self.reader = reader
        self.model, self.benchmark, self.plans = model, benchmark, plans
        self.settings, self.replies, self.reporter = settings, replies, reporter
        self.started = time.monotonic()
        for plan in plans:
            if said := plan.take_over():
                reporter.warn(said)
        self.open = open_questions(benchmark, plans)
        total = sum(len(plan.questions) for plan in plans)
        self.progress = Progress(total=total, kept=total - len(self.open))
        self.throttle = Throttle(max(1, settings.max_concurrency or model.capabilities.concurrency))
        self.draw = random.Random(settings.seed)
        self.writers: dict[str, RecordWriter] = {}
        self.failures = self.failed_draws = 0
        self.stopped = ""

    async def run(self) -> None:
        """Ask everything that is open, or until `stopped` says why nothing more is asked."""
        if self.open and isinstance(self.model, StartableModel):
            try:
                await self.model.start()
            except ModelError as error:
                self.stopped = str(error)
                return
        with ExitStack() as stack:
            for plan in self.plans:
                self.writers[plan.condition] = writer = RecordWriter(plan.directory)
                stack.callback(writer.close)
            self.report()
            try:
                async with asyncio.timeout(None) as self.patience, asyncio.TaskGroup() as group:
                    for _ in range(min(self.throttle.maximum, len(self.open))):
                        group.create_task(self.work())
            except TimeoutError:
                pass  # what was still under way after the stop is given up
            except BaseExceptionGroup as errors:
                known, unknown = errors.split(ScaleVQAError)
                raise (unknown or known.exceptions[0]) from None  # type: ignore[union-attr]

    async def work(self) -> None:
        while self.open and not self.stopped:
            drawn = self.failures >= FAILURES_IN_A_ROW
            plan, question = self.open.pop(self.draw.randrange(len(self.open)) if drawn else -1)
            await self.one(plan, question, drawn)

    async def one(self, plan: Plan, question: Question, drawn: bool) -> None:
        plan.asked += 1
        prompt = plan.prompt(question)
        digest = prompt.digest()

        async def keep(reply: Reply, attempts: int) -> None:
            record, error = (
                record_of(plan.condition, question, prompt, digest, reply, attempts),
                None,
            )
            if self.reader and not question.is_open:
                record, error = await self.reader.read(question, record)
            self.writers[plan.condition].append(record)
            if error is not None:
                self.failed(plan, question, error, drawn)
                return
            plan.answered.add(question.id)
            self.progress.answered += 1

        known = self.replies.get(digest)
        if known is not None:
            await keep(known, attempts=0)
            self.progress.from_cache += 1
            self.report()
            await asyncio.sleep(0)  # let Ctrl-C in
            return
        asked = await ask(
            self.model, prompt, self.settings.retry, self.throttle, self.draw, self.retrying
        )
        if asked.reply is not None:
            self.replies.put(digest, asked.reply)
            self.replied(asked.reply)
            await keep(asked.reply, asked.attempts)
        elif asked.error is not None:
            images = tuple(part.sha256 for part in prompt.images)
            self.writers[plan.condition].append(
                Record(question.id, plan.condition, digest, Outcome.ERROR, images=images,
                       attempts=asked.attempts, error=str(asked.error))
            )  # fmt: skip
            self.failed(plan, question, asked.error, drawn)
        self.report()

    def retrying(self, reason: str) -> None:
        self.progress.retrying = reason
        self.report()

    def replied(self, reply: Reply) -> None:
        self.failures = self.failed_draws = 0
        self.progress.retrying = ""
        price = cost(self.model.name, reply.usage)
        if price is None or self.progress.cost is None:
            self.progress.cost = None
        else:
            self.progress.cost += price

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

    def report(self) -> None:
        self.progress.concurrency = max(1, int(self.throttle.limit))
        self.reporter.update(self.progress)

    def finish(self) -> Evaluation:
        """Write summaries from what is in the records now."""
        seconds = time.monotonic() - self.started
        runs = {
            plan.condition: plan.finish(self.benchmark.dimensions, seconds) for plan in self.plans
        }
        for condition, run in runs.items():
            self._warn_of(condition, run.summary)
        complete = all(len(plan.answered) == len(plan.questions) for plan in self.plans)
        return Evaluation(runs, complete, self.stopped, self.progress.last_error)

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
