"""The CPU as a platform of verl: an accelerator's interface with nothing behind it."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed
from verl.plugin.platform import PlatformBase, PlatformRegistry

from scalevqa_train.cpu.plugin import PLATFORM

_CPU = torch.device("cpu")


class _Stream:
    """A stream or an event: all work on a CPU is in order, so there is nothing to wait for."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def _nothing(self, *_: Any, **__: Any) -> None: ...

    wait_stream = wait_event = record_event = record = synchronize = _nothing

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None: ...


def _device_module() -> types.ModuleType:
    """Stands where verl expects `torch.cuda`."""
    module = types.ModuleType("scalevqa_train.cpu.device")
    nothing = {
        *("synchronize", "empty_cache", "set_device", "ipc_collect", "manual_seed"),
        *("manual_seed_all", "set_per_process_memory_fraction", "reset_peak_memory_stats"),
        "set_rng_state",
    }
    zero = {
        *("memory_allocated", "memory_reserved"),
        *("max_memory_allocated", "max_memory_reserved"),
    }
    functions: dict[str, Any] = {
        **{name: lambda *_, **__: None for name in nothing},
        **{name: lambda *_, **__: 0 for name in zero},
        "is_available": lambda: False,  # then verl's helpers leave the device's part out
        "device_count": lambda: 1,
        "current_device": lambda: _CPU,
        "get_device_name": lambda *_: "cpu",
        "mem_get_info": lambda *_: (0, 0),
        "get_rng_state": torch.get_rng_state,
        "Stream": _Stream,
        "Event": _Stream,
        "stream": lambda *_: contextlib.nullcontext(),
        "current_stream": lambda *_: _Stream(),
    }
    for name, function in functions.items():
        setattr(module, name, function)
    return module


class CPUPlatform(PlatformBase):  # type: ignore[misc]
    """One device, no memory of its own, collectives by gloo."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def current_device(self) -> torch.device:
        return _CPU  # verl only hands it on to torch, which takes a device as well as a number

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"  # a number that Ray counts; grpo.py tells Ray how many there are

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


def register_platform() -> None:
    """Add the platform, and let process groups be made for it."""
    PlatformRegistry.register(platform=PLATFORM)(CPUPlatform)
    original = torch.distributed.init_process_group

    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        # verl asks for "cpu:gloo,<device>:<backend>", which torch refuses if the device is cpu.
        backend = "gloo" if backend == "cpu:gloo,cpu:gloo" else backend
        return original(backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group
