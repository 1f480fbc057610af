"""Tiny checkpoints with random weights, built in seconds and without a network.

The shapes are those of the real families, only small; vLLM on CPUs asks for heads of 32. The
vocabulary's rows for anything but printable ASCII are zero in the output layer, so that replies
are plain text whichever engine decodes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<image>",
)  # fmt: skip
_LINES = (
    "system user assistant You are a pathologist. Answer with one letter.",
    "Which finding do these images show? (A) tumour (B) stroma (C) necrosis (D) normal",
    "The answer is A. The answer is B. The answer is C. The answer is D. E F G H",
)
_IMAGE_TEXT = {
    "qwen": "<|vision_start|><|image_pad|><|vision_end|>",
    "llava": "<image>\n",
}


def chat_template(kind: str) -> str:
    """A ChatML template; `kind` ("qwen", "llava", "text") decides how an image is written."""
    if kind == "text":
        content = "{{ message.content }}"
    else:
        content = (
            "{% if message.content is string %}{{ message.content }}{% else %}"
            "{% for part in message.content %}"
            "{% if part.type == 'text' %}{{ part.text }}{% else %}"
            + _IMAGE_TEXT[kind]
            + "{% endif %}"
            "{% endfor %}{% endif %}"
        )
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        + content
        + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def tokenizer(kind: str) -> Any:
    """A byte-level BPE with ChatML's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384 - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(_LINES, trainer)
    tokens: dict[str, Any] = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 8192,
        "padding_side": "left",
    }
    if kind == "qwen":
        import json

        trained = json.loads(raw.to_str())["model"]
        made = Qwen2Tokenizer(
            vocab=trained["vocab"],
            merges=[tuple(pair) for pair in trained["merges"]],
            unk_token=None,
            bos_token=None,
            extra_special_tokens=list(SPECIAL),
            **tokens,
        )
    else:
        raw.add_special_tokens(list(SPECIAL))
        made = PreTrainedTokenizerFast(tokenizer_object=raw, **tokens)
    made.chat_template = chat_template(kind)
    return made


def plain_output(
    model: Any, tok: Any, directory: Path, end: str = "<|im_end|>", pad: str = "<|endoftext|>"
) -> Path:
    """Plain-text output rows, generation settings; saves the model."""
    import torch
    from transformers import GenerationConfig

    model = model.to(torch.float32).eval()
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head.normal_(0, 0.35)
        for token in range(head.shape[0]):
            text = tok.decode([token]) if token < len(tok) else ""
            added = token in tok.added_tokens_decoder
            plain = text.isascii() and text.isprintable() and text and not added
            if not (plain or token == tok.convert_tokens_to_ids(end)):
                head[token] = 0
    model.generation_config = GenerationConfig(
        eos_token_id=tok.convert_tokens_to_ids(end),
        pad_token_id=tok.convert_tokens_to_ids(pad),
        # Real checkpoints bring settings like these; the harness decodes greedily all the same.
        do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05,
    )  # fmt: skip
    model.save_pretrained(directory)
    return directory


_TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
    # Far above what training starts from: replies depend on the whole prompt, not on its end.
    "initializer_range": 0.15,
}  # fmt: skip


def qwen25_vl(directory: Path, seed: int = 0, **text: Any) -> Path:
    """A Qwen2.5-VL of 0.3 M parameters; `text` overrides its language model's shape."""
    return qwen25_vl_shaped(directory, {"text": text} if text else None, seed)


