"""`scalevqa models list`: which engines can be used here, and what is missing for the others."""

from __future__ import annotations

from scalevqa_eval.cli.options import application
from scalevqa_eval.pages.terminal import console

# engine → (module it needs, extra that brings it, environment variables of which one is its key)
_NEEDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "openai": ("", "", ("OPENAI_API_KEY",)),
    "anthropic": ("", "", ("ANTHROPIC_API_KEY",)),
    "gemini": ("", "", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    "hf": ("transformers", "hf", ()),
    "vllm": ("vllm", "vllm", ()),
}


app = application("Engines and models.")


@app.callback()
def _group() -> None:
    """One command, but as `models list`."""


@app.command("list")
def list_() -> None:
    """List the engines, and whether each can be used here."""
    from rich.table import Table

    from scalevqa_eval.models import engine_names

    table = Table("model", "can be used", box=None, pad_edge=False)
    for engine in engine_names():
        if engine == "baseline":
            from scalevqa_eval.models.baselines import NAMES

            for name in NAMES:
                table.add_row(f"baseline/{name}", "yes")
        else:
            table.add_row(f"{engine}/MODEL", _state(engine))
    console().print(table)


def _state(engine: str) -> str:
    import os
    from importlib.util import find_spec

    module, extra, keys = _NEEDS.get(engine, ("", "", ()))
    try:
        installed = not module or find_spec(module) is not None
    except ModuleNotFoundError:
        installed = False
    if not installed:
        return f"no: pip install 'scalevqa-eval[{extra}]'"
    if keys and not any(os.environ.get(key) for key in keys):
        local = " (a server of your own: --base-url)" if engine == "openai" else ""
        return f"yes, once {' or '.join(keys)} is set{local}"
    return "yes"
