"""What commands share: options that are one object, and the options of a benchmark and a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

T = TypeVar("T")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Directory of question files and images.")
]
HubId = Annotated[str | None, typer.Option("--hub-id", help="Hub dataset to use instead.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Revision of the hub dataset.")]
BENCHMARK = "A name (scalevqa benchmarks list), a card or a question file."


def application(about: str | None = None) -> typer.Typer:
    """An application of one command, or of several with a text about them."""
    return typer.Typer(
        help=about,
        no_args_is_help=about is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def command(app: typer.Typer, name: str, options: type[T], function: Callable[[T], None]) -> None:
    """Add a command: its options are the dataclass's fields, its help the class's docstring."""

    def called(**given: Any) -> None:
        function(options(**given))

    hints = get_type_hints(options, include_extras=True)
    called.__doc__ = options.__doc__
    called.__annotations__ = hints
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields(options)  # type: ignore[arg-type]
        ]
    )
    app.command(name)(called)


def engine_options(pairs: list[str] | None, base_url: str | None) -> dict[str, Any]:
    """`KEY=VALUE` texts as options; values are read as YAML scalars (numbers, true, null)."""
    from scalevqa_eval.data import read_yaml
    from scalevqa_eval.errors import UsageError

    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"an engine option is written KEY=VALUE, not {pair!r}")
        options[key.replace("-", "_")] = read_yaml(value, f"engine option {pair!r}", "value")
    return options if base_url is None else {**options, "base_url": base_url}
