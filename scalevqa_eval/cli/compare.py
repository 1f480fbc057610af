"""`scalevqa compare`: runs against each other, or one model's conditions against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalevqa_eval.cli.options import application
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import console, say

app = application()


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_A RUN_B [...]",
            help="Run directories. With --condition-gap also a directory that holds them.",
        ),
    ],
    condition_gap: Annotated[
        bool,
        typer.Option(
            "--condition-gap",
            help="One model's runs: visual gain (full - no-images), scale dependence.",
        ),
    ] = False,
    changed: Annotated[
        int, typer.Option(min=0, help="How many questions that changed are listed.")
    ] = 10,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything there as JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For permutations and the bootstrap.")] = 0,
) -> None:
    """Compare runs question by question: differences with intervals, tests and power.

    The first run is A; every further one is compared with it.
    """
    import json

    from scalevqa_eval.cli.comparison_tables import changes_table, comparison_table, ranks_table
    from scalevqa_eval.compare import compare_runs, condition_gaps, find_runs, rank_runs
    from scalevqa_eval.run import open_run

    paths = [path for given in runs for path in (find_runs(given) if condition_gap else [given])]
    if len(paths) < 2:
        raise UsageError("give two run directories or more: scalevqa compare RUN_A RUN_B")
    opened = [open_run(path) for path in paths]
    ranks = []
    if condition_gap:
        comparisons = condition_gaps(opened, seed=seed)
    else:
        comparisons = [compare_runs(opened[0], other, seed=seed) for other in opened[1:]]
        if len(opened) > 2:
            ranks = rank_runs(opened, seed=seed)

    terminal = console()
    for comparison in comparisons:
        terminal.print(comparison_table(comparison))
        if changed and comparison.changes:
            terminal.print(changes_table(comparison, changed))
            if len(comparison.changes) > changed:
                say(f"... {len(comparison.changes)} in all (--json FILE has them)")
        say()
    names = [f"{run.manifest['model']['name']}  {run.path}" for run in opened]
    if ranks:
        terminal.print(ranks_table(names, ranks))
    if json_file is not None:
        from dataclasses import asdict

        value = {
            "comparisons": list(map(asdict, comparisons)),
            "ranks": [
                {"run": str(path), **asdict(rank)} for path, rank in zip(paths, ranks, strict=False)
            ],
        }
        json_file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
