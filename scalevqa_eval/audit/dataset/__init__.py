"""What is wrong with the data itself: splits that overlap, texts and images that repeat.

`examine` runs all checks and returns findings; each check is a function in a file of its own.
"""

from __future__ import annotations

from scalevqa_eval.audit.dataset.examine import examine, other_splits

__all__ = ["examine", "other_splits"]
