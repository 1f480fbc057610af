"""A model of one's own: one class with one coroutine. Here: the option that has most words.

Use it from Python:

    from scalevqa_eval import evaluate, load_benchmark
    from my_model import MostWords

    run = evaluate(MostWords(), load_benchmark("demo"))

Or by name, after registering it in the pyproject.toml of a package of yours and installing that:

    [project.entry-points."scalevqa.models"]
    words = "my_model:load"

    $ scalevqa run --model words/most --benchmark demo
    $ scalevqa run --model words/fewest --benchmark demo --engine-option tie_break=last
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.types import Capabilities, Prompt, Reply


class MostWords:
    """Chooses by the number of words in an option, and looks at nothing else."""

    def __init__(self, fewest: bool = False, tie_break: str = "first") -> None:
        self.name = "words/fewest" if fewest else "words/most"
        # What the model takes. One that looks says how many images it takes (`max_images`), and
        # how large: larger ones are made smaller before they get here, and the run notes it.
        self.capabilities = Capabilities(needs_options=True, cacheable=False)
        # Everything besides the prompt that may change a reply; never a key.
        self.identity: Mapping[str, Any] = {"tie_break": tie_break}
        self._fewest = fewest
        self._last_wins = tie_break == "last"

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt. Many coroutines run at once; the runner sees to how many.

        `prompt.system` and `prompt.parts` are what a language model gets: texts and images in
        order, an image's bytes from `part.load()`. `prompt.options` are the options once more,
        for a model that does not read prose. The right answer is nowhere in a prompt.
        """
        if not prompt.options:
            # No reply: `retryable=True` would have it tried again, `fatal=True` end the run.
            raise ModelError("words/ answers questions with options only")
        counts = {letter: len(text.split()) for letter, text in prompt.options.items()}
        wanted = min(counts.values()) if self._fewest else max(counts.values())
        letters = [letter for letter, count in counts.items() if count == wanted]
        letter = letters[-1 if self._last_wins else 0]
        return Reply(text=f"<answer>{letter}</answer>", model=self.name)

    async def aclose(self) -> None:
        """Free connections and memory; there are none."""


def load(name: str, *, tie_break: str = "first") -> MostWords:
    """What the entry point names. It gets the part of the model's name after the slash.

    Keyword-only parameters are the engine's options: `--engine-option tie_break=last`.
    """
    if name not in ("most", "fewest"):
        raise UsageError(f"words/ has the models words/most and words/fewest, not {name!r}")
    if tie_break not in ("first", "last"):
        raise UsageError(f"tie_break is first or last, not {tie_break!r}")
    return MostWords(fewest=name == "fewest", tie_break=tie_break)
