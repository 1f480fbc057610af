"""`scalevqa leaderboard build | add | check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from scalevqa_eval.cli.options import application, command
from scalevqa_eval.errors import UsageError
from scalevqa_eval.pages.terminal import say

_DIRECTORY = typer.Option(
    help="Directory of boards.  [default: ./leaderboards, else those of the package]"
)


app = application("Results as data, and pages made from them.")


def boards_directory(given: Path | None) -> Path:
    """The directory asked for, else ./leaderboards, else the package's own."""
    from scalevqa_eval.paths import data_directory

    if given is not None:
        if not given.is_dir():
            raise UsageError(f"no directory {given}")
        return given
    here = Path("leaderboards")
    return here if here.is_dir() else data_directory("leaderboards")


@app.command()
def build(
    directory: Annotated[Path | None, _DIRECTORY] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the pages go.  [default: beside the boards]")
    ] = None,
) -> None:
    """Make Markdown, HTML, CSV, JSON and hub metadata from the boards alone."""
    from scalevqa_eval import leaderboard

    place = boards_directory(directory)
    for path in leaderboard.write(leaderboard.build(place), output or place):
        say(path)
    for board in leaderboard.load_boards(place):
        if board.hub is None:
            say(
                f"{board.benchmark}: no .eval_results, for its hub dataset is not known "
                "(`hub: {dataset: OWNER/NAME}` in its board)"
            )


@dataclass(frozen=True)
class AddOptions:
    """Enter a run, if it is complete, whole and of the board's questions and prompt."""

    run: Annotated[Path, typer.Argument(help="Run directory.")]
    directory: Annotated[Path | None, _DIRECTORY] = None
    state: Annotated[
        Literal["ours", "reproduced"],
        typer.Option(help="ours, or reproduced: a published result run again."),
    ] = "ours"
    name: Annotated[str, typer.Option(help="Model name shown, by default engine/model.")] = ""
    revision: Annotated[str, typer.Option(help="Model revision, such as a commit.")] = ""
    note: Annotated[
        list[str] | None,
        typer.Option(help="Shown with the entry; needed for another prompt. Repeatable."),
    ] = None
    url: Annotated[str, typer.Option(help="Where the run can be seen.")] = ""
    max_unreadable: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest share of unparsed, and of truncated, replies."),
    ] = 0.02


def add(given: AddOptions) -> None:
    from scalevqa_eval import leaderboard
    from scalevqa_eval.run import open_run

    notes = tuple(given.note or ())
    details = leaderboard.Details(
        given.state, given.name, given.revision, notes, given.url, given.max_unreadable
    )
    added = leaderboard.add_run(open_run(given.run), boards_directory(given.directory), details)
    say(f"{added.model}: {added.correct}/{added.n} entered in {added.board}")
    say(f"answers kept in {added.answers}")
    say("Now: scalevqa leaderboard build")


command(app, "add", AddOptions, add)


@app.command()
def check(directory: Annotated[Path | None, _DIRECTORY] = None) -> None:
    """Recompute every entry that has answers; fail on a difference of one question."""
    from scalevqa_eval import leaderboard

    entries, recomputed, problems = leaderboard.check(boards_directory(directory))
    for problem in problems:
        say(f"FAILED {problem}", err=True)
    say(f"{entries} entries, {recomputed} recomputed from their answers, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)
