"""Benchmark, model and conditions → runs.

`evaluate` plans (which prompts are still to be asked), checks everything that can be checked
before the first request, and hands over to execution.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from scalevqa_eval import conditions as conditions_
from scalevqa_eval.errors import DataError, ScaleVQAError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model, TrainableModel, load_model
from scalevqa_eval.models.prices import rates_of
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.prompts import load_style
from scalevqa_eval.run import store as runs
from scalevqa_eval.run.blocking import run_blocking
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.execution import Execution, Plan
from scalevqa_eval.run.manifest import build_manifest, run_directory
from scalevqa_eval.run.preflight import check_ids, check_images, check_model
from scalevqa_eval.run.result import Evaluation, Progress
from scalevqa_eval.run.retry import RetryPolicy
from scalevqa_eval.run.store import QuestionKey
from scalevqa_eval.types import Benchmark, Sampling


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
    a prompt style or a file, by default the benchmark's. `seed` is for conditions, and for
    sampling where `sampling` does not say another. `train` is what learned baselines fit
    on, by default the benchmark's train split.

    Raises UsageError or DataError before the first request if the model cannot take what the
    benchmark needs or an image is unusable. Questions without a reply end as `error` records:
    look at `complete`.
    """
    tell = warn or _print_warning
    conditions = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    names = list(dict.fromkeys(conditions_.parse(name) for name in conditions))
    check_ids(benchmark)
    style = load_style(prompt or ("open" if _all_open(benchmark) else benchmark.prompt))
    sampling = sampling or Sampling(seed=seed)
    with ExitStack() as stack:
        if isinstance(model, str):
            model = load_model(model)
            stack.callback(_close, model)  # who opened it closes it
        train = _fit(model, benchmark, train)
        plans = []
        for name in names:
            shown = conditions_.apply_all(name, benchmark, seed)
            if not shown:
                raise DataError(f"condition {name} applies to none of {len(benchmark)} questions")
            manifest = build_manifest(
                benchmark=benchmark, shown=shown, condition=name, model=model, style=style,
                sampling=sampling, seed=seed, train=train,
            )  # fmt: skip
            by_id = {question.id: question for question in shown}
            plans.append(Plan(name, by_id, manifest, run_directory(Path(output), manifest)))
        every = [question for plan in plans for question in plan.questions.values()]
        store = ImageStore(benchmark.image_root, model.capabilities)
        check_model(model, every, sampling)
        check_images(store, every)
        rates_of(model.name)  # a price file that cannot be read is found before it is needed
        for plan in plans:
            stack.enter_context(runs.locked(plan.directory))
            keys = map(QuestionKey.of, plan.questions.values())
            runs.write_start(plan.directory, plan.manifest, keys)
        use_cache = cache and model.capabilities.cacheable
        replies = ReplyCache(cache_directory() / "replies.sqlite" if use_cache else None, tell)
        stack.callback(replies.close)
        execution = Execution(
            model, benchmark, plans, style, sampling, store, replies, retry or RetryPolicy(),
            random.Random(seed), on_progress or _ignore,
        )  # fmt: skip
        execution.load()
        try:
            stopped = run_blocking(execution.run(max_concurrency or model.capabilities.concurrency))
        except (KeyboardInterrupt, ScaleVQAError):
            with suppress(ScaleVQAError):  # such as a full disk; what stopped the run is raised
                execution.finish("interrupted", tell)
            raise
        return execution.finish(stopped, tell)


def _close(model: Model) -> None:
    run_blocking(model.aclose())


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


def _print_warning(message: str) -> None:
    import warnings

    warnings.warn(message, stacklevel=3)


def _ignore(progress: Progress) -> None:
    pass
