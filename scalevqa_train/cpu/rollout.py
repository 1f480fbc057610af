"""Rollouts by Transformers' `generate`: `actor_rollout_ref.rollout.name=hf`.

For machines on which vLLM is not to be had. Importing this module registers the rollout, and the
CPU engine where the platform is a CPU (`actor_rollout_ref.model.external_lib`).

One Ray actor per replica holds a copy of the policy. Requests that wait at the same time are
answered by one call of `generate`; new weights arrive from the trainer in buckets.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import ray
import torch
from verl.plugin.platform import get_platform
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.rollout import base
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

NAME = "hf"
_PATIENCE = 0.02  # seconds in which further requests may join a batch


class HFServer:
    """Token ids in, token ids out, in batches; runs in a Ray actor."""

    def __init__(self, config: Any, model_config: Any, rank: int, devices: str | None) -> None:
        if devices is not None:  # before CUDA starts in this process
            os.environ[get_platform().visible_devices_envvar()] = devices
        from transformers import AutoModelForImageTextToText
        from verl.utils.torch_dtypes import PrecisionType

        self._config = omega_conf_to_dataclass(config)
        self._names = omega_conf_to_dataclass(model_config)
        self._device = torch.device(get_platform().device_name)
        self._model = AutoModelForImageTextToText.from_pretrained(
            self._names.local_path,
            dtype=PrecisionType.to_dtype(self._config.dtype),
            attn_implementation="sdpa",
        )
        self._model.to(self._device).eval()
        settings = self._model.generation_config
        tokenizer = self._names.tokenizer
        ends = (
            settings.eos_token_id if settings.eos_token_id is not None else tokenizer.eos_token_id
        )
        self._ends: list[int] = list(ends) if isinstance(ends, (list, tuple)) else [ends]
        pad = tokenizer.pad_token_id
        self._pad: int = self._ends[0] if pad is None else pad
        hf_config = self._names.hf_config
        # A reply must not contain placeholders of images: there are no images for them.
        ids = (getattr(hf_config, key, None) for key in ("image_token_id", "video_token_id"))
        self._image, self._video = ids
        self._banned = [i for i in (self._image, self._video) if i is not None]
        torch.manual_seed(self._config.seed + rank)
        self._waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._step: int | None = None

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        image_data: list[Any] | None = None,
        **_: Any,
    ) -> Any:
        """One reply. `image_data` are the prompt's images, in order."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        reply = asyncio.get_running_loop().create_future()
        await self._waiting.put((list(prompt_ids), dict(sampling_params), image_data or [], reply))
        return await reply

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._config.max_num_seqs:
                try:
                    batch.append(await asyncio.wait_for(self._waiting.get(), _PATIENCE))
                except TimeoutError:
                    break
            groups: dict[str, list[Any]] = {}
            for request in batch:  # one call draws with one set of sampling parameters
                groups.setdefault(repr(sorted(request[1].items())), []).append(request)
            for group in groups.values():
                await self._answer(group)

    async def _answer(self, group: list[Any]) -> None:
        try:
            outputs = await asyncio.to_thread(self._generate, group)
        except Exception as error:  # every waiting request must hear of it
            for *_, reply in group:
                reply.set_exception(RuntimeError(f"generate failed: {error!r}"))
            return
        for (*_, reply), output in zip(group, outputs, strict=True):
            reply.set_result(output)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _generate(self, group: list[Any]) -> list[Any]:
        """Prompts padded on the left to (B, P); replies (B, R) cut after their end token."""
        settings = group[0][1]
        longest = max(len(prompt) for prompt, *_ in group)
        ids = torch.full((len(group), longest), self._pad)
        mask = torch.zeros_like(ids)
        for row, (prompt, *_) in enumerate(group):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        temperature = float(settings.get("temperature", 1.0))
        sampled = temperature > 0
        options: dict[str, Any] = {"do_sample": sampled}
        if sampled:
            top_k = int(settings.get("top_k") or -1)
            options.update(
                temperature=temperature,
                top_p=float(settings.get("top_p", 1.0)),
                top_k=max(top_k, 0),
            )
        length = settings.get("max_tokens") or settings.get("max_new_tokens")
        with_probabilities = bool(settings.get("logprobs"))
        output = self._model.generate(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            **self._images(group, ids),
            **options,
            max_new_tokens=int(length or self._config.response_length),
            eos_token_id=self._ends,
            pad_token_id=self._pad,
            suppress_tokens=self._banned or None,
            return_dict_in_generate=True,
            output_logits=with_probabilities,
        )
        replies = output.sequences[:, longest:].cpu()
        chances = None
        if with_probabilities:
            logits = torch.stack(output.logits, dim=1).float().cpu()  # (B, R, vocabulary)
            logits[..., self._banned] = -torch.inf
            scaled = torch.log_softmax(logits / (temperature if sampled else 1.0), dim=-1)
            chances = scaled.gather(-1, replies[..., None])[..., 0]
        return [
            self._output(replies[row], None if chances is None else chances[row])
            for row in range(len(group))
        ]

    def _images(self, group: list[Any], ids: torch.Tensor) -> dict[str, Any]:
        """The pixels of all prompts in a row, and which tokens stand for them."""
        if self._image is None:
            return {}
        kinds = (ids == self._image).long()
        if self._video is not None:
            kinds = kinds + 2 * (ids == self._video).long()
        inputs = {"mm_token_type_ids": kinds.to(self._device)}
        images = [image for _, _, images, _ in group for image in images]
        if images:
            pixels = self._names.processor.image_processor(images=images, return_tensors="pt")
            inputs["pixel_values"] = pixels["pixel_values"].to(self._device, self._model.dtype)
            inputs["image_grid_thw"] = pixels["image_grid_thw"].to(self._device)
        return inputs

    def _output(self, reply: torch.Tensor, chances: torch.Tensor | None) -> Any:
        tokens: list[int] = reply.tolist()
        end = next((i for i, token in enumerate(tokens) if token in self._ends), None)
        size = len(tokens) if end is None else end + 1
        return TokenOutput(
            token_ids=tokens[:size],
            log_probs=None if chances is None else chances[:size].tolist(),
            stop_reason="completed",
            extra_fields={"global_steps": self._step},
        )

    async def update_weights(self, bucket: list[tuple[str, torch.Tensor]]) -> None:
        """Copy named tensors into the model. Raises RuntimeError for names that it has not."""
        own = self._model.state_dict()  # names tied weights twice, as the trainer does
        unknown = []
        with torch.no_grad():
            for name, weight in bucket:
                target = own.get(name)
                if target is None:
                    target = own.get(_runtime_name(name))
                if target is None:
                    unknown.append(name)
                else:
                    target.copy_(weight.to(target.device, target.dtype))
        if unknown:
            raise RuntimeError(f"the rollout's model has no {unknown[0]} ({len(unknown)} such)")

    async def set_global_steps(self, global_steps: int) -> None:
        self._step = global_steps

    async def _nothing(self, *_: Any, **__: Any) -> None:
        return None

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = _nothing
    abort_all_requests = resume_generation = wait_for_requests_to_drain = _nothing
    start_profile = stop_profile = _nothing


