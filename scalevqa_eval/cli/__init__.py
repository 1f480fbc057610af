"""The command line: parse, call, print. Only the command that is asked for is imported."""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from scalevqa_eval import __version__
from scalevqa_eval.cli.options import application
from scalevqa_eval.errors import ScaleVQAError, UsageError
from scalevqa_eval.pages.terminal import say

# Each is a module here, with an application `app`, and the first line of its help.
COMMANDS = {
    "run": "Ask a model the questions of a benchmark and print its score per dimension.",
    "audit": "Find out whether a benchmark can be answered without looking at its images.",
    "compare": "Compare runs question by question: differences with intervals, tests and power.",
    "models": "Engines and models.",
    "benchmarks": "Benchmarks: list, show, check.",
    "train": "Train a model: prepare, sft, grpo, merge, curve.",
    "leaderboard": "Results as data, and pages made from them.",
}

app = application("Evaluate vision-language models on cross-scale pathology questions.")


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


def _call(name: str, arguments: list[str]) -> None:
    import_module(f"scalevqa_eval.cli.{name}").app(args=arguments, prog_name=f"scalevqa {name}")


_AS_IT_IS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
for _name, _about in COMMANDS.items():

    @app.command(_name, help=_about, context_settings=_AS_IT_IS)
    def _named(context: typer.Context) -> None:
        _call(str(context.info_name), context.args)


def main() -> None:
    """Entry point of the `scalevqa` command: errors become one or two lines and an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    try:
        if arguments and arguments[0] in COMMANDS:  # saves reading the options of the root
            _call(arguments[0], arguments[1:])
        else:
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
