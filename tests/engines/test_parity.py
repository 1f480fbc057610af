"""hf/ and vllm/ on a Llama-type tokenizer whose template leaves the begin token out (LLaVA-1.5).

More families: tests/performance/engine_parity.py, whose table is in docs/engines.md.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_families
from conftest import TINY
from engine_prompts import (
    ask_all,
    assert_agree,
    assert_same_logprobs,
    image_set_prompts,
    make_prompt,
    picture,
)

from scalevqa_eval.errors import UsageError

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_llava.py"


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_families.llava15(tmp_path_factory.mktemp("family") / "llava15"))


def test_begin_token_and_letters_are_the_same(llava: str, opened: Callable[..., Any]) -> None:
    hf, vllm = opened(f"hf/{llava}"), opened(f"vllm/{llava}", **TINY)
    prompts = [*image_set_prompts(4), make_prompt(90)]
    assert_agree("vllm", ask_all(vllm, prompts), ask_all(hf, prompts))
    letters = image_set_prompts(2, logprobs=True)
    assert_same_logprobs(ask_all(vllm, letters), ask_all(hf, letters))
    only = image_set_prompts(2, letters_only=True)
    assert [r.text for r in ask_all(vllm, only)] == [r.text for r in ask_all(hf, only)]


def test_the_bare_token_counts(llava: str, opened: Callable[..., Any]) -> None:
    """Against the whole vocabulary, by what each token decodes to."""
    import torch

    model = opened(f"hf/{llava}")
    prompt = make_prompt(1, [picture(1)], logprobs=True)
    (reply,) = ask_all(model, [prompt])
    engine = model.engine
    with torch.inference_mode():
        inputs = engine._on_device(engine.processor.prepare([prompt]).inputs)
        row = engine._model(**inputs).logits[0, -1].float().log_softmax(-1)
    for letter, value in reply.logprobs.items():
        spelled = [
            number
            for token, number in engine._tokenizer.get_vocab().items()
            if engine._tokenizer.decode([number]).strip() == letter
        ]
        assert len(spelled) >= 2
        assert value == pytest.approx(float(row[spelled].logsumexp(0)), abs=1e-4)


def test_a_model_of_another_class_is_shown_images(
    tmp_path: Path, opened: Callable[..., Any]
) -> None:
    """Phi-4-multimodal is no AutoModelForImageTextToText, and its template reads text alone."""
    model = opened(f"hf/{tiny_families.phi4(tmp_path / 'phi4')}")
    assert model.capabilities.max_images is None
    one, other, none = ask_all(
        model,
        [
            make_prompt(1, [picture(1)], logprobs=True),
            make_prompt(1, [picture(2)], logprobs=True),
            make_prompt(1, logprobs=True),
        ],
    )
    assert len({str(reply.logprobs) for reply in (one, other, none)}) == 3


def test_code_of_a_checkpoint_runs_if_asked_for(
    llava: str, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    directory = Path(shutil.copytree(llava, tmp_path / "own"))
    (directory / "own.py").write_text(
        "from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor\n"
        "class OwnConfig(LlavaConfig):\n    model_type = 'own_vlm'\n"
        "class OwnModel(LlavaForConditionalGeneration):\n    config_class = OwnConfig\n"
        "class OwnProcessor(LlavaProcessor):\n    pass\n"
    )
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    _change(directory / "config.json", model_type="own_vlm", auto_map=classes)
    _change(directory / "processor_config.json", auto_map={"AutoProcessor": "own.OwnProcessor"})
    _rename(directory, (r"^language_model\.lm_head", "lm_head"))
    with pytest.raises(UsageError, match="Please pass the argument `trust_remote_code=True`"):
        opened(f"hf/{directory}")
    own = opened(f"hf/{directory}", trust_remote_code=True)
    prompts = [*image_set_prompts(2), make_prompt(90)]
    assert_agree("own", ask_all(own, prompts), ask_all(opened(f"hf/{llava}"), prompts))


@pytest.mark.parametrize("tower_stored", [True, False])
def test_original_llava_is_converted(
    llava: str, tmp_path: Path, opened: Callable[..., Any], tower_stored: bool
) -> None:
    from transformers import CLIPImageProcessor, LlavaForConditionalGeneration

    tower, original, converted = (tmp_path / name for name in ("clip", "original", "converted"))
    LlavaForConditionalGeneration.from_pretrained(llava).model.vision_tower.save_pretrained(tower)
    side = {"height": 56, "width": 56}
    CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=side).save_pretrained(tower)
    shutil.copytree(llava, original)
    for name in ("processor_config.json", "generation_config.json"):
        (original / name).unlink()
    _rename(
        original,
        (r"^multi_modal_projector\.linear_1", "model.mm_projector.0"),
        (r"^multi_modal_projector\.linear_2", "model.mm_projector.2"),
        (r"^vision_tower\.", "model.vision_tower." if tower_stored else "dropped."),
        (r"^language_model\.", ""),
    )  # fmt: skip
    config = original / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text())["text_config"]))
    _change(
        config, model_type="llava_llama", mm_vision_tower=str(tower),
        mm_vision_select_layer=-2, mm_projector_type="mlp2x_gelu",
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"scripts/convert_llava\.py"):
        opened(f"hf/{original}")
    subprocess.run([sys.executable, SCRIPT, original, converted], check=True)
    letters = image_set_prompts(2, logprobs=True)
    expected = ask_all(opened(f"hf/{llava}"), letters)
    assert_same_logprobs(ask_all(opened(f"hf/{converted}"), letters), expected)


def _change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def _rename(directory: Path, *changes: tuple[str, str]) -> None:
    """Weights by other names; those that are called `dropped` are left out."""
    from safetensors.torch import load_file, save_file

    weights = load_file(directory / "model.safetensors")
    for before, after in changes:
        weights = {re.sub(before, after, key): value for key, value in weights.items()}
    kept = {key: value for key, value in weights.items() if not key.startswith("dropped")}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})
