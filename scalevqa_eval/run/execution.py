"""The work of one `evaluate` call: ask what is open, keep each answer at once, sum up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from scalevqa_eval.errors import ModelError, ScaleVQAError
from scalevqa_eval.models.prices import cost
from scalevqa_eval.run.plan import Plan, open_questions, read_record, record_of, scored_again
from scalevqa_eval.run.progress import Progress, Reporter
from scalevqa_eval.run.results import Evaluation
from scalevqa_eval.run.retry import Asked, Asker
from scalevqa_eval.scoring.reader import is_open, reader_prompt
from scalevqa_eval.types import Benchmark, Prompt, Question

# After so many questions in a row without a reply, the next are drawn at random from all that
# are open; if as many of those get none either, the fault is not in the questions: the run stops.
FAILURES_IN_A_ROW = 10
# How long a run that stops waits for replies that are under way and paid for, in seconds.
LAST_REPLIES = 60.0
# Outcomes that are worth a warning if they are many, and what to do about them.
_ADVICE = {
    "truncated": "give more room with --max-tokens",
    "unparsed": "look at these replies in records.jsonl",
}


class Execution:
    """The state of one call of `evaluate` while it works."""

    def __init__(
        self,
        benchmark: Benchmark,
        plans: Sequence[Plan],
        model: Asker,
        reader: Asker | None,
        reporter: Reporter,
    ) -> None:
        self.plans, self.model, self.reader, self.reporter = plans, model, reader, reporter
        self.started = time.monotonic()
        for plan in plans:
            if said := plan.take_over():
                reporter.warn(said)
        self.open = open_questions(benchmark, plans)
        total = sum(len(plan.questions) for plan in plans)
        self.progress = Progress(total=total, kept=total - len(self.open))
        model.on_retry = self.retrying
        self.draw = random.Random(0)
        self.failures = self.failed_draws = 0
        self.stopped = ""

    async def run(self) -> None:
        """Ask everything that is open, or until `stopped` says why nothing more is asked."""
        self.report()
        try:
            async with asyncio.timeout(None) as self.patience, asyncio.TaskGroup() as group:
                for _ in range(min(self.model.throttle.maximum, len(self.open))):
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
            error = await self.answer(plan, question)
            if error is None:
                self.progress.answered += 1
            else:
                self.failed(plan, question, error, drawn)
            self.report()

    async def answer(self, plan: Plan, question: Question) -> ModelError | None:
        """Ask a question and keep what comes of it; what is left of an error is given back."""
        plan.asked += 1
        kept, attempts = plan.unread.get(question.id), 0
        if kept is not None:
            record, error = scored_again(question, kept), None
        else:
            prompt = plan.prompt(question)
            asked = await self.ask(self.model, prompt)
            record, error = record_of(plan.condition, question, prompt, asked), asked.error
            attempts += asked.attempts
            self.progress.from_cache += record.cached
        if self.reader is not None and is_open(record, record.text):
            asked = await self.ask(self.reader, reader_prompt(question, record.text))
            record = read_record(question, record, self.reader.model.name, asked)
            attempts += asked.attempts
            error = asked.error and ModelError(
                record.error, retryable=asked.error.retryable, fatal=asked.error.fatal
            )
        if kept is None or error is None:
            plan.keep(record)
        if error is None and attempts:
            self.failures = self.failed_draws = 0
        return error

    async def ask(self, asker: Asker, prompt: Prompt) -> Asked:
        asked = await asker.ask(prompt)
        if asked.reply is not None and asked.attempts:
            self.progress.retrying = ""
            price = cost(asker.model.name, asked.reply.usage)
            spent = self.progress.cost
            self.progress.cost = None if price is None or spent is None else spent + price
        return asked

    def retrying(self, reason: str) -> None:
        self.progress.retrying = reason
        self.report()

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
        self.progress.concurrency = max(1, int(self.model.throttle.limit))
        self.reporter.update(self.progress)

    def finish(self) -> Evaluation:
        """Write summaries from what is in the records now."""
        seconds = time.monotonic() - self.started
        runs = {plan.condition: plan.finish(seconds) for plan in self.plans}
        for condition, run in runs.items():
            n, outcomes = run.summary["n"], run.summary["outcomes"]
            for outcome, advice in _ADVICE.items():
                if outcomes[outcome] > 0.01 * n:
                    self.reporter.warn(
                        f"{condition}: {outcomes[outcome]}/{n} replies are {outcome} and count as "
                        f"wrong; {advice}"
                    )
        complete = all(len(plan.answered) == len(plan.questions) for plan in self.plans)
        return Evaluation(runs, complete, self.stopped, self.progress.last_error)
