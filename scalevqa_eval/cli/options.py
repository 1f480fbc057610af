"""A command whose options are one object: a frozen dataclass with Typer's annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

import typer

T = TypeVar("T")


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
