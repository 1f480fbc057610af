"""Models: a prompt in, a reply out. One file per engine; nothing heavy is imported here."""

from scalevqa_eval.models.protocol import (
    Capabilities,
    Model,
    Reply,
    StartableModel,
    TrainableModel,
    Usage,
)
from scalevqa_eval.models.registry import engine_names, load_model

__all__ = [
    "Capabilities",
    "Model",
    "Reply",
    "StartableModel",
    "TrainableModel",
    "Usage",
    "engine_names",
    "load_model",
]
