"""Several copies of a model on Ray, used as one: `scalevqa run --engine ray --workers N`.

Each worker is a Ray actor with an engine of its own. To the runner the pool is one model with the
name and identity of its copies, so records, resume and summary are those of any run. Ray places
the workers and starts dead ones again; what a dead one was asked is asked of another.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scalevqa_eval.errors import MissingExtra, ModelError, UsageError
from scalevqa_eval.models.ray.worker import Described, EngineWorker, Failure
from scalevqa_eval.types import ImagePart, Prompt, Reply

_RESTARTS = 3  # of one worker
_LOSSES = 3  # a prompt during which so many workers died is not tried again
_PLACEMENT = 600.0  # seconds for Ray to start the workers and for them to import their engine
_REMEMBERED = 10_000  # image sets whose worker is remembered


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
    as the pool is open. Local engines get `gpus_per_worker` GPUs each; by default what their
    parallelism asks for, or an equal share. Raises MissingExtra, or UsageError for what cannot
    be placed or loaded.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("--engine ray", "ray") from None
    if workers < 1:
        raise UsageError(f"workers must be 1 or more, not {workers}")
    options = dict(options or {})
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ours = not ray.is_initialized()
    if ours:
        where = address or os.environ.get("RAY_ADDRESS") or "local"
        local: dict[str, Any] = {}
        if where == "local":
            local = {
                "num_cpus": max(workers, os.cpu_count() or 1),
                "include_dashboard": False,
                "object_store_memory": 1 << 30,
            }
        try:
            ray.init(where, log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"cannot use Ray at {where}: {error}") from error
    actors: list[Any] = []
    try:
        gpus = _share(name, options, workers, gpus_per_worker, ray.cluster_resources())
        actor = ray.remote(EngineWorker).options(
            num_cpus=1, num_gpus=gpus, max_restarts=_RESTARTS, max_concurrency=1000
        )
        actors = [actor.remote(name, options) for _ in range(workers)]
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
        failed = [found for found in described if isinstance(found, str)]
        if failed:
            raise UsageError(failed[0])
    except BaseException:
        for each in actors:
            ray.kill(each)
        if ours:
            ray.shutdown()
        raise
    return PoolModel(actors, described[0], ours)


def _share(
    name: str,
    options: Mapping[str, Any],
    workers: int,
    wanted: float | None,
    cluster: Mapping[str, float],
) -> float:
    """GPUs for one worker. Raises UsageError if the cluster has too few."""
    there = cluster.get("GPU", 0.0)
    engine = name.partition("/")[0]
    gpus = wanted
    if gpus is None and not (there and engine in ("hf", "vllm", "vllm-serve")):
        gpus = 0.0
    elif gpus is None and engine != "hf":
        sizes = (options.get(f"{kind}_parallel_size") or 1 for kind in ("tensor", "data"))
        gpus = 1.0
        for size in sizes:
            gpus *= float(size)
    elif gpus is None:
        gpus = max(1.0, float(there // workers))
    if gpus * workers > there:
        raise UsageError(
            f"{workers} workers with {gpus:g} GPU(s) each need {gpus * workers:g}, but Ray has "
            f"{there:g}: take fewer workers or set gpus_per_worker"
        )
    return gpus


@dataclass(slots=True, eq=False)
class _Place:
    """One actor as the pool sees it."""

    actor: Any
    busy: int = 0
    up: bool = True
    gone: bool = False
    reviving: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Bytes:
    """An image's bytes, to be called like the `load` that they replace."""

    data: bytes = field(repr=False)

    def __call__(self) -> bytes:
        return self.data


class PoolModel:
    """Workers as one model. Use `load_pool`."""

    def __init__(self, actors: list[Any], described: Described, ours: bool) -> None:
        self.name = described.name
        self.identity = described.identity
        self.capabilities = replace(
            described.capabilities,
            concurrency=described.capabilities.concurrency * len(actors),
        )
        self._places = [_Place(actor) for actor in actors]
        self._sets: OrderedDict[tuple[str, ...], _Place] = OrderedDict()
        self._ours = ours

    async def start(self) -> None:
        """Start all engines, side by side. Raises ModelError (fatal)."""
        found = await asyncio.gather(*(place.actor.start.remote() for place in self._places))
        for failure in found:
            if failure is not None:
                raise ModelError(failure.message, **failure.flags)

    async def reply(self, prompt: Prompt) -> Reply:
        """Answer one prompt, on the worker that has its images cached. Raises ModelError."""
        from ray.exceptions import RayActorError, RayError

        sent = _detached(prompt)
        for _ in range(_LOSSES):
            place = await self._place_for(prompt)
            place.busy += 1
            try:
                answer = await place.actor.reply.remote(sent)
            except RayActorError:
                self._lost(place)
                continue
            except RayError as error:
                reason = str(error).strip().partition("\n")[0]
                raise ModelError(f"Ray: {type(error).__name__}: {reason}") from error
            finally:
                place.busy -= 1
            if isinstance(answer, Failure):
                raise ModelError(answer.message, **answer.flags)
            return answer  # type: ignore[no-any-return]
        raise ModelError(f"{_LOSSES} Ray workers in a row died while they had this prompt")

    async def aclose(self) -> None:
        """Close the engines, end the workers, and Ray if the pool started it."""
        import ray

        for place in self._places:
            if place.reviving is not None and not place.reviving.get_loop().is_closed():
                place.reviving.get_loop().call_soon_threadsafe(place.reviving.cancel)
        closing = [place.actor.close.remote() for place in self._places if place.up]
        await asyncio.gather(*closing, return_exceptions=True)
        for place in self._places:
            ray.kill(place.actor)
        if self._ours:
            await asyncio.to_thread(ray.shutdown)

    async def _place_for(self, prompt: Prompt) -> _Place:
        """Questions about one image set go to one worker, new sets to the least busy one."""
        for down in self._places:
            if not (down.up or down.gone):
                self._lost(down)
        while not any(place.up for place in self._places):
            if all(place.gone for place in self._places):
                raise ModelError("all Ray workers died", fatal=True)
            await asyncio.sleep(0.2)
        images = tuple(part.sha256 for part in prompt.images)
        place = self._sets.get(images) if images else None
        if place is None or not place.up:
            place = min((place for place in self._places if place.up), key=lambda p: p.busy)
        if images:
            self._sets[images] = place
            self._sets.move_to_end(images)
            if len(self._sets) > _REMEMBERED:
                self._sets.popitem(last=False)
        return place

    def _lost(self, place: _Place) -> None:
        """Ask nothing more of a dead worker until Ray has started it again."""
        place.up = False
        # A task of a loop that has ended meanwhile is done without having revived anything.
        if place.reviving is None or place.reviving.done():
            place.reviving = asyncio.get_running_loop().create_task(self._revive(place))

    async def _revive(self, place: _Place) -> None:
        from ray.exceptions import ActorDiedError, RayActorError

        while True:
            try:
                failure = await place.actor.start.remote()
            except ActorDiedError:
                place.gone = True
                return
            except RayActorError:  # being started again
                await asyncio.sleep(0.5)
                continue
            place.gone = failure is not None
            place.up = failure is None
            return


def _detached(prompt: Prompt) -> Prompt:
    """The prompt with its images' bytes in it: files and caches of this process stay here."""
    parts = tuple(
        replace(part, load=_Bytes(part.load())) if isinstance(part, ImagePart) else part
        for part in prompt.parts
    )
    return replace(prompt, parts=parts, options=dict(prompt.options))
