"""Converts an original LLaVA checkpoint (LLaVA-1.5, Quilt-LLaVA, LLaVA-Med 1.5) for hf/ and vllm/.

    python scripts/convert_llava.py ORIGINAL CONVERTED

Both are directories; needs `pip install 'scalevqa-eval[hf]'` and the memory of the weights. The
vision tower's configuration is read from where `mm_vision_tower` of config.json says. Two layers
between tower and language model (`mlp2x_gelu`) are all that is known. The chat template is not
part of such a checkpoint: give the conversation that it was trained with.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPVisionModel,
    GenerationConfig,
    LlavaConfig,
    LlavaImageProcessor,
    LlavaProcessor,
)

original, converted = map(Path, sys.argv[1:])  # directories
old = json.loads((original / "config.json").read_text())
if old.get("mm_projector_type") != "mlp2x_gelu":
    sys.exit(f"the projector {old.get('mm_projector_type')} is not known: only mlp2x_gelu is")
state = {}
for file in original.glob("*.safetensors"):
    state |= load_file(file)
for file in original.glob("pytorch_model*.bin"):
    state |= torch.load(file, map_location="cpu", weights_only=True)
for before, after in (
    (r"^model\.vision_tower\.", ""),
    (r"^model\.mm_projector\.0", "multi_modal_projector.linear_1"),
    (r"^model\.mm_projector\.2", "multi_modal_projector.linear_2"),
    (r"^(model\.(embed_tokens|layers|norm)|lm_head)", r"language_model.\1"),
):
    state = {re.sub(before, after, key): value for key, value in state.items()}
tower = CLIPVisionModel.from_pretrained(old["mm_vision_tower"])
if not any(key.startswith("vision_tower.") for key in state):  # it was not trained, nor stored
    for key, value in tower.state_dict().items():
        state["vision_tower.vision_model." + key.removeprefix("vision_model.")] = value
tokenizer = AutoTokenizer.from_pretrained(original)
tokenizer.add_tokens("<image>", special_tokens=True)
image = tokenizer.convert_tokens_to_ids("<image>")
for key in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
    rows = state[key]
    more = rows.mean(0, keepdim=True).repeat(max(0, image + 1 - len(rows)), 1)
    state[key] = torch.cat([rows, more])
kind = "mistral" if "mistral" in old["model_type"] else "llama"
text = {key: value for key, value in old.items() if "mm_" not in key and key != "model_type"}
text["vocab_size"] = len(rows := state[key])
config = LlavaConfig(
    text_config=AutoConfig.for_model(kind, **text),
    vision_config=tower.config,
    image_token_index=image,
    vision_feature_layer=old["mm_vision_select_layer"],
    tie_word_embeddings=False,
    dtype=rows.dtype,
    architectures=["LlavaForConditionalGeneration"],
)
LlavaProcessor(
    LlavaImageProcessor.from_pretrained(
        old["mm_vision_tower"], do_pad=old.get("image_aspect_ratio") == "pad"
    ),
    tokenizer,
    patch_size=tower.config.patch_size,
    vision_feature_select_strategy="default",
    num_additional_image_tokens=1,
).save_pretrained(converted)
config.save_pretrained(converted)
GenerationConfig(eos_token_id=tokenizer.eos_token_id).save_pretrained(converted)
save_file(
    {key: value.to(rows.dtype).contiguous() for key, value in state.items()},
    converted / "model.safetensors",
    metadata={"format": "pt"},
)
