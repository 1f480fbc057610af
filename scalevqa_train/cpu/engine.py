"""verl's FSDP2 engine on a CPU. Importing this module registers it (`model.external_lib`)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from torch.distributed.fsdp import OffloadPolicy
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl


@EngineRegistry.register(model_type="language_model", backend=["fsdp2"], device=["cpu"])
class CPUEngine(transformer_impl.FSDPEngineWithLMHead):  # type: ignore[misc]
    """The reference policy of verl's engine is offloaded to pinned memory; a CPU has none."""

    def _build_fsdp_module(self, module: Any) -> Any:
        with patch.object(transformer_impl, "CPUOffloadPolicy", lambda **_: OffloadPolicy()):
            return super()._build_fsdp_module(module)
