"""Models: a prompt in, a reply out. One file per engine; nothing heavy is imported here."""

from scalevqa_eval.models.base import Model, StartableModel, TrainableModel
from scalevqa_eval.models.registry import engine_names, load_model

__all__ = ["Model", "StartableModel", "TrainableModel", "engine_names", "load_model"]
