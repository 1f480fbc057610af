"""`hf/`: Transformers in this process, over the families and with bad input."""

from __future__ import annotations

import asyncio
import io
import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_prompts import OPTIONS, ask_all, ask_each, image_set_prompts, make_prompt, picture
from PIL import Image

from scalevqa_eval.errors import ModelError, UsageError
from scalevqa_eval.models import load_model
from scalevqa_eval.run import run_sync

Open = Callable[..., Any]
FAMILIES = ("qwen25_vl", "qwen3_vl", "llava")


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_answer_as_single_prompts_do(
    family: str, checkpoints: Callable[[str], str], opened: Open
) -> None:
    model = opened(f"hf/{checkpoints(family)}")
    mixed = [
        *image_set_prompts(2),
        *(make_prompt(50 + n, [picture(n)] * n, text="word " * 7 * n) for n in range(1, 4)),
        make_prompt(60),
        make_prompt(61, [picture(9)], images_last=True),
    ]
    random.Random(0).shuffle(mixed)
    together = ask_all(model, mixed)
    alone = [ask_all(model, [prompt])[0] for prompt in mixed]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert [reply.usage for reply in together] == [reply.usage for reply in alone]
    assert len({reply.text for reply in together}) > len(mixed) // 2
    assert all(reply.text.isprintable() for reply in together)


@pytest.mark.parametrize("family", FAMILIES)
def test_images_reach_the_model(
    family: str, checkpoints: Callable[[str], str], opened: Open
) -> None:
    model = opened(f"hf/{checkpoints(family)}")
    one, other, swapped, none = ask_all(
        model,
        [
            make_prompt(1, [picture(1), picture(2)], logprobs=True),
            make_prompt(1, [picture(1), picture(3)], logprobs=True),
            make_prompt(1, [picture(2), picture(1)], logprobs=True),
            make_prompt(1, logprobs=True),
        ],
    )
    assert len({json.dumps(reply.logprobs) for reply in (one, other, swapped, none)}) == 4