def _runtime_name(name: str) -> str:
    """The name that Transformers 5 gives a weight in memory, from the one it has in files."""
    if name.startswith("visual."):
        return f"model.{name}"
    if name.startswith("model.") and not name.startswith(
        ("model.language_model.", "model.visual.")
    ):
        return f"model.language_model.{name.removeprefix('model.')}"
    return name


class HFReplica(RolloutReplica):  # type: ignore[misc]
    """Starts the server of one replica, on the device of its trainer's first rank."""

    async def launch_servers(self) -> None:
        platform = get_platform()
        devices = None
        if platform.device_name != "cpu":
            resource = platform.ray_resource_name()
            devices = ray.get(
                self.workers[0].__ray_call__.remote(
                    lambda _: ray.get_runtime_context().get_accelerator_ids()[resource][0]
                )
            )
        options = {
            "name": _actor_name(self.replica_rank, self.name_suffix),
            "num_cpus": 1,
            "num_gpus": 0,
            "max_concurrency": self.max_concurrency,
            "runtime_env": {"env_vars": dict.fromkeys(platform.ray_noset_envvars(), "1")},
        }
        actor = ray.remote(HFServer).options(**options)
        server = actor.remote(self.config, self.model_config, self.replica_rank, devices)
        self.servers = [server]
        self._server_handle = server
        self._server_address = f"hf://{self.replica_rank}"


def _actor_name(rank: int, suffix: str = "") -> str:
    return f"hf_server_{rank}{suffix}"


class HFAdapter(BaseRollout):  # type: ignore[misc]
    """The trainer's side: hands the weights of each rank's replica over."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1):
        super().__init__(config, model_config, device_mesh)
        size = self.config.tensor_model_parallel_size * self.config.data_parallel_size
        rank = int(os.environ["RANK"])
        self._replica = rank // size if replica_rank == -1 else replica_rank
        self._speaks = rank % size == 0
        self._found: Any = None

    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...

    @torch.no_grad()  # type: ignore[untyped-decorator]
    async def update_weights(
        self,
        weights: Any,
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **_: Any,
    ) -> None:
        from verl.workers.rollout.utils import ensure_async_iterator

        if wire_format != "named_tensors":
            raise ValueError(f"rollouts by generate take named tensors, not {wire_format}")
        limit = self.config.checkpoint_engine.update_weights_bucket_megabytes * 2**20
        async for bucket in _buckets(ensure_async_iterator(weights), limit):
            if (
                self._speaks
            ):  # all ranks must walk through the weights: they are gathered on the way
                await self._server.update_weights.remote(bucket)
        if self._speaks and global_steps is not None:
            await self._server.set_global_steps.remote(global_steps)

    @property
    def _server(self) -> Any:
        if self._found is None:
            self._found = ray.get_actor(_actor_name(self._replica))
        return self._found


async def _buckets(
    weights: AsyncIterator[tuple[str, torch.Tensor]], limit: int
) -> AsyncIterator[list[tuple[str, torch.Tensor]]]:
    """Weights on the CPU, in lists of about `limit` bytes."""
    bucket: list[tuple[str, torch.Tensor]] = []
    size = 0
    async for name, weight in weights:
        bucket.append((name, weight.detach().cpu()))
        size += weight.nbytes
        if size > limit:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket


RolloutReplicaRegistry.register(NAME, lambda: HFReplica)
base._ROLLOUT_REGISTRY[(NAME, "async")] = f"{__name__}.{HFAdapter.__name__}"
if get_platform().device_name == "cpu":
    from scalevqa_train.cpu import engine  # noqa: F401  (registers itself)