def qwen25_vl_shaped(directory: Path, shape: Any = None, seed: int = 0) -> Path:
    """A Qwen2.5-VL of any size: `shape` has changes of text, vision, sections and pixels.

    With a larger vocabulary than the tokenizer's it is saved as bfloat16, drawn on the GPU if
    there is one, and never ends a reply.
    """
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    shape = shape or {}
    tok = tokenizer("qwen")
    text = {"vocab_size": len(tok), **_TEXT, **shape.get("text", {})}
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2,
        "window_size": 112, "fullatt_block_indexes": [1], "patch_size": 14,
        "initializer_range": 0.1, **shape.get("vision", {}),
    }  # fmt: skip
    large = text["vocab_size"] > len(tok)
    config = Qwen2_5_VLConfig(
        text_config={
            **text,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6,
                "mrope_section": shape.get("sections", [4, 6, 6]),
            },
            **_token_ids(tok),
        },
        vision_config={**vision, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=False,
        **_vision_ids(tok),
    )  # fmt: skip
    _save_qwen_processor(tok, directory, 14, shape.get("pixels"))
    if not large:
        return plain_output(Qwen2_5_VLForConditionalGeneration(config), tok, directory)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():  # tokens that the tokenizer does not know, and the end, are never said
        head = model.get_output_embeddings().weight
        head[len(tok) :] = 0
        head[tok.convert_tokens_to_ids("<|im_end|>")] = 0
    model.save_pretrained(directory)
    return directory


def qwen3_vl(directory: Path) -> Path:
    """A Qwen3-VL of the same size."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    torch.manual_seed(0)
    tok = tokenizer("qwen")
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tok), **_TEXT, "head_dim": 32,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6],
                "mrope_interleaved": True,
            },
            **_token_ids(tok),
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2,
            "out_hidden_size": 64, "patch_size": 16, "deepstack_visual_indexes": [0],
            "num_position_embeddings": 256, "initializer_range": 0.1,
        },
        tie_word_embeddings=False,
        **_vision_ids(tok),
    )  # fmt: skip
    _save_qwen_processor(tok, directory, 16)
    return plain_output(Qwen3VLForConditionalGeneration(config), tok, directory)


def llava(directory: Path) -> Path:
    """A LLaVA 1.5: CLIP tower, Llama, 16 tokens an image."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(0)
    tok = tokenizer("llava")
    tower = CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2,
        image_size=56, patch_size=14, initializer_range=0.1,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=tower,
        text_config=LlamaConfig(vocab_size=len(tok), **_TEXT, **_token_ids(tok)),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    side = {"height": 56, "width": 56}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=side),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=tok.chat_template,
    ).save_pretrained(directory)
    return plain_output(LlavaForConditionalGeneration(config), tok, directory)


def text_only(directory: Path) -> Path:
    """A Qwen2 language model without eyes."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    tok = tokenizer("text")
    config = Qwen2Config(vocab_size=len(tok), **_TEXT, tie_word_embeddings=False, **_token_ids(tok))
    tok.save_pretrained(directory)
    return plain_output(Qwen2ForCausalLM(config), tok, directory)


def _token_ids(tok: Any) -> dict[str, Any]:
    end = tok.convert_tokens_to_ids("<|endoftext|>")
    return {
        "bos_token_id": end,
        "eos_token_id": tok.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": end,
    }


def _vision_ids(tok: Any) -> dict[str, int]:
    names = ("image_pad", "video_pad", "vision_start", "vision_end")
    fields = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = (tok.convert_tokens_to_ids(f"<|{name}|>") for name in names)
    return dict(zip(fields, ids, strict=True))


def _save_qwen_processor(tok: Any, directory: Path, patch: int, pixels: int | None = None) -> None:
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    unit = (2 * patch) ** 2
    size = {"shortest_edge": 4 * unit, "longest_edge": pixels or 256 * unit}
    shape: dict[str, Any] = {
        "patch_size": patch, "temporal_patch_size": 2, "merge_size": 2, "size": size,
    }  # fmt: skip
    old = patch == 14
    (Qwen2_5_VLProcessor if old else Qwen3VLProcessor)(
        image_processor=Qwen2VLImageProcessor(**shape),
        video_processor=(Qwen2VLVideoProcessor if old else Qwen3VLVideoProcessor)(**shape),
        tokenizer=tok,
        chat_template=tok.chat_template,
    ).save_pretrained(directory)
