"""Several copies of a model on Ray, used as one: `scalevqa run --engine ray --workers N`.

For `hf/` and models of other packages; vLLM spreads over GPUs and nodes by itself. Each worker is
a Ray actor with a model of its own. To the runner the pool is one model with the name and identity
of its copies, so records, resume and summary are those of any run. Ray places the workers, starts
dead ones again and repeats what they were asked; new questions go to the least busy one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, ScaleVQAError, UsageError
from scalevqa_eval.models.base import Model, StartableModel, TrainableModel
from scalevqa_eval.models.local.checkpoint import said
from scalevqa_eval.models.registry import load_model
from scalevqa_eval.types import Capabilities, ImagePart, Prompt, Reply

_RESTARTS = 3  # of one worker, and of a question during which workers died
_PLACEMENT = 600.0  # seconds for Ray to start the workers and for them to import their engine


def load_pool(name: str, options: Mapping[str, Any] | None = None, workers: int = 1) -> PoolModel:
    """`workers` copies of the model `name`, each loaded with `options` where it runs.

    Uses the Ray cluster at RAY_ADDRESS, else starts Ray on this machine for as long as the pool
    is open. `hf/` workers get an equal share of the GPUs. Raises MissingExtra, or UsageError for
    what cannot be placed or loaded.
    """
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, not {workers}")
    if name.startswith("vllm/"):
        raise UsageError(
            "vllm/ spreads by itself: leave out --engine ray, and give vLLM's own options, such as "
            f"-O data_parallel_size={workers} (more nodes: -O data_parallel_backend=ray)"
        )
    cluster = os.environ.get("RAY_ADDRESS", "")
    token = "RAY_AUTH_TOKEN" in os.environ or (Path.home() / ".ray" / "auth_token").is_file()
    if cluster and token and "ray" not in sys.modules:
        # Else Ray asks a cluster without the token that it has. It reads this at its import.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtra("--engine ray", "ray") from None
    ours = not ray.is_initialized()
    if ours:
        _join(cluster or "local", workers)
    actors: list[Any] = []
    try:
        gpus = _share(name, workers, int(ray.cluster_resources().get("GPU", 0)))
        actor = ray.remote(Worker).options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
            max_concurrency=1000,
        )
        actors = [actor.remote(name, dict(options or {})) for _ in range(workers)]
        asked = [each.describe.remote() for each in actors]
        placed, waiting = ray.wait(asked, num_returns=workers, timeout=_PLACEMENT)
        if waiting:
            free = ray.available_resources()
            raise UsageError(
                f"Ray placed {len(placed)} of {workers} workers in {_PLACEMENT:g} s; each needs a "
                f"CPU and {gpus} GPU(s), and free are {free.get('CPU', 0):g} and "
                f"{free.get('GPU', 0):g}: take fewer workers, or wait until the cluster is free"
            )
        return PoolModel(actors, *ray.get(asked)[0], ours=ours)
    except BaseException as error:
        for each in actors:
            ray.kill(each)
        if ours:
            ray.shutdown()
        if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, UsageError):
            raise error.cause from None
        if isinstance(error, ray.exceptions.RayError):
            raise UsageError(f"Ray cannot start the workers: {said(error)}") from error
        raise


def _join(where: str, workers: int) -> None:
    """Connect to a cluster, or start one here. Raises UsageError."""
    import ray

    local: dict[str, Any] = {}
    if where == "local":
        local = {
            "num_cpus": max(workers, os.cpu_count() or 1),
            "include_dashboard": False,
            "object_store_memory": 1 << 30,
        }
    # What Ray's C++ half writes to the terminal (40 lines) is kept: it alone says what is wrong.
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            ray.init(where, log_to_driver=False, logging_level="ERROR", **local)
        except Exception as error:  # Ray raises all sorts, bare ones too
            written.seek(0)
            text = f"cannot use Ray at {where}: {said(error)}"
            if b"InvalidAuthToken" in written.read():
                text = (
                    f"the Ray cluster at {where} asks for a token: set RAY_AUTH_MODE=token and "
                    "have the cluster's token in RAY_AUTH_TOKEN or in ~/.ray/auth_token"
                )
            raise UsageError(text) from error
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _share(name: str, workers: int, gpus: int) -> int:
    """GPUs for one worker. Raises UsageError if the cluster has too few."""
    if not gpus or not name.startswith("hf/"):
        return 0
    if gpus < workers:
        raise UsageError(f"{workers} workers need a GPU each, but Ray has {gpus}: take fewer")
    return gpus // workers


class PoolModel:
    """Workers as one model. Use `load_pool`."""

    def __init__(
        self,
        actors: list[Any],
        name: str,
        identity: Mapping[str, Any],
        capabilities: Capabilities,
        *,
        ours: bool,
    ) -> None:
        self.name = name
        self.identity = identity
        self.capabilities = replace(
            capabilities, concurrency=capabilities.concurrency * len(actors)
        )
        self._busy = dict.fromkeys(actors, 0)  # questions under way at each worker that lives
        self._ours = ours

    async def start(self) -> None:
        """Start all engines, side by side. Raises ModelError (fatal)."""
        await asyncio.gather(*(_answer(actor.start.remote()) for actor in self._busy))

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, on the worker with the fewest. Raises ModelError."""
        from ray.exceptions import ActorDiedError

        if not self._busy:
            raise ModelError("all Ray workers died", fatal=True)
        actor = min(self._busy, key=self._busy.__getitem__)
        self._busy[actor] += 1
        try:
            reply: Reply = await _answer(actor.reply.remote(_detached(prompt)))
        except ActorDiedError as error:  # for good
            self._busy.pop(actor, None)
            raise ModelError(f"a Ray worker died: {said(error)}", retryable=True) from error
        finally:
            if actor in self._busy:
                self._busy[actor] -= 1
        return reply

    async def aclose(self) -> None:
        """Close the engines, end the workers, and Ray if the pool started it."""
        import ray

        closing = [actor.close.remote() for actor in self._busy]
        await asyncio.gather(*closing, return_exceptions=True)
        for actor in self._busy:
            ray.kill(actor)
        if self._ours:
            await asyncio.to_thread(ray.shutdown)


