"""Evaluate vision-language models on pathology questions, and audit the questions.

    from scalevqa_eval import load_benchmark, load_model, evaluate

Names are imported when they are first used, so that `import scalevqa_eval` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scalevqa_eval.audit import audit as audit
    from scalevqa_eval.benchmark import load_benchmark as load_benchmark
    from scalevqa_eval.errors import ScaleVQAError as ScaleVQAError
    from scalevqa_eval.evaluation import Evaluation as Evaluation
    from scalevqa_eval.extraction import Extraction as Extraction
    from scalevqa_eval.extraction import extract_answer as extract_answer
    from scalevqa_eval.models import Model as Model
    from scalevqa_eval.models import Reply as Reply
    from scalevqa_eval.models import load_model as load_model
    from scalevqa_eval.outcomes import Outcome as Outcome
    from scalevqa_eval.outcomes import Record as Record
    from scalevqa_eval.prompts import Prompt as Prompt
    from scalevqa_eval.questions import Benchmark as Benchmark
    from scalevqa_eval.questions import Question as Question
    from scalevqa_eval.questions import View as View
    from scalevqa_eval.runner import evaluate as evaluate
    from scalevqa_eval.runs import Run as Run
    from scalevqa_eval.runs import open_run as open_run

_HOMES = {
    "Benchmark": "questions",
    "Evaluation": "evaluation",
    "Extraction": "extraction",
    "Model": "models",
    "Outcome": "outcomes",
    "Prompt": "prompts",
    "Question": "questions",
    "Record": "outcomes",
    "Reply": "models",
    "Run": "runs",
    "ScaleVQAError": "errors",
    "View": "questions",
    "audit": "audit",
    "evaluate": "runner",
    "extract_answer": "extraction",
    "load_benchmark": "benchmark",
    "load_model": "models",
    "open_run": "runs",
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
