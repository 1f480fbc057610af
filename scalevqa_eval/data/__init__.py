"""Benchmarks: cards, question files, what is wrong with them, and the demo that is drawn.

`load_benchmark` gives the questions of a name, a card or a file; `read_benchmark` also the rows
that are none.
"""

from scalevqa_eval.data.card import Card, list_cards, load_card
from scalevqa_eval.data.check import CheckReport, check_benchmark
from scalevqa_eval.data.load import Loaded, Location, load_benchmark, read_benchmark
from scalevqa_eval.data.parse import Defect, pick, question_id
from scalevqa_eval.data.readers import DataFile, read_yaml

__all__ = [
    "Card",
    "CheckReport",
    "DataFile",
    "Defect",
    "Loaded",
    "Location",
    "check_benchmark",
    "list_cards",
    "load_benchmark",
    "load_card",
    "pick",
    "question_id",
    "read_benchmark",
    "read_yaml",
]
