"""hf/ and vllm/ on a Llama-type tokenizer whose template leaves the begin token out (LLaVA-1.5).

More families: tests/performance/engine_parity.py, whose table is in docs/engines.md.
"""

from __future__ import annotations

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
        inputs = engine._on_device(engine.prepare([prompt]))
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
