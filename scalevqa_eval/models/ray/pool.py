"""Several copies of a model on Ray, used as one: `scalevqa run --engine ray --workers N`.

For `hf/` and models of other packages; vLLM spreads over GPUs and nodes by itself. Each worker is
a Ray actor with a model of its own. To the runner the pool is one model with the name and identity
of its copies, so records, resume and summary are those of any run. Ray places the workers, starts
dead ones again and repeats what they were asked; new questions go to the least busy one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, ScaleVQAError, UsageError
from scalevqa_eval.models.base import StartableModel, TrainableModel
from scalevqa_eval.models.registry import load_model
from scalevqa_eval.types import Capabilities, ImagePart, Prompt, Reply

_RESTARTS = 3  # of one worker, and of a question during which workers died
_PLACEMENT = 600.0  # seconds for Ray to start the workers and for them to import their engine


def load_pool(
    name: str,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    *,
    gpus_per_worker: float | None = None,
    address: str | None = None,
) -> PoolModel:
    """`workers` copies of the model `name`, each loaded with `options` where it runs.

    Uses the Ray cluster at `address` or RAY_ADDRESS, else starts Ray on this machine for as long
    as the pool is open. `hf/` gets `gpus_per_worker` GPUs each, by default an equal share. Raises
    MissingExtra, or UsageError for what cannot be placed or loaded.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("--engine ray", "ray") from None
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, not {workers}")
    if name.startswith("vllm/"):
        raise UsageError(
            "vllm/ spreads by itself: leave out --engine ray, and give vLLM's own options, such as "
            f"-O data_parallel_size={workers} (more nodes: -O data_parallel_backend=ray)"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ours = not ray.is_initialized()
    if ours:
        _join(address or os.environ.get("RAY_ADDRESS") or "local", workers)
    actors: list[Any] = []
    try:
        gpus = _share(name, workers, gpus_per_worker, ray.cluster_resources().get("GPU", 0.0))
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
                f"CPU and {gpus:g} GPU(s), and free are {free.get('CPU', 0):g} and "
                f"{free.get('GPU', 0):g}: take fewer workers, or wait until the cluster is free"
            )
        described = ray.get(asked)
        if failed := [found for found in described if isinstance(found, str)]:
            raise UsageError(failed[0])
    except BaseException as error:
        for each in actors:
            ray.kill(each)
        if ours:
            ray.shutdown()
        if isinstance(error, ray.exceptions.RayError):
            raise UsageError(f"Ray cannot start the workers: {_told(error)}") from error
        raise
    return PoolModel(actors, described[0], ours)


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
    with _stderr_kept() as written:
        try:
            ray.init(where, log_to_driver=False, logging_level="ERROR", **local)
            return
        except (ConnectionError, ValueError, RuntimeError) as error:
            failure, log = error, written()
    if "InvalidAuthToken" in log:
        raise UsageError(
            f"the Ray cluster at {where} asks for a token: set RAY_AUTH_MODE=token and have the "
            "cluster's token in RAY_AUTH_TOKEN or in ~/.ray/auth_token"
        ) from failure
    raise UsageError(f"cannot use Ray at {where}: {_told(failure)}") from failure


