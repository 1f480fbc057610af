"""Model names → models. `engine/model`; third parties register in `scalevqa.models`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from scalevqa_eval.errors import UsageError
from scalevqa_eval.models.base import Model

ENTRY_POINT_GROUP = "scalevqa.models"

# engine → "module:function"; the function takes the part after the slash and keyword options.
BUILT_IN: Mapping[str, str] = {
    "baseline": "scalevqa_eval.models.baselines:load",
    "openai": "scalevqa_eval.models.remote.openai:load",
    "anthropic": "scalevqa_eval.models.remote.anthropic:load",
    "gemini": "scalevqa_eval.models.remote.gemini:load",
    "hf": "scalevqa_eval.models.local.huggingface:load",
    "vllm": "scalevqa_eval.models.local.vllm:load",
}
# Names of before → names of now; both take the same options.
_RENAMED = {"vllm-serve": "vllm"}


def _third_party() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def engine_names() -> tuple[str, ...]:
    """All engines that a model name may begin with, built in and registered."""
    return (*BUILT_IN, *sorted(set(_third_party()) - set(BUILT_IN)))


def _loader(engine: str) -> Callable[..., Model]:
    if engine in BUILT_IN:
        module, _, function = BUILT_IN[engine].partition(":")
        loader: Callable[..., Model] = getattr(import_module(module), function)
        return loader
    points = _third_party()
    if engine in points:
        try:
            return points[engine].load()  # type: ignore[no-any-return]
        except Exception as error:
            kind, place = type(error).__name__, points[engine].value
            raise UsageError(
                f"engine {engine!r} of another package cannot be loaded from {place} "
                f"({kind}: {error})"
            ) from error
    if engine in _RENAMED:
        now = _RENAMED[engine]
        raise UsageError(f"{engine}/ is {now}/ now, with the same options: write {now}/ instead")
    near = difflib.get_close_matches(engine, engine_names(), 1)
    hint = f"did you mean {near[0]}/…?" if near else f"engines: {', '.join(engine_names())}"
    raise UsageError(f"no engine {engine!r}: {hint}")


def load_model(name: str, **options: Any) -> Model:
    """A model by its name `engine/model`, e.g. `openai/gpt-5.2` or `baseline/random`.

    Options are the engine's own (`base_url`, `seed`, …); an unknown one is a UsageError that
    names those which exist. Raises MissingExtra if the engine's packages are not installed.
    """
    engine, slash, rest = name.partition("/")
    if not slash or not rest:
        raise UsageError(f"a model is named engine/model, such as openai/gpt-5.2; not {name!r}")
    loader = _loader(engine)
    _check_options(engine, loader, options)
    return loader(rest, **options)


def _check_options(engine: str, loader: Callable[..., Model], options: Mapping[str, Any]) -> None:
    import inspect

    parameters = inspect.signature(loader).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise UsageError(f"{engine}/ takes no option {option!r}; its options: {takes}")
