"""Runs: ask a model the questions of a benchmark, keep each answer, read it back."""

from scalevqa_eval.run.cache import ReplyCache
from scalevqa_eval.run.evaluation import evaluate
from scalevqa_eval.run.event_loop import run_sync
from scalevqa_eval.run.files import MANIFEST, QuestionKey, write_atomically
from scalevqa_eval.run.progress import Progress, shown
from scalevqa_eval.run.results import Evaluation, Run, open_run
from scalevqa_eval.run.retry import RetryPolicy

__all__ = [
    "MANIFEST",
    "Evaluation",
    "Progress",
    "QuestionKey",
    "ReplyCache",
    "RetryPolicy",
    "Run",
    "evaluate",
    "open_run",
    "run_sync",
    "shown",
    "write_atomically",
]