@contextlib.contextmanager
def _stderr_kept() -> Iterator[Callable[[], str]]:
    """Keeps from the terminal what Ray's C++ half writes; the function tells what it was."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        real = os.dup(2)
        os.dup2(kept.fileno(), 2)

        def written() -> str:
            return os.pread(kept.fileno(), 1 << 20, 0).decode("utf-8", "replace")

        try:
            yield written
        finally:
            os.dup2(real, 2)
            os.close(real)


def _share(name: str, workers: int, wanted: float | None, there: float) -> float:
    """GPUs for one worker. Raises UsageError if the cluster has too few."""
    gpus = wanted
    if gpus is None:
        gpus = max(1.0, float(there // workers)) if there and name.startswith("hf/") else 0.0
    if gpus * workers > there:
        raise UsageError(
            f"{workers} workers with {gpus:g} GPU(s) each need {gpus * workers:g}, but Ray has "
            f"{there:g}: take fewer workers or set gpus_per_worker"
        )
    return gpus


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


class PoolModel:
    """Workers as one model. Use `load_pool`."""

    def __init__(self, actors: list[Any], described: Described, ours: bool) -> None:
        self.name = described.name
        self.identity = described.identity
        one = described.capabilities
        self.capabilities = replace(one, concurrency=one.concurrency * len(actors))
        self._busy = dict.fromkeys(actors, 0)  # questions under way at each worker that lives
        self._ours = ours

    async def start(self) -> None:
        """Start all engines, side by side. Raises ModelError (fatal)."""
        for failure in await asyncio.gather(*(actor.start.remote() for actor in self._busy)):
            if failure is not None:
                raise failure.error()

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, on the worker with the fewest. Raises ModelError."""
        from ray.exceptions import ActorDiedError, RayError

        if not self._busy:
            raise ModelError("all Ray workers died", fatal=True)
        actor = min(self._busy, key=self._busy.__getitem__)
        self._busy[actor] += 1
        try:
            answer = await actor.reply.remote(_detached(prompt))
        except ActorDiedError as error:  # for good
            self._busy.pop(actor, None)
            raise ModelError(f"a Ray worker died: {_told(error)}", retryable=True) from error
        except RayError as error:
            raise ModelError(f"Ray: {type(error).__name__}: {_told(error)}") from error
        finally:
            if actor in self._busy:
                self._busy[actor] -= 1
        if isinstance(answer, Failure):
            raise answer.error()
        return answer  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the engines, end the workers, and Ray if the pool started it."""
        import ray

        closing = [actor.close.remote() for actor in self._busy]
        await asyncio.gather(*closing, return_exceptions=True)
        for actor in self._busy:
            ray.kill(actor)
        if self._ours:
            await asyncio.to_thread(ray.shutdown)


def _detached(prompt: Prompt) -> Prompt:
    """The prompt with its images' bytes in it: files and caches of this process stay here."""
    parts = tuple(
        replace(part, load=_Bytes(part.load())) if isinstance(part, ImagePart) else part
        for part in prompt.parts
    )
    return replace(prompt, parts=parts, options=dict(prompt.options))


@dataclass(frozen=True, slots=True)
class _Bytes:
    """An image's bytes, to be called like the `load` that they replace."""

    data: bytes = field(repr=False)

    def __call__(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class Described:
    """What a model says of itself."""

    name: str
    identity: Mapping[str, Any]
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of this package as plain data, for the way between processes."""

    message: str
    flags: Mapping[str, Any]

    @classmethod
    def of(cls, error: ScaleVQAError) -> Failure:
        flags = ("retryable", "rate_limited", "retry_after", "fatal")
        if isinstance(error, ModelError):
            return cls(str(error), {flag: getattr(error, flag) for flag in flags})
        return cls(str(error), {"fatal": True})

    def error(self) -> ModelError:
        return ModelError(self.message, **self.flags)


class Worker:
    """One model in a Ray actor, asked by many calls at once."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name, self._options = name, options
        self._model: Any = None

    def _open(self) -> Any:
        if self._model is None:
            self._model = load_model(self._name, **self._options)
        return self._model

    async def describe(self) -> Described | str:
        """The model, or why it cannot be loaded."""
        try:
            model = self._open()
        except ScaleVQAError as error:
            return str(error)
        if isinstance(model, TrainableModel):
            return f"{model.name} learns in this process: leave out --engine ray"
        return Described(model.name, dict(model.identity), model.capabilities)

    async def start(self) -> Failure | None:
        """Load the weights, if the model has any; why it failed, if it did."""
        try:
            model = self._open()
            if isinstance(model, StartableModel):
                await model.start()
        except ScaleVQAError as error:
            return Failure.of(error)
        return None

    async def reply(self, prompt: Prompt) -> Reply | Failure:
        """The model's reply, or why there is none."""
        try:
            reply: Reply = await self._open().reply(prompt)
        except ScaleVQAError as error:
            return Failure.of(error)
        return reply

    async def close(self) -> None:
        """Close the model."""
        if self._model is not None:
            await self._model.aclose()
