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
from scalevqa_eval.models.prices import price_of
from scalevqa_eval.paths import cache_directory
from scalevqa_eval.prompts import load_style
from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.event_loop import run_sync
from scalevqa_eval.run.execution import Execution
from scalevqa_eval.run.files import locked
from scalevqa_eval.run.manifest import Setup, build_manifest, run_directory
from scalevqa_eval.run.plan import Plan
from scalevqa_eval.run.progress import Progress, Reporter, shown
from scalevqa_eval.run.results import Evaluation
from scalevqa_eval.run.retry import Asker, RetryPolicy, Throttle
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
    names = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    if not names:
        raise UsageError("no condition is given: name at least one, such as full")
    if type(seed) is not int:
        raise UsageError(f"seed is {seed!r}: give a whole number")
    names = tuple(dict.fromkeys(map(conditions_.parse, names)))
    with ExitStack() as stack:
        model = _opened(model, stack)
        reader = None if reader is None else _opened(reader, stack)
        reporter = Reporter()
        if progress is True:
            title = f"{model.name} on {benchmark.name} {benchmark.split}"
            reporter = stack.enter_context(shown(title))
        elif progress:
            reporter.update = progress
        reporter.warn = warn or reporter.warn

        _check_ids(benchmark)
        every_open = bool(benchmark.questions) and all(q.is_open for q in benchmark.questions)
        style = load_style(prompt or ("open" if every_open else benchmark.prompt))
        sampling = sampling or Sampling(seed=seed)
        train = _fit(model, benchmark, train)
        setup = Setup(benchmark, model, style, sampling, seed, train, reader)
        images = ImageStore(benchmark.image_root, model.capabilities)
        plans = [_plan(setup, name, Path(output), images) for name in names]
        every = [question for plan in plans for question in plan.questions.values()]
        _check_model(model, every, sampling)
        _check_images(images, every)
        del every  # not to be held through a long run
        price_of(model.name)  # a price file that cannot be read is found before it is needed
        for plan in plans:
            stack.enter_context(locked(plan.directory))

        def asker(of: Model, concurrency: int | None) -> Asker:
            path = cache_directory() / "replies.sqlite"
            used = cache and of.capabilities.cacheable
            replies = ReplyCache(path if used else None, of, reporter.warn)
            stack.callback(replies.close)
            throttle = Throttle(max(1, concurrency or of.capabilities.concurrency))
            return Asker(of, retry or RetryPolicy(), replies, throttle)

        read = None if reader is None else asker(reader, None)
        execution = Execution(benchmark, plans, asker(model, max_concurrency), read, reporter)
        try:
            run_sync(execution.run())
        except (KeyboardInterrupt, ScaleVQAError):
            with suppress(ScaleVQAError):  # such as a full disk; what stopped the run is raised
                execution.finish()
            raise
        return execution.finish()


def _opened(model: Model | str, stack: ExitStack) -> Model:
    """The model; one that is opened here is closed when the stack is."""
    if not isinstance(model, str):
        return model
    opened = load_model(model)
    stack.callback(lambda: run_sync(opened.aclose()))
    return opened


def _plan(setup: Setup, condition: str, output: Path, images: ImageStore) -> Plan:
    shown = conditions_.apply_all(condition, setup.benchmark, setup.seed)
    if not shown:
        raise DataError(
            f"condition {condition} applies to none of {len(setup.benchmark)} questions"
        )
    manifest = build_manifest(setup, condition, shown)
    directory = run_directory(output, manifest)
    by_id = {question.id: question for question in shown}
    return Plan(condition, by_id, setup, manifest, directory, images)


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


# --- what can be known to fail before the first request is sent ----------------------------------


def _check_ids(benchmark: Benchmark) -> None:
    """Raise DataError if two questions share an id: one of their answers would be lost."""
    counts = Counter(question.id for question in benchmark.questions)
    twice = [id_ for id_, n in counts.items() if n > 1]
    if twice:
        raise DataError(
            f"{benchmark.name}: {len(twice)} question id(s) occur more than once, such as "
            f"{twice[0]!r}; give every question an id of its own"
        )


def _check_model(model: Model, questions: Sequence[Question], sampling: Sampling) -> None:
    """Raise UsageError if the model cannot take what these questions need."""
    takes = model.capabilities
    if sampling.logprobs and not takes.logprobs:
        raise UsageError(f"{model.name} gives no log-probabilities: leave out --score logprobs")
    if sampling.letters_only and not takes.letters_only:
        raise UsageError(
            f"{model.name} cannot restrict its replies to letters: leave out --letters-only"
        )
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


def _check_images(store: ImageStore, questions: Sequence[Question]) -> None:
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