async def _answer(asked: Any) -> Any:
    """What a worker answers, or the error that it met. Raises ModelError, ActorDiedError."""
    from ray.exceptions import ActorDiedError, RayError, RayTaskError

    try:
        return await asked
    except ActorDiedError:
        raise
    except RayError as error:
        if isinstance(error, RayTaskError) and isinstance(error.cause, ModelError):
            raise error.cause from None
        raise ModelError(f"Ray: {type(error).__name__}: {said(error)}") from error


def _detached(prompt: Prompt) -> Prompt:
    """The prompt with its images' bytes in it: files and caches of this process stay here."""
    parts = tuple(
        replace(part, load=partial(bytes, part.load())) if isinstance(part, ImagePart) else part
        for part in prompt.parts
    )
    return replace(prompt, parts=parts, options=dict(prompt.options))


class Worker:
    """One model in a Ray actor, asked by many calls at once."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._load = partial(load_model, name, **options)
        self._loaded: Model | None = None

    @property
    def _model(self) -> Model:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    async def describe(self) -> tuple[str, Mapping[str, Any], Capabilities]:
        """What the model says of itself. Raises UsageError."""
        try:
            model = self._model
        except ScaleVQAError as error:  # not all of them can be sent between processes
            raise UsageError(str(error)) from None
        if isinstance(model, TrainableModel):
            raise UsageError(f"{model.name} learns in this process: leave out --engine ray")
        return model.name, dict(model.identity), model.capabilities

    async def start(self) -> None:
        """Load the weights, if the model has any. Raises ModelError."""
        if isinstance(self._model, StartableModel):
            await self._model.start()

    async def reply(self, prompt: Prompt) -> Reply:
        """The model's reply. Raises ModelError."""
        return await self._model.reply(prompt)

    async def close(self) -> None:
        """Close the model."""
        if self._loaded is not None:
            await self._loaded.aclose()
