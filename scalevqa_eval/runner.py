"""Benchmark, model and conditions → runs.

`evaluate` plans (which prompts are still to be asked), checks everything that can be checked
before the first request, asks with bounded concurrency, and keeps each answer at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scalevqa_eval import conditions as conditions_
from scalevqa_eval import runs
from scalevqa_eval.asking import RetryPolicy, Throttle, ask
from scalevqa_eval.blocking import run_blocking
from scalevqa_eval.cache import ReplyCache
from scalevqa_eval.errors import DataError, ModelError, ScaleVQAError
from scalevqa_eval.evaluation import Evaluation, Progress
from scalevqa_eval.images import ImageStore
from scalevqa_eval.manifest import build_manifest, run_directory
from scalevqa_eval.models import Model, Reply, TrainableModel, Usage, load_model
from scalevqa_eval.outcomes import Outcome, Record
from scalevqa_eval.preflight import check_images, check_model
from scalevqa_eval.prices import cost
from scalevqa_eval.prompts import Prompt, PromptStyle, Sampling, build_prompt, load_style
from scalevqa_eval.questions import Benchmark, Question
from scalevqa_eval.resources import cache_directory
from scalevqa_eval.runs import QuestionKey, Run
from scalevqa_eval.scoring import score_reply, summarise

# A run stops when so many questions in a row got no reply at all: the other side is gone.
HOPELESS = 20


@dataclass(slots=True)
class _Plan:
    """One condition of an evaluation: what is shown, and what is already answered."""

    condition: str
    questions: dict[str, Question]
    manifest: dict[str, Any]
    directory: Path
    kept: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, Record] = field(default_factory=dict)
    writer: runs.RecordWriter | None = None


def evaluate(
    model: Model | str,
    benchmark: Benchmark,
    conditions: Sequence[str] = ("full",),
    *,
    output: Path | str = "runs",
    prompt: str | None = None,
    sampling: Sampling | None = None,
    max_concurrency: int | None = None,
    seed: int = 0,
    retry: RetryPolicy | None = None,
    cache: bool = True,
    train: Benchmark | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Evaluation:
    """Ask a model all questions of a benchmark under the given conditions.

    The same call continues a run that was stopped. Works with and without a running event
    loop (in a notebook the work happens in a thread). `model` is a model or its name; `prompt`
    a prompt style or a file, by default the benchmark's. `train` is what learned baselines fit
    on, by default the benchmark's train split.

    Raises UsageError or DataError before the first request if the model cannot take what the
    benchmark needs or an image is unusable. Questions without a reply end as `error` records:
    look at `complete`.
    """
    tell = warn or _print_warning
    conditions = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    names = list(dict.fromkeys(conditions_.parse(name) for name in conditions))
    opened = load_model(model) if isinstance(model, str) else model
    style = load_style(prompt or ("open" if _all_open(benchmark) else benchmark.prompt))
    sampling = sampling or Sampling()
    train = _fit(opened, benchmark, train)
    store = ImageStore(benchmark.image_root, opened.capabilities)
    plans = []
    for name in names:
        shown = conditions_.apply_all(name, benchmark, seed)
        if not shown:
            raise DataError(f"condition {name} applies to none of the {len(benchmark)} questions")
        manifest = build_manifest(
            benchmark=benchmark, shown=shown, condition=name, model=opened, style=style,
            sampling=sampling, seed=seed, train=train,
        )  # fmt: skip
        by_id = {question.id: question for question in shown}
        plans.append(_Plan(name, by_id, manifest, run_directory(Path(output), manifest)))
    every = [question for plan in plans for question in plan.questions.values()]
    check_model(opened, every, sampling)
    check_images(store, every)

    with ExitStack() as stack:
        for plan in plans:
            stack.enter_context(runs.locked(plan.directory))
            runs.write_start(
                plan.directory, plan.manifest, map(QuestionKey.of, plan.questions.values())
            )
        replies = ReplyCache(
            cache_directory() / "replies.sqlite"
            if cache and opened.capabilities.cacheable
            else None,
            tell,
        )
        stack.callback(replies.close)
        work = _Evaluation(
            opened, benchmark, plans, style, sampling, store, replies, retry or RetryPolicy(),
            random.Random(seed), on_progress or _ignore,
        )  # fmt: skip
        work.load()
        wanted = max_concurrency or opened.capabilities.concurrency
        try:
            stopped = run_blocking(work.run(wanted))
        except KeyboardInterrupt:
            work.finish("interrupted", tell)
            raise
        finally:
            if opened is not model:  # who opened it closes it
                run_blocking(opened.aclose())
        return work.finish(stopped, tell)


class _Evaluation:
    """The state of one call of `evaluate` while it works."""

    def __init__(
        self,
        model: Model,
        benchmark: Benchmark,
        plans: list[_Plan],
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
        self.images: dict[str, dict[str, str]] = {}
        self.seconds = time.monotonic()
        self.in_a_row = 0

    def prompt(self, question: Question) -> Prompt:
        prompt = build_prompt(question, self.style, self.sampling, self.store.part)
        for part in prompt.images:
            self.images[part.source] = {"sha256": part.sha256, "change": part.change}
        return prompt

    def load(self) -> None:
        """Take over what earlier calls answered, if it was asked exactly as it would be now."""
        for plan in self.plans:
            path = plan.directory / runs.RECORDS
            found, torn = runs.read_records(path)
            for record in found:
                question = plan.questions.get(record.question_id)
                if question is None or not record.outcome.scored:
                    continue
                # The digest holds the images' bytes: a file that changed is asked again.
                if self.prompt(question).digest() == record.prompt:
                    plan.kept.setdefault(record.question_id, _rescored(question, record))
            if torn or list(plan.kept.values()) != found:
                runs.rewrite_records(plan.directory, plan.kept.values())
            self.progress.kept += len(plan.kept)

    def tasks(self) -> Iterator[tuple[_Plan, Question]]:
        """Open questions; those that show the same images stand next to each other."""
        sets: dict[tuple[str, ...], list[str]] = {}
        for question in self.benchmark.questions:
            sets.setdefault(question.image_set, []).append(question.id)
        for ids in sets.values():
            for plan in self.plans:
                for id_ in ids:
                    if id_ in plan.questions and id_ not in plan.kept:
                        yield plan, plan.questions[id_]

    async def run(self, concurrency: int) -> str:
        """Ask everything that is open. Returns why it stopped early, "" if it did not."""
        throttle = Throttle(max(1, concurrency))
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

    async def work(self, tasks: Iterator[tuple[_Plan, Question]], throttle: Throttle) -> None:
        for plan, question in tasks:
            await self.one(plan, question, throttle)

    async def one(self, plan: _Plan, question: Question, throttle: Throttle) -> None:
        prompt = self.prompt(question)
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

    def keep(self, plan: _Plan, record: Record) -> None:
        assert plan.writer is not None
        plan.writer.append(record)
        plan.kept[record.question_id] = record
        self.progress.answered += 1

    def fail(
        self, plan: _Plan, question: Question, prompt: Prompt, error: ModelError, attempts: int
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
                seconds=seconds,
            )
            used = {view.image for question in shown for view in question.views}
            images = {path: self.images[path] for path in sorted(used & self.images.keys())}
            runs.write_json(plan.directory / runs.IMAGES, images)
            runs.write_json(plan.directory / runs.SUMMARY, summary)
            keys = tuple(map(QuestionKey.of, shown))
            found[plan.condition] = Run(
                plan.directory, plan.manifest, keys, tuple(records), summary
            )
            _warn_of(plan.condition, summary, tell)
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


def _fit(model: Model, benchmark: Benchmark, train: Benchmark | None) -> Benchmark | None:
    if not isinstance(model, TrainableModel):
        return None
    if train is None:
        if benchmark.load_split is None:
            raise DataError(f"{model.name} learns from a train split; {benchmark.name} has none")
        try:
            train = benchmark.load_split("train")
        except ScaleVQAError as error:
            raise DataError(
                f"{model.name} learns from a train split, which cannot be loaded: {error}"
            ) from error
    model.fit(train)
    return train


def _all_open(benchmark: Benchmark) -> bool:
    return bool(benchmark.questions) and all(q.is_open for q in benchmark.questions)


def _warn_of(condition: str, summary: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    n, outcomes = summary["n"], summary["outcomes"]
    for outcome, advice in (
        ("truncated", "give more room with --max-tokens"),
        ("unparsed", "look at these replies in records.jsonl"),
    ):
        count = outcomes.get(outcome, 0)
        if n and count / n > 0.01:
            tell(f"{condition}: {count}/{n} replies are {outcome} and count as wrong; {advice}")


def _print_warning(message: str) -> None:
    import warnings

    warnings.warn(message, stacklevel=3)


def _ignore(progress: Progress) -> None:
    pass
