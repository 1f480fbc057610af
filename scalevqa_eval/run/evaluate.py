"""Benchmark, model and conditions → runs.

`evaluate` plans (which prompts are still to be asked), checks everything that can be checked
before the first request, and hands over to execution.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from scalevqa_eval import conditions as conditions_
from scalevqa_eval.errors import DataError, ScaleVQAError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model, TrainableModel, load_model
from scalevqa_eval.models.prices import rates_of
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.prompts import load_style
from scalevqa_eval.run import writing
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.event_loop import run_blocking
from scalevqa_eval.run.execution import Execution, Settings
from scalevqa_eval.run.manifest import build_manifest, run_directory
from scalevqa_eval.run.plan import Plan
from scalevqa_eval.run.progress import Progress, Reporter, shown
from scalevqa_eval.run.reading import ReplyReader
from scalevqa_eval.run.retry import RetryPolicy
from scalevqa_eval.run.store import Evaluation
from scalevqa_eval.scoring.reader import described
from scalevqa_eval.types import Benchmark, Question, Sampling

_SHOWN = 5


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
    reader: Model | str | None = None,
    progress: bool | Callable[[Progress], None] = True,
    warn: Callable[[str], None] | None = None,
) -> Evaluation:
    """Ask a model all questions of a benchmark under the given conditions.

    The same call continues a run that was stopped. Works with and without a running event
    loop (in a notebook the work happens in a thread). `model` is a model or its name; `prompt`
    a prompt style or a file, by default the benchmark's. `seed` is for conditions, and for
    replies if `sampling` is not given. `train` is what learned baselines fit on, by default the
    benchmark's train split. `reader` is a model that reads the letter of replies in which the
    ladder finds none (docs/scoring.md). `progress` shows a bar on a terminal or in a notebook,
    and a line every ten seconds elsewhere; a function is told instead. `warn` gets warnings as
    texts.

    Raises UsageError or DataError before the first request if the model cannot take what the
    benchmark needs or an image is unusable. Questions without a reply end as `error` records:
    look at `complete`.
    """
    settings = Settings(
        Path(output), prompt, sampling or Sampling(seed=seed), max_concurrency, seed,
        retry or RetryPolicy(), cache,
    )  # fmt: skip
    with ExitStack() as stack:
        reporter = Reporter()
        if isinstance(model, str):
            model = load_model(model)
            stack.callback(_close, model)  # who opened it closes it
        if isinstance(reader, str):
            reader = load_model(reader)
            stack.callback(_close, reader)
        if progress is True:
            title = f"{model.name} on {benchmark.name} {benchmark.split}"
            reporter = stack.enter_context(shown(title))
        elif progress:
            reporter = Reporter(update=progress)
        if warn is not None:
            reporter = Reporter(reporter.update, warn)
        return run_evaluation(model, benchmark, conditions, settings, reporter, train, reader)


def run_evaluation(
    model: Model,
    benchmark: Benchmark,
    conditions: Sequence[str],
    settings: Settings,
    reporter: Reporter,
    train: Benchmark | None = None,
    reader: Model | None = None,
) -> Evaluation:
    """As `evaluate`, with its settings as one object."""
    conditions = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    if not conditions:
        raise UsageError("no condition is given: name at least one, such as full")
    check_ids(benchmark)
    style = load_style(settings.prompt or ("open" if _all_open(benchmark) else benchmark.prompt))
    with ExitStack() as stack:
        train = _fit(model, benchmark, train)
        images = ImageStore(benchmark.image_root, model.capabilities)
        plans = []
        for name in dict.fromkeys(map(conditions_.parse, conditions)):
            asked = conditions_.apply_all(name, benchmark, settings.seed)
            if not asked:
                raise DataError(f"condition {name} applies to none of {len(benchmark)} questions")
            manifest = build_manifest(
                benchmark=benchmark, shown=asked, condition=name, model=model, style=style,
                sampling=settings.sampling, seed=settings.seed, train=train,
                reader=described(reader.name, dict(reader.identity)) if reader else None,
            )  # fmt: skip
            by_id = {question.id: question for question in asked}
            directory = run_directory(settings.output, manifest)
            sampling = settings.sampling
            plans.append(Plan(name, by_id, manifest, directory, style, sampling, images))
        every = [question for plan in plans for question in plan.questions.values()]
        check_model(model, every, settings.sampling)
        check_images(images, every)
        rates_of(model.name)  # a price file that cannot be read is found before it is needed
        for plan in plans:
            stack.enter_context(writing.locked(plan.directory))
        path = cache_directory() / "replies.sqlite" if settings.cache else None
        replies = ReplyCache(path if model.capabilities.cacheable else None, model, reporter.warn)
        stack.callback(replies.close)
        reading = None
        if reader is not None:
            read = ReplyCache(
                path if reader.capabilities.cacheable else None, reader, reporter.warn
            )
            stack.callback(read.close)
            reading = ReplyReader(reader, read, settings.retry, settings.seed)
        execution = Execution(model, benchmark, plans, settings, replies, reporter, reading)
        try:
            run_blocking(execution.run())
        except (KeyboardInterrupt, ScaleVQAError):
            with suppress(ScaleVQAError):  # such as a full disk; what stopped the run is raised
                execution.finish()
            raise
        return execution.finish()


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


# --- what can be known to fail before the first request is sent ----------------------------------


def check_ids(benchmark: Benchmark) -> None:
    """Raise DataError if two questions share an id: one of their answers would be lost."""
    counts = Counter(question.id for question in benchmark.questions)
    twice = [id_ for id_, n in counts.items() if n > 1]
    if twice:
        raise DataError(
            f"{benchmark.name}: {len(twice)} question id(s) occur more than once, such as "
            f"{twice[0]!r}; give every question an id of its own"
        )


def check_model(model: Model, questions: Sequence[Question], sampling: Sampling) -> None:
    """Raise UsageError if the model cannot take what these questions need."""
    takes = model.capabilities
    if sampling.logprobs and not takes.logprobs:
        raise UsageError(f"{model.name} gives no log-probabilities: leave out --score logprobs")
    if sampling.letters_only and not takes.letters_only:
        raise UsageError(f"{model.name} cannot restrict its replies to letters")
    open_questions = sum(question.is_open for question in questions)
    if open_questions and (takes.needs_options or sampling.logprobs or sampling.letters_only):
        raise UsageError(
            f"{open_questions} of {len(questions)} questions have no options, and {model.name} "
            "can only choose among options here"
        )
    if takes.max_images is None:
        return
    counts = Counter(len(question.views) for question in questions)
    over = sum(n for views, n in counts.items() if views > takes.max_images)
    if over:
        takes_text = (
            f"at most {takes.max_images} image(s) a prompt" if takes.max_images else "no images"
        )
        raise UsageError(
            f"{model.name} takes {takes_text}, but {over} of {len(questions)} questions show up to "
            f"{max(counts)}: choose a condition that shows fewer (only-low, no-images), or raise "
            "the engine's limit"
        )


def without_images(benchmark: Benchmark) -> str:
    """A warning if questions have no image at all, which a wrong field name looks like; or ""."""
    lacking = sum(not question.views for question in benchmark.questions)
    if not lacking:
        return ""
    return (
        f"{lacking} of {len(benchmark)} questions have no image in {benchmark.name} and are asked "
        "by text alone. If they should have one, the file names its images in another field: see "
        "`views` in docs/cards.md"
    )


def check_images(store: ImageStore, questions: Sequence[Question]) -> None:
    """Raise DataError if an image that would be sent is missing, damaged or refused."""
    if not any(question.views for question in questions):
        return
    problems = store.check(questions)
    if not problems:
        return
    affected = {id_ for problem in problems for id_ in problem.question_ids}
    lines = [f"{problem.path}: {problem.message}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"… and {len(problems) - _SHOWN} more")
    root = store.root if store.root is not None else "not given (--data-dir)"
    raise DataError(
        f"{len(problems)} image(s) of {len(affected)} questions cannot be used; "
        f"nothing was sent. Image root: {root}\n  "
        + "\n  ".join(lines)
        + "\n`scalevqa benchmarks check` with the same benchmark and --data-dir lists all of them"
    )
