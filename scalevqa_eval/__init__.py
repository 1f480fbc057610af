"""Evaluate vision-language models on pathology questions, and audit the questions.

    from scalevqa_eval import load_benchmark, load_model, evaluate

Names are imported when they are first used, so that `import scalevqa_eval` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scalevqa_eval.data import load_benchmark as load_benchmark
    from scalevqa_eval.errors import ScaleVQAError as ScaleVQAError
    from scalevqa_eval.models import Model as Model
    from scalevqa_eval.models import load_model as load_model
    from scalevqa_eval.run import Evaluation as Evaluation
    from scalevqa_eval.run import Run as Run
    from scalevqa_eval.run import open_run as open_run
    from scalevqa_eval.run.evaluation import evaluate as evaluate
    from scalevqa_eval.scoring.extract import Extraction as Extraction
    from scalevqa_eval.scoring.extract import extract_answer as extract_answer
    from scalevqa_eval.types import Benchmark as Benchmark
    from scalevqa_eval.types import Outcome as Outcome
    from scalevqa_eval.types import Prompt as Prompt
    from scalevqa_eval.types import Question as Question
    from scalevqa_eval.types import Record as Record
    from scalevqa_eval.types import Reply as Reply
    from scalevqa_eval.types import View as View

_HOMES = {
    "Benchmark": "types",
    "Evaluation": "run",
    "Extraction": "scoring.extract",
    "Model": "models",
    "Outcome": "types",
    "Prompt": "types",
    "Question": "types",
    "Record": "types",
    "Reply": "types",
    "Run": "run",
    "ScaleVQAError": "errors",
    "View": "types",
    "evaluate": "run",
    "extract_answer": "scoring.extract",
    "load_benchmark": "data",
    "load_model": "models",
    "open_run": "run",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scalevqa_eval' has no attribute {name!r}")
    value = getattr(import_module(f"scalevqa_eval.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
