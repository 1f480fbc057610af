"""Mending a leaky benchmark by option blocks, and what pruning would leave of it.

`blocks` makes them, `worksheet` and `dataset` write them, `judges` ask what they are worth,
`repair` does one after the other.
"""

from __future__ import annotations

from scalevqa_eval.audit.repair.blocks import BlockAccuracy, block_accuracy, build_blocks
from scalevqa_eval.audit.repair.repair import METHODS, repair

__all__ = ["METHODS", "BlockAccuracy", "block_accuracy", "build_blocks", "repair"]
