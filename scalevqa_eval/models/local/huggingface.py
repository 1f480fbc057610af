"""`hf/PATH_OR_ID`: a checkpoint that Transformers runs in this process.

Vision-language models (Qwen2.5-VL, Qwen3-VL, LLaVA and all others that
`AutoModelForImageTextToText` knows) and text-only ones. The prompts that wait in `reply` are
what batches are made of.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.local.checkpoint import (
    checkpoint_identity,
    local_directory,
    read_template,
    whole_number,
)
from scalevqa_eval.models.local.hf_batching import Batcher
from scalevqa_eval.types import Capabilities, Prompt, Reply

if TYPE_CHECKING:
    from scalevqa_eval.models.local.hf_processor import Batch, Preparer

# What "auto" starts with; it is halved when memory does not suffice.
_AUTO_GPU, _AUTO_CPU = 16, 8
_DTYPES = ("auto", "bfloat16", "float16", "float32")


def load(
    name: str,
    *,
    dtype: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
    attn: str | None = None,
    batch_size: int | str = "auto",
    min_pixels: int | str | None = None,
    max_pixels: int | str | None = None,
    resize: str = "processor",
    chat_template: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> HFModel:
    """The checkpoint in directory `name`, or of the hub.

    `dtype` is auto (as saved), bfloat16, float16 or float32. `device_map` is handed to
    Transformers; by default all GPUs there are, else the CPU. `attn` is its attention
    implementation (sdpa, flash_attention_2, eager). `batch_size` is a number, or auto: starts
    large and is halved when memory runs out. `min_pixels` and `max_pixels` bound the images of
    models that take any size; `resize="qwen-vl-utils"` makes them that size as Qwen's own
    examples do, not as the processor does. `chat_template` is a Jinja file to use instead of
    the model's. `trust_remote_code` runs Python code that comes with the checkpoint.

    Raises MissingExtra, or UsageError for a checkpoint or an option that cannot be used.
    """
    try:
        import torch
        import transformers
    except ImportError:
        raise MissingExtra("hf/", "hf") from None
    if int(transformers.__version__.split(".")[0]) < 5:
        raise UsageError(f"hf/ needs Transformers 5 or newer, not {transformers.__version__}")
    if dtype not in _DTYPES:
        raise UsageError(f"dtype is {', '.join(_DTYPES)}; not {dtype!r}")
    if resize not in ("processor", "qwen-vl-utils"):
        raise UsageError(f"resize is processor or qwen-vl-utils, not {resize!r}")
    automatic = batch_size == "auto"
    size = _AUTO_GPU if torch.cuda.is_available() else _AUTO_CPU
    if not automatic:
        size = whole_number("batch_size", batch_size) or size
    checkpoint = checkpoint_identity(name, revision)

    from scalevqa_eval.models.local.hf_processor import Preparer, Settings

    preparer = Preparer(
        Settings(
            source=str(local_directory(name) or name),
            revision=checkpoint.get("revision"),
            dtype=dtype,
            device_map=device_map,
            attn=attn,
            min_pixels=whole_number("min_pixels", min_pixels),
            max_pixels=whole_number("max_pixels", max_pixels),
            qwen_resize=resize == "qwen-vl-utils",
            chat_template=read_template(chat_template),
            trust_remote_code=trust_remote_code,
        )
    )
    return HFModel(name, checkpoint, preparer, size, automatic)


class HFModel:
    """A checkpoint and the batches that wait for it. Use `load`."""

    def __init__(
        self,
        name: str,
        checkpoint: Mapping[str, Any],
        preparer: Preparer,
        size: int,
        automatic: bool,
    ) -> None:
        from scalevqa_eval.models.local.hf_engine import Engine

        settings = preparer.settings
        self.name = f"hf/{name}"
        template = settings.chat_template
        self.identity: Mapping[str, Any] = {
            "engine": "transformers",
            **checkpoint,
            "dtype": preparer.dtype,
            "attn": settings.attn or "default",
            **preparer.pixels,
            "resize": "qwen-vl-utils" if settings.qwen_resize else "processor",
            "chat_template": hashlib.sha256(template.encode()).hexdigest() if template else "own",
        }
        self.capabilities = Capabilities(
            max_images=None if preparer.takes_images else 0,
            logprobs=True,
            letters_only=True,
            # A batch that generates, one being prepared, and enough to sort by length.
            concurrency=3 * size,
        )
        self.notes: list[str] = []
        self._engine = Engine(preparer)
        self._batcher: Batcher[Prompt, Batch, Reply] = Batcher(
            preparer.prepare,
            self._engine.answer,
            size=size,
            shrink=automatic,
            length=preparer.estimate,
            kind=_kind,
            say=self._say,
        )

    @property
    def batch_size(self) -> int:
        """Prompts in a full batch, as of now."""
        return self._batcher.size

    async def start(self) -> None:
        """Load the weights; `reply` does it if nobody did. Raises ModelError (fatal)."""
        await asyncio.to_thread(self._engine.load_weights)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, in a batch with others that wait. Raises ModelError."""
        try:
            return await asyncio.wrap_future(self._batcher.submit(prompt))
        except ModelError:
            raise
        except Exception as error:  # model code raises all sorts
            reason = str(error).strip().partition("\n")[0][:400]
            raise ModelError(f"{self.name} failed: {type(error).__name__}: {reason}") from error

    async def aclose(self) -> None:
        """Stop generating and free the memory."""
        self._engine.stop.set()
        await asyncio.to_thread(self._batcher.close)
        self._engine.unload()

    def _say(self, note: str) -> None:
        import logging

        self.notes.append(note)
        logging.getLogger("scalevqa").warning("%s: %s", self.name, note)


def _kind(prompt: Prompt) -> tuple[bool, bool]:
    """Prompts of one kind can share a batch."""
    chooses = prompt.sampling.logprobs or prompt.sampling.letters_only
    return bool(prompt.images), chooses