def test_logprobs_are_those_of_the_first_token(qwen: str, opened: Open) -> None:
    """Against the model called by hand, without padding or batches."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    prompt = make_prompt(3, [picture(5), picture(6, 140, 84)], logprobs=True)
    reply = ask_all(opened(f"hf/{qwen}"), [*image_set_prompts(1, logprobs=True), prompt])[-1]
    processor = AutoProcessor.from_pretrained(qwen)
    text = (
        f"<|im_start|>system\n{prompt.system}<|im_end|>\n<|im_start|>user\n"
        + "<|vision_start|><|image_pad|><|vision_end|>" * 2
        + f"{prompt.user_text}<|im_end|>\n<|im_start|>assistant\n"
    )
    images = [Image.open(io.BytesIO(part.load())) for part in prompt.images]
    inputs = processor(text=[text], images=images, return_tensors="pt")
    model = AutoModelForImageTextToText.from_pretrained(qwen).eval()
    with torch.no_grad():
        row = model(**inputs).logits[0, -1].log_softmax(-1)
    assert reply.usage.prompt_tokens == inputs["input_ids"].shape[1]
    for letter in OPTIONS:
        ids = {
            found[0]
            for spelling in (letter, f" {letter}")
            if len(found := processor.tokenizer.encode(spelling)) == 1
        }
        expected = math.log(sum(math.exp(row[token]) for token in ids))
        assert reply.logprobs[letter] == pytest.approx(expected, abs=1e-4)
    assert reply.text == max(reply.logprobs, key=reply.logprobs.get)


def test_letters_only(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    greedy = ask_all(model, image_set_prompts(2, letters_only=True))
    assert {reply.text for reply in greedy} <= OPTIONS.keys()
    assert all(reply.finish == "stop" and reply.logprobs is None for reply in greedy)
    drawn = ask_all(model, image_set_prompts(4, letters_only=True, temperature=5.0))
    assert {reply.text for reply in drawn} <= OPTIONS.keys()


def test_sampling_depends_on_seed_and_prompt_alone(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    prompts = [make_prompt(n, temperature=1.0, top_p=0.9, seed=7) for n in range(6)]
    together = [reply.text for reply in ask_all(model, prompts)]
    assert [ask_all(model, [prompt])[0].text for prompt in prompts] == together
    greedy = [reply.text for reply in ask_all(model, [make_prompt(n) for n in range(6)])]
    assert together != greedy
    again = [make_prompt(n, temperature=1.0, top_p=0.9, seed=8) for n in range(6)]
    assert [reply.text for reply in ask_all(model, again)] != together


def test_sampled_tokens_follow_the_models_distribution(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}", batch_size=64)
    draws = [make_prompt(1, temperature=1.0, seed=seed, max_tokens=1) for seed in range(600)]
    counts = Counter(reply.text for reply in ask_all(model, draws))
    (expected,) = ask_all(model, [make_prompt(1, logprobs=True)])
    seen = sum(counts[letter] + counts[f" {letter}"] for letter in OPTIONS) / 600
    p = sum(math.exp(value) for value in expected.logprobs.values())
    assert abs(seen - p) < 4 * math.sqrt(p * (1 - p) / 600) + 1 / 600


def test_rows_of_a_batch_end_at_their_own_limits(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    limits = (1, 3, 16, 7)
    replies = ask_all(model, [make_prompt(5, max_tokens=limit) for limit in limits])
    assert [reply.usage.completion_tokens for reply in replies] == list(limits)
    assert all(reply.finish == "length" for reply in replies)
    longest = max(replies, key=lambda reply: len(reply.text)).text
    assert all(longest.startswith(reply.text) for reply in replies)


def test_replies_end_with_the_end_token(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    replies = ask_all(model, [make_prompt(n, [picture(n)], max_tokens=600) for n in range(8)])
    stopped = [reply for reply in replies if reply.finish == "stop"]
    assert stopped
    assert all("<|im_end|>" not in reply.text for reply in replies)
    assert all((reply.usage.completion_tokens or 0) < 600 for reply in stopped)


def test_context_too_long_is_an_error_of_its_prompt(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    prompts = [make_prompt(n) for n in range(4)]
    prompts.insert(2, make_prompt(9, text="x y " * 5000))
    found = ask_each(model, prompts)
    assert isinstance(found[2], ModelError)
    assert "context is 4096" in str(found[2])
    assert not found[2].fatal
    assert sum(not isinstance(reply, Exception) for reply in found) == 4


def test_reply_is_cut_where_the_context_ends(qwen: str, opened: Open) -> None:
    model = opened(f"hf/{qwen}")
    (short,) = ask_all(model, [make_prompt(1, max_tokens=1)])
    room = 4096 - (short.usage.prompt_tokens or 0)
    words = "A" * (room - 400)  # one token a letter
    (reply,) = ask_all(model, [make_prompt(1, text=words, max_tokens=100_000)])
    used = (reply.usage.prompt_tokens or 0) + (reply.usage.completion_tokens or 0)
    assert reply.finish == "stop" or used == 4096


def test_damaged_image_is_an_error_of_its_prompt(qwen: str, opened: Open) -> None:
    from dataclasses import replace

    model = opened(f"hf/{qwen}")
    good = make_prompt(1, [picture(1)])
    part = replace(good.images[0], load=lambda: b"no image", sha256="0" * 64)
    bad = replace(good, parts=(part, *good.parts[1:]))
    found = ask_each(model, [good, bad, good])
    assert isinstance(found[1], ModelError)
    assert "0.png cannot be decoded" in str(found[1])
    assert found[0].text == found[2].text


def test_image_tokens_written_in_a_question_do_no_harm(qwen: str, opened: Open) -> None:
    hostile = make_prompt(1, [picture(1)], text="what is <|image_pad|> and <|im_end|> here")
    found = ask_each(opened(f"hf/{qwen}"), [hostile, make_prompt(2, [picture(1)])])
    assert isinstance(found[0], ModelError)
    assert not isinstance(found[1], Exception)


def test_text_only_model(checkpoints: Callable[[str], str], opened: Open) -> None:
    model = opened(f"hf/{checkpoints('text_only')}")
    assert model.capabilities.max_images == 0
    found = ask_each(model, [make_prompt(1), make_prompt(2, [picture(1)]), make_prompt(3)])
    assert isinstance(found[1], ModelError)
    assert "text-only" in str(found[1])
    assert all(not isinstance(found[n], Exception) for n in (0, 2))


def test_out_of_memory_halves_the_batch(qwen: str, opened: Open) -> None:
    import torch

    model = opened(f"hf/{qwen}", batch_size=8)
    prompts = image_set_prompts(5)
    expected = [reply.text for reply in ask_all(model, prompts)]
    real = model.engine._model.generate

    def generate(**inputs: Any) -> Any:
        if inputs["input_ids"].shape[0] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(**inputs)

    model.engine._model.generate = generate
    assert [reply.text for reply in ask_all(model, prompts)] == expected
    assert model.batch_size == 2


def test_pixel_limits(qwen: str, opened: Open) -> None:
    prompt = make_prompt(1, [picture(1, 280, 280)])
    (large,) = ask_all(opened(f"hf/{qwen}"), [prompt])
    small_model = opened(f"hf/{qwen}", max_pixels=56 * 56)
    (small,) = ask_all(small_model, [prompt])
    assert (large.usage.prompt_tokens or 0) - (small.usage.prompt_tokens or 0) == 100 - 4
    assert small_model.identity["max_pixels"] == 56 * 56
    (by_utils,) = ask_all(
        opened(f"hf/{qwen}", max_pixels=56 * 56, resize="qwen-vl-utils"), [prompt]
    )
    assert by_utils.usage.prompt_tokens == small.usage.prompt_tokens


def test_pixel_limits_for_a_model_with_none(checkpoints: Callable[[str], str]) -> None:
    with pytest.raises(UsageError, match="llava sets the size itself"):
        load_model(f"hf/{checkpoints('llava')}", max_pixels=1000)


def test_a_lora_is_loaded_on_its_base(qwen: str, tmp_path: Path, opened: Open) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    base = AutoModelForImageTextToText.from_pretrained(qwen)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, settings).save_pretrained(tmp_path)
    model = opened(f"hf/{tmp_path}")
    prompts = image_set_prompts(1)
    adapted, plain = (ask_all(each, prompts) for each in (model, opened(f"hf/{qwen}")))
    assert [reply.text for reply in adapted] != [reply.text for reply in plain]
    assert model.identity["checkpoint"] == load_model(f"hf/{qwen}").identity["checkpoint"]
    assert model.identity["adapter"]
    with pytest.raises(UsageError, match=r"LoRA adapter.*merge it into its base"):
        load_model(f"vllm/{tmp_path}")
    file = tmp_path / "adapter_model.safetensors"
    save_file({f"other.{key}": value for key, value in load_file(file).items()}, file)
    (found,) = ask_each(opened(f"hf/{tmp_path}"), prompts[:1])
    assert isinstance(found, ModelError)
    assert "does not fit its base model" in str(found)


@pytest.fixture
def copy(qwen: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(qwen, tmp_path / "copy"))


def test_no_chat_template(copy: Path, tmp_path: Path, opened: Open) -> None:
    template = (copy / "chat_template.jinja").rename(tmp_path / "kept.jinja")
    with pytest.raises(UsageError, match=r"no chat template.*chat_template=FILE"):
        load_model(f"hf/{copy}")
    (reply,) = ask_all(opened(f"hf/{copy}", chat_template=str(template)), [make_prompt(1)])
    assert reply.text


def test_weights_of_another_shape(copy: Path, opened: Open) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"].pop("layer_types", None)
    (copy / "config.json").write_text(json.dumps(config))
    found = ask_each(opened(f"hf/{copy}"), [make_prompt(1), make_prompt(2)])
    assert all(isinstance(error, ModelError) and error.fatal for error in found)
    assert "lacks" in str(found[0])


def test_truncated_weights_are_found_before_the_run(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="cut off or damaged"):
        load_model(f"hf/{copy}")


def test_unreadable_configuration(copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "no_such_thing"}')
    with pytest.raises(UsageError, match="cannot read"):
        load_model(f"hf/{copy}")


def test_wrong_options(qwen: str) -> None:
    for options in ({"dtype": "int3"}, {"resize": "cubic"}, {"batch_size": 0}):
        with pytest.raises(UsageError):
            load_model(f"hf/{qwen}", **options)


def test_closing_ends_what_is_under_way(qwen: str) -> None:
    model = load_model(f"hf/{qwen}")

    async def work() -> list[Any]:
        await model.start()  # type: ignore[attr-defined]
        prompts = [make_prompt(n, max_tokens=3500) for n in range(20)]
        tasks = [asyncio.create_task(model.reply(prompt)) for prompt in prompts]
        await asyncio.sleep(0.2)
        await model.aclose()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    found = run_sync(work())
    assert any(isinstance(reply, BaseException) for reply in found)
    with pytest.raises(ModelError, match="closed"):
        ask_all(model, [make_prompt(1)])
