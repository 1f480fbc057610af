"""`scalevqa leaderboard build | add | check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scalevqa_eval.errors import UsageError

_DIRECTORY = typer.Option(
    help="Directory of boards.  [default: ./leaderboards, else those of the package]"
)


def register(app: typer.Typer) -> None:
    board = typer.Typer(no_args_is_help=True, help="Results as data, and pages made from them.")
    board.command("build")(build)
    board.command("add")(add)
    board.command("check")(check)
    app.add_typer(board, name="leaderboard")


def boards_directory(given: Path | None) -> Path:
    """The directory asked for, else ./leaderboards, else the package's own."""
    from scalevqa_eval.paths import data_directory

    if given is not None:
        if not given.is_dir():
            raise UsageError(f"no directory {given}")
        return given
    here = Path("leaderboards")
    return here if here.is_dir() else data_directory("leaderboards")


def build(
    directory: Annotated[Path | None, _DIRECTORY] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the pages go.  [default: beside the boards]")
    ] = None,
) -> None:
    """Make Markdown, HTML, CSV, JSON and hub metadata from the boards alone."""
    from scalevqa_eval.leaderboard.build import build as make
    from scalevqa_eval.leaderboard.build import write
    from scalevqa_eval.leaderboard.loading import load_boards

    place = boards_directory(directory)
    paths = write(make(place), output or place)
    for path in paths:
        typer.echo(f"{path}")
    for board in load_boards(place):
        if board.hub is None:
            typer.echo(
                f"{board.benchmark}: no .eval_results, for its hub dataset is not known "
                "(`hub: {dataset: OWNER/NAME}` in its board)"
            )


def add(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    directory: Annotated[Path | None, _DIRECTORY] = None,
    state: Annotated[
        str, typer.Option(help="ours, or reproduced: a published result run again.")
    ] = "ours",
    name: Annotated[str, typer.Option(help="Model name shown, by default engine/model.")] = "",
    revision: Annotated[str, typer.Option(help="Model revision, such as a commit.")] = "",
    note: Annotated[
        list[str] | None,
        typer.Option(help="Shown with the entry; needed for another prompt. Repeatable."),
    ] = None,
    url: Annotated[str, typer.Option(help="Where the run can be seen.")] = "",
    max_unreadable: Annotated[
        float,
        typer.Option(min=0, max=1, help="Largest share of unparsed, and of truncated, replies."),
    ] = 0.02,
) -> None:
    """Enter a run, if it is complete, whole and of the board's questions and prompt."""
    from scalevqa_eval.leaderboard.add import add_run
    from scalevqa_eval.run.store import open_run

    states: dict[str, Literal["ours", "reproduced"]] = {"ours": "ours", "reproduced": "reproduced"}
    if state not in states:
        raise UsageError(f"--state is ours or reproduced, not {state!r}")
    added = add_run(
        open_run(run),
        boards_directory(directory),
        state=states[state],
        name=name,
        revision=revision,
        notes=tuple(note or ()),
        source_url=url,
        limit=max_unreadable,
    )
    name = "".join(c if c.isprintable() else "?" for c in added.model)
    typer.echo(f"{name}: {added.correct}/{added.n} entered in {added.board}")
    typer.echo(f"answers kept in {added.answers}")
    typer.echo("Now: scalevqa leaderboard build")


def check(directory: Annotated[Path | None, _DIRECTORY] = None) -> None:
    """Recompute every entry that has answers; fail on a difference of one question."""
    from scalevqa_eval.leaderboard.build import check as recompute

    entries, recomputed, problems = recompute(boards_directory(directory))
    for problem in problems:
        typer.echo(f"FAILED {problem}", err=True)
    typer.echo(
        f"{entries} entries, {recomputed} recomputed from their answers, {len(problems)} problems"
    )
    if problems:
        raise typer.Exit(1)
