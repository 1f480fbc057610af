"""Ways to answer without the images, by name.

A rule looks at the options; a learned probe is trained on other questions of the benchmark. To
add one, add it to RULES or LEARNED, or pass it to `register`.
"""

from __future__ import annotations

from scalevqa_eval.audit.probes.learned import LEARNED, Fitter, KernelProbe, Learned
from scalevqa_eval.audit.probes.rules import RULES, Rule

_KNOWN: tuple[Rule | Learned, ...] = (*RULES, *LEARNED)
PROBES: dict[str, Rule | Learned] = {probe.name: probe for probe in _KNOWN}


def register(probe: Rule | Learned) -> None:
    """Make a probe part of every audit from now on; its name must be new."""
    if probe.name in PROBES or probe.name == "stack":
        raise ValueError(f"there is a probe {probe.name!r} already")
    PROBES[probe.name] = probe


def rules() -> list[Rule]:
    return [probe for probe in PROBES.values() if isinstance(probe, Rule)]


def learned() -> list[Learned]:
    return [probe for probe in PROBES.values() if not isinstance(probe, Rule)]


__all__ = ["PROBES", "Fitter", "KernelProbe", "Learned", "Rule", "learned", "register", "rules"]
