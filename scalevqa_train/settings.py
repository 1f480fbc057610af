"""verl's settings: presets with their sources, composed and checked before anything starts.

verl is configured by Hydra. A composition in this process takes about a second, needs neither
torch nor Ray, and finds every misspelt key; verl itself would find it after its start, or never
(it passes over a top-level `custom_reward_function` without a word).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path
from typing import Any

from scalevqa_eval.errors import DataError, MissingExtra, UsageError

GRPO, SFT = "ppo_trainer", "sft_trainer_engine"

# Keys of older versions and of the published script → where verl 0.9.1 reads them.
MOVED: Mapping[str, str] = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_manager": "reward.reward_manager",
    "reward_model": "reward.reward_model",
    "actor_rollout_ref.rollout.update_weights_bucket_megabytes": (
        "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes"
    ),
    "actor_rollout_ref.rollout.engine_kwargs.vllm.disable_mm_preprocessor_cache": (
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.mm_processor_cache_gb=0"
    ),
}
_KEY = re.compile(r"(\+{0,2})([A-Za-z_][\w@./-]*)\Z")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of verl, its value, and where the value comes from. `key` may begin with `+`."""

    key: str
    value: Any
    source: str

    @property
    def name(self) -> str:
        return self.key.lstrip("+")

    @property
    def override(self) -> str:
        return f"{self.key}={quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    title: str
    reward: str | None
    settings: tuple[Setting, ...]


def preset_names() -> tuple[str, ...]:
    """The built-in presets."""
    folder = resources.files("scalevqa_train") / "presets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_preset(name: str) -> Preset:
    """A built-in preset by name, or a user's own YAML file. Raises UsageError."""
    from scalevqa_eval.data import read_yaml

    file: Any = Path(name)
    if name in preset_names():
        file = resources.files("scalevqa_train") / "presets" / f"{name}.yaml"
    elif not file.is_file():
        raise UsageError(
            f"no preset {name!r}: {', '.join(preset_names())}, or the path of a YAML file"
        )
    try:
        data = read_yaml(file.read_text("utf-8"), name, "preset")
        base = load_preset(data["extends"]) if "extends" in data else None
        own = tuple(
            Setting(str(row["key"]), row["value"], str(row["source"])) for row in data["settings"]
        )
        return Preset(
            name=str(data["name"]),
            title=str(data["title"]),
            reward=data.get("reward", base.reward if base else None),
            settings=merge(base.settings if base else (), own),
        )
    except (DataError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} is no preset: {type(error).__name__} {error}") from error


def parse_override(text: str) -> Setting:
    """`key=value` from a command line; the value is kept as Hydra's own text."""
    key, equals, value = text.partition("=")
    if not equals or not _KEY.match(key):
        raise UsageError(
            f"a setting of verl is key=value, such as trainer.total_epochs=3: {text!r}"
        )
    return Setting(key, Verbatim(value), "command line")


class Verbatim(str):
    """Text that is already in Hydra's notation."""

    __slots__ = ()


def merge(*layers: Iterable[Setting]) -> tuple[Setting, ...]:
    """Settings of all layers; a later one replaces an earlier one of the same key."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        for setting in layer:
            merged.pop(setting.name, None)
            merged[setting.name] = setting
    return tuple(merged.values())


def quote(value: Any) -> str:
    """A value in Hydra's notation: paths with spaces, commas or equal signs stay whole."""
    if isinstance(value, Verbatim):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(quote(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{quote(item)}" for key, item in value.items()) + "}"
    # Hydra reads a backslash as one, except before a quote.
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(value))
    text = re.sub(r"(\\+)\Z", r"\1\1", text)
    return f"'{text}'"


def compose(root: str, settings: Iterable[Setting]) -> Any:
    """verl's configuration `root` with these settings, as an OmegaConf object.

    Raises UsageError for a key that verl does not have (with the nearest one), a `+` too many,
    and a value that is no Hydra value; MissingExtra without verl.
    """
    try:
        from hydra import compose as hydra_compose
        from hydra import initialize_config_dir
        from hydra.core.global_hydra import GlobalHydra
        from hydra.errors import ConfigCompositionException, OverrideParseException
    except ImportError:
        raise MissingExtra("scalevqa train", "train") from None

    listed = list(settings)
    with initialize_config_dir(config_dir=str(_config_directory()), version_base=None):
        known = sorted(flatten(hydra_compose(config_name=root)))
        for setting in listed:
            _check_key(setting, known)
        try:
            return hydra_compose(config_name=root, overrides=[s.override for s in listed])
        except OverrideParseException as error:
            raise UsageError(
                f"{error.override} is no setting of verl: {str(error).splitlines()[0]}"
            ) from error
        except ConfigCompositionException as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UsageError(f"verl's configuration cannot be composed: {reason}") from error
        finally:
            GlobalHydra.instance().clear()


def _config_directory() -> Path:
    """verl's own configuration files, found without importing verl (which takes seconds)."""
    spec = util.find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("scalevqa train", "train")
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key → value, for all leaves and all groups of an OmegaConf object."""
    from omegaconf import DictConfig, OmegaConf

    flat: dict[str, Any] = {}
    for key in config:
        value = None if OmegaConf.is_missing(config, key) else config._get_node(key)
        flat[f"{prefix}{key}"] = value
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation():
            flat |= flatten(value, f"{prefix}{key}.")
    return flat


def _check_key(setting: Setting, known: list[str]) -> None:
    name, plus = setting.name, setting.key[: len(setting.key) - len(setting.name)]
    for old, new in MOVED.items():
        if name == old or name.startswith(f"{old}."):
            moved = new if new.startswith("+") else new + name.removeprefix(old)
            raise UsageError(f"verl 0.9.1 does not read {name}: write {moved}")
    if name in known:
        if plus == "+":
            raise UsageError(f"{name} is a setting that verl has: write it without the +")
        return
    parent = name.rpartition(".")[0]
    if plus and (parent in known or _is_free(parent, known)):
        return
    near = nearest_key(name, known)
    hint = f"did you mean {near}?" if near else "`--dry-run` prints all that there are"
    if not plus and parent in known and near is None:
        hint = f"if a new key is meant, write +{name}"
    raise UsageError(f"verl has no setting {name}: {hint}")


def _is_free(parent: str, known: list[str]) -> bool:
    """Whether an ancestor is a table into which users may put what they like."""
    free = ("engine_kwargs", "reward_kwargs", "override_config", "ray_init", "mixed_precision")
    parts = parent.split(".")
    return any(part in free for part in parts) and ".".join(parts[:1]) in known


def nearest_key(name: str, known: list[str]) -> str | None:
    """The key that was probably meant: by spelling, else by its last part."""
    last = name.rpartition(".")[2]
    lasts = sorted({key.rpartition(".")[2] for key in known})
    close = difflib.get_close_matches(last, lasts, 3, cutoff=0.7)
    candidates = [key for key in known if key.rpartition(".")[2] in close]
    if not candidates:
        return None
    return max(candidates, key=lambda key: difflib.SequenceMatcher(None, key, name).ratio())


def resolved(config: Any) -> dict[str, Any]:
    """The configuration as JSON values, for the run's record."""
    from omegaconf import OmegaConf

    container = OmegaConf.to_container(config, resolve=False)
    data: dict[str, Any] = json.loads(json.dumps(container, default=str))
    return data
