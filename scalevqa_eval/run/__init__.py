"""Runs: ask a model the questions of a benchmark, keep each answer, read it back."""
