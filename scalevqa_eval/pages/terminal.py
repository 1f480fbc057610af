"""The one gate to the terminal: nothing hostile gets through, nothing is read as markup.

Every text here may come from a file or a server. What cannot be seen (escape sequences, controls,
characters that turn text around) is replaced; `[/]` is text. Lint forbids every other way out.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from scalevqa_eval.pages import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions  # noqa: TID251
    from rich.segment import Segment
    from rich.text import Text


def say(text: object = "", *, err: bool = False) -> None:
    """Print a text on lines of its own, to standard error with `err`."""
    print(visible(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


def console(*, err: bool = False) -> Console:
    """A Rich console for tables and progress, whose texts pass the same gate."""
    from rich.console import Console  # noqa: TID251 (the gate itself)

    class Gate(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

        def render(
            self, renderable: Any, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            """Texts made elsewhere (columns of a progress bar); controls of Rich's own stay."""
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

    return Gate(stderr=err, highlight=False)
