"""Presets, and verl's configuration composed without starting anything (needs verl's files)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace as Table
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalevqa_eval.errors import UsageError
from scalevqa_train import preflight
from scalevqa_train.settings import (
    GRPO,
    SFT,
    Setting,
    compose,
    load_preset,
    merge,
    nearest_key,
    parse_override,
    preset_names,
    quote,
)


def values(name: str) -> dict[str, Any]:
    return {setting.name: setting.value for setting in load_preset(name).settings}


def test_the_published_hyperparameters() -> None:
    preset = values("scalereasoner")
    expected = {
        "actor_rollout_ref.rollout.n": 5,
        "trainer.total_epochs": 5,
        "data.train_batch_size": 32,
        "data.max_prompt_length": 5120,
        "data.max_response_length": 4096,
        "actor_rollout_ref.actor.kl_loss_coef": 0.01,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.fsdp_config.model_dtype": "bf16",
    }
    assert {key: preset[key] for key in expected} == expected
    sft = values("sft-scalereasoner")
    assert (sft["model.lora_rank"], sft["model.lora_alpha"], sft["optim.lr"]) == (8, 16, 1e-4)
    assert (sft["optim.lr_scheduler_type"], sft["optim.lr_warmup_steps_ratio"]) == ("cosine", 0.1)
    assert sft["trainer.total_epochs"] == 10


def test_every_setting_has_a_source() -> None:
    for name in preset_names():
        for setting in load_preset(name).settings:
            assert setting.source.strip()


def test_a_preset_can_extend_another(tmp_path: Path) -> None:
    assert load_preset("grounded").reward == "grounded"
    assert values("grounded")["data.train_batch_size"] == 32
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntitle: Mine\nextends: grounded\n"
        "settings: [{key: data.train_batch_size, value: 8, source: me}]\n"
    )
    mine = load_preset(str(file))
    assert mine.reward == "grounded"
    assert values(str(file))["data.train_batch_size"] == 8
    for bad in ("name: x", "[", "- 1", "{name: a, title: b, settings: [{key: c}]}"):
        file.write_text(bad)
        with pytest.raises(UsageError, match="no preset"):
            load_preset(str(file))
    with pytest.raises(UsageError, match="scalereasoner"):
        load_preset("scalereasonner")


def test_later_layers_win_whatever_their_plus() -> None:
    layers = ([Setting("+a.b", 1, "x"), Setting("c", 2, "x")], [Setting("a.b", 3, "y")])
    assert [(s.key, s.value) for s in merge(*layers)] == [("c", 2), ("a.b", 3)]


def test_overrides() -> None:
    assert parse_override("a.b=[1,2]").override == "a.b=[1,2]"
    assert parse_override("+a.b=x=y").override == "+a.b=x=y"
    for bad in ("a.b", "=3", "a b=3", "~a.b=1", "--model=x"):
        with pytest.raises(UsageError, match="key=value"):
            parse_override(bad)


def test_nearest_keys() -> None:
    known = ["trainer.total_epochs", "actor.optim.lr", "critic.optim.lr", "data.seed"]
    assert nearest_key("trainer.total_epoch", known) == "trainer.total_epochs"
    assert nearest_key("actor.lr", known) == "actor.optim.lr"
    assert nearest_key("xyzzy", known) is None


plain = st.none() | st.booleans() | st.integers() | st.text("ab c,=[]{}:'\"\\$/é", max_size=12)


@given(plain | st.lists(plain, max_size=3))
def test_quoted_values_survive_hydra(value: object) -> None:
    parser = pytest.importorskip(
        "hydra.core.override_parser.overrides_parser", reason="the train environment is needed"
    )
    override = parser.OverridesParser.create().parse_override(f"key={quote(value)}")
    assert _plain(override.value()) == value


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.text if hasattr(value, "text") else value


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("trainer.total_epoch=3", r"did you mean trainer\.total_epochs\?"),
        ("actor_rollout_ref.actor.lr=1", r"did you mean actor_rollout_ref\.actor\.optim\.lr\?"),
        ("custom_reward_function.path=x", r"write reward\.custom_reward_function\.path"),
        ("+trainer.nnodes=2", "without the"),
        ("trainer.foo=1", r"write \+trainer\.foo"),
        ("trainer.nnodes=[", "no setting"),
    ],
)
def test_wrong_keys_are_told_at_once(override: str, hint: str) -> None:
    pytest.importorskip("verl", reason="the train environment is needed")
    settings = merge(load_preset("scalereasoner").settings, [parse_override(override)])
    with pytest.raises(UsageError, match=hint):
        compose(GRPO, settings)


def test_all_presets_are_verls() -> None:
    pytest.importorskip("verl", reason="the train environment is needed")
    for name in preset_names():
        preset = load_preset(name)
        config = compose(GRPO if preset.reward else SFT, preset.settings)
        assert config.trainer.total_epochs in (5, 10)


def config(**changes: Any) -> Any:
    sizes = {"batch": 32, "n": 5, "ranks": 8, "actor": 4, "logp": 10, "epochs": 5, **changes}
    passes = Table(log_prob_micro_batch_size_per_gpu=sizes["logp"], log_prob_use_dynamic_bsz=False)
    actor = Table(
        use_dynamic_bsz=False,
        ppo_mini_batch_size=sizes["batch"],
        ppo_micro_batch_size_per_gpu=sizes["actor"],
    )
    rollout = Table(n=sizes["n"], **vars(passes))
    return Table(
        actor_rollout_ref={"actor": actor, "rollout": rollout, "ref": passes},
        data=Table(train_batch_size=sizes["batch"]),
        trainer=Table(
            nnodes=1,
            n_gpus_per_node=sizes["ranks"],
            total_epochs=sizes["epochs"],
            total_training_steps=None,
        ),
    )


def test_sizes_that_verl_fails_on_later() -> None:
    assert preflight.check_batches(config(), 4_685) == 730
    with pytest.raises(UsageError, match=r"rollout\.log_prob_micro_batch_size_per_gpu=8 does"):
        preflight.check_batches(config(logp=8), 4_685)
    with pytest.raises(UsageError, match="ppo_micro_batch_size_per_gpu=3"):
        preflight.check_batches(config(actor=3), 4_685)
    with pytest.raises(UsageError, match="do not fill one batch of 32"):
        preflight.check_batches(config(), 31)
    with pytest.raises(UsageError, match="do not divide among 7"):
        preflight.check_batches(config(ranks=7), 4_685)


def test_models_without_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model directory"):
        preflight.check_model("./nowhere")
    assert preflight.check_model("Qwen/Qwen2.5-VL-7B-Instruct") is None
    with pytest.raises(UsageError, match=r"config\.json"):
        preflight.check_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": {}}))
    with pytest.raises(UsageError, match="no processor"):
        preflight.check_model(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(UsageError, match="no weights"):
        preflight.check_model(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert preflight.check_model(str(tmp_path)) == tmp_path
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="no vision-language model"):
        preflight.check_model(str(tmp_path))


def test_a_full_disk_is_seen_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"dtype": "bfloat16"}')
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.truncate(2**43)  # a sparse file: a model of terabytes
    with pytest.raises(UsageError, match="a checkpoint needs about"):
        preflight.check_space(tmp_path, tmp_path, "bf16")
    preflight.check_space(tmp_path, None, "bf16")


def test_no_gpu() -> None:
    with pytest.raises(UsageError, match="gpu or cpu"):
        preflight.check_device("tpu", 1, 1)
    preflight.check_device("cpu", 1, 1)
    torch = pytest.importorskip("torch", reason="the train environment is needed")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cpu"):
            preflight.check_device("gpu", 1, 1)
