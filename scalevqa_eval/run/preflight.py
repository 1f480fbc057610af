"""What can be known to fail before the first request is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scalevqa_eval.errors import DataError, UsageError
from scalevqa_eval.images import ImageStore
from scalevqa_eval.models import Model
from scalevqa_eval.types import Benchmark, Question, Sampling

_SHOWN = 5


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
