"""Repairs of a leaky benchmark, and whether they are any: pruning, and Latin option blocks."""

from __future__ import annotations

from scalevqa_eval.audit.repair.blocks import BlockAccuracy, block_accuracy, build_blocks
from scalevqa_eval.audit.repair.carry_out import repair

__all__ = ["BlockAccuracy", "block_accuracy", "build_blocks", "repair"]
