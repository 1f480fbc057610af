"""The command line: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from scalevqa_eval import __version__
from scalevqa_eval.errors import ScaleVQAError, UsageError
from scalevqa_eval.pages.terminal import say

# A module here has a function `register(app)`, which adds its commands or its sub-application.
COMMANDS: tuple[str, ...] = (
    "run",
    "models",
    "benchmarks",
    "audit",
    "compare",
    "train",
    "leaderboard",
)

app = typer.Typer(
    name="scalevqa",
    help="Evaluate vision-language models on cross-scale pathology questions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        say(f"scalevqa {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks of errors."),
) -> None:
    pass


for _command in COMMANDS:
    import_module(f"scalevqa_eval.cli.{_command}").register(app)


def main() -> None:
    """Entry point of the `scalevqa` command: errors become one or two lines and an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        app(args=arguments, prog_name="scalevqa")
    except ScaleVQAError as error:
        if debug:
            raise
        say(f"Error: {error}", err=True)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        say("Interrupted.", err=True)
        raise SystemExit(130) from None
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        say(f"Error: {kind}: {error}\n(add --debug for the traceback)", err=True)
        raise SystemExit(1) from None
