"""Tiny random checkpoints of more families, each with a Llama-type tokenizer of its own.

SentencePiece spelling (`▁A` and `A` are two tokens), byte fallback, and a begin token that the
chat template does not write: what LLaVA-1.5 and Mistral have and Qwen has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tiny_models import _LINES, _TEXT, plain_output

BEGIN, END = "<s>", "</s>"


def llama_tokenizer(*special: str, image: str = "<image>", **extra: Any) -> Any:
    """A BPE in SentencePiece's spelling; each message is `role: text</s>`, without begin token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    first = ["<unk>", BEGIN, END, *(f"<0x{byte:02X}>" for byte in range(256))]
    alphabet = ["▁", *(chr(code) for code in range(33, 127))]
    raw.train_from_iterator(
        _LINES,
        trainers.BpeTrainer(
            vocab_size=len(first) + 180,
            special_tokens=first,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    raw.add_special_tokens([BEGIN, END, image, *special])
    raw.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, raw.token_to_id(BEGIN))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=BEGIN, eos_token=END, pad_token="<unk>", unk_token="<unk>",
        padding_side="left", model_max_length=8192,
        extra_special_tokens={"image_token": image, **extra},
    )  # fmt: skip
    made.chat_template = template(image + "\n")
    return made


def template(image: str, begin: str = "") -> str:
    return (
        begin + "{% for message in messages %}{{ message.role | upper }}: "
        "{% if message.content is string %}{{ message.content }}{% else %}"
        "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
        "{% else %}" + image + "{% endif %}{% endfor %}{% endif %}" + END + "{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )


def _text(tok: Any, kind: str = "llama", **changes: Any) -> Any:
    from transformers import AutoConfig

    given = {**_TEXT, "head_dim": 32, **changes}
    return AutoConfig.for_model(
        kind, vocab_size=len(tok), bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id, tie_word_embeddings=False, **given,
    )  # fmt: skip


def _clip(kind: str = "clip_vision_model", **changes: Any) -> Any:
    from transformers import AutoConfig

    return AutoConfig.for_model(
        kind, **{
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
            "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
            "initializer_range": 0.1, **changes,
        },
    )  # fmt: skip


def _save(config: Any, processor: Any, tok: Any, directory: Path) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    torch.manual_seed(0)
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    model = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_config(config)
    processor.save_pretrained(directory)
    return plain_output(model, tok, directory, END, "<unk>")


def _as_on_the_hub(directory: Path) -> Path:
    """A vision tower's weights by the names of published checkpoints, which vLLM asks for."""
    from safetensors.torch import load_file, save_file

    file = directory / "model.safetensors"
    named = {
        key.replace("vision_tower.", "vision_tower.vision_model."): value
        for key, value in load_file(file).items()
    }
    save_file(named, file, metadata={"format": "pt"})
    return directory


def llava15(directory: Path) -> Path:
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaProcessor

    tok = llama_tokenizer()
    side = {"height": 56, "width": 56}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=side),
        tokenizer=tok, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tok.chat_template,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=_clip(), text_config=_text(tok),
        image_token_index=tok.convert_tokens_to_ids("<image>"), tie_word_embeddings=False,
    )  # fmt: skip
    return _as_on_the_hub(_save(config, processor, tok, directory))


def llava_next(directory: Path) -> Path:
    from transformers import LlavaNextConfig, LlavaNextImageProcessor, LlavaNextProcessor

    tok = llama_tokenizer()
    pins = [[56, 112], [112, 56], [112, 112]]
    side = {"height": 56, "width": 56}
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessor(
            size={"shortest_edge": 56}, crop_size=side, image_grid_pinpoints=pins
        ),
        tokenizer=tok, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tok.chat_template,
    )  # fmt: skip
    config = LlavaNextConfig(
        vision_config=_clip(), text_config=_text(tok), image_grid_pinpoints=pins,
        image_token_index=tok.convert_tokens_to_ids("<image>"), tie_word_embeddings=False,
    )  # fmt: skip
    return _as_on_the_hub(_save(config, processor, tok, directory))


def llava_onevision(directory: Path) -> Path:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    tok = llama_tokenizer("<video>", video_token="<video>")
    pins = [[56, 112], [112, 56], [112, 112]]
    side = {"height": 56, "width": 56}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=pins),
        video_processor=LlavaOnevisionVideoProcessor(size=side),
        tokenizer=tok, num_image_tokens=16, vision_feature_select_strategy="full",
        chat_template=tok.chat_template,
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=_clip("siglip_vision_model", vision_use_head=False),
        text_config=_text(tok, "qwen2"), image_grid_pinpoints=pins,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"), tie_word_embeddings=False,
    )  # fmt: skip
    return _as_on_the_hub(_save(config, processor, tok, directory))


def internvl(directory: Path) -> Path:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    tok = llama_tokenizer(
        "<img>", "</img>", "<video>", image="<IMG_CONTEXT>", start_image_token="<img>",
        end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>",
    )  # fmt: skip
    side = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=side, crop_to_patches=True, max_patches=4),
        video_processor=InternVLVideoProcessor(size=side),
        tokenizer=tok, image_seq_length=4, chat_template=tok.chat_template,
    )  # fmt: skip
    config = InternVLConfig(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": [56, 56], "patch_size": [14, 14],
            "initializer_range": 0.1,
        },
        text_config=_text(tok, "qwen2"), image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4, downsample_ratio=0.5, tie_word_embeddings=False,
    )  # fmt: skip
    return _save(config, processor, tok, directory)


def gemma3(directory: Path) -> Path:
    from transformers import Gemma3Config, Gemma3ImageProcessor, Gemma3Processor

    newlines = ("\n" * count for count in range(1, 5))  # which vLLM looks up
    tok = llama_tokenizer(
        "<start_of_image>", "<end_of_image>", *newlines, image="<image_soft_token>",
        boi_token="<start_of_image>", eoi_token="<end_of_image>",
    )  # fmt: skip
    tok.chat_template = template("<start_of_image>", begin="{{ bos_token }}")
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        tokenizer=tok, image_seq_length=4, chat_template=tok.chat_template,
    )  # fmt: skip
    ids = tok.convert_tokens_to_ids
    config = Gemma3Config(
        text_config={
            **_text(tok, "gemma3_text").to_dict(), "sliding_window": 512,
        },
        vision_config=_clip("siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=4, image_token_index=ids("<image_soft_token>"),
        boi_token_index=ids("<start_of_image>"), eoi_token_index=ids("<end_of_image>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    return _as_on_the_hub(_save(config, processor, tok, directory))


def idefics3(directory: Path) -> Path:
    from transformers import Idefics3Config, Idefics3ImageProcessor, Idefics3Processor

    grid = [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]
    tok = llama_tokenizer(
        "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *grid,
        fake_image_token="<fake_token_around_image>", global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )  # fmt: skip
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(
            size={"longest_edge": 112}, max_image_size={"longest_edge": 56}
        ),
        tokenizer=tok, image_seq_len=4, chat_template=tok.chat_template,
    )  # fmt: skip
    config = Idefics3Config(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
            "initializer_range": 0.1,
        },
        text_config=_text(tok), scale_factor=2, image_token_id=tok.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False, pad_token_id=tok.pad_token_id,
    )  # fmt: skip
    return _save(config, processor, tok, directory)


def pixtral(directory: Path) -> Path:
    from transformers import LlavaConfig, PixtralImageProcessor, PixtralProcessor

    tok = llama_tokenizer("[IMG_BREAK]", "[IMG_END]", image="[IMG]")
    processor = PixtralProcessor(
        image_processor=PixtralImageProcessor(
            size={"longest_edge": 112}, patch_size={"height": 14, "width": 14}
        ),
        tokenizer=tok, patch_size=14, chat_template=tok.chat_template,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=_clip("pixtral", head_dim=32, image_size=112),
        text_config=_text(tok, "mistral"), image_token_index=tok.convert_tokens_to_ids("[IMG]"),
        vision_feature_select_strategy="full", vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    return _save(config, processor, tok, directory)


def glm4v(directory: Path) -> Path:
    from transformers import (
        Glm4vConfig,
        Glm4vImageProcessor,
        Glm4vProcessor,
        Glm4vVideoProcessor,
    )

    names = ("begin_of_image", "end_of_image", "begin_of_video", "end_of_video", "video")
    tok = llama_tokenizer(
        *(f"<|{name}|>" for name in names), image="<|image|>", video_token="<|video|>"
    )
    tok.chat_template = template("<|begin_of_image|><|image|><|end_of_image|>")
    shape: dict[str, Any] = {
        "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
        "size": {"shortest_edge": 4 * 784 * 2, "longest_edge": 256 * 784},
    }  # fmt: skip
    processor = Glm4vProcessor(
        image_processor=Glm4vImageProcessor(**shape),
        video_processor=Glm4vVideoProcessor(**shape),
        tokenizer=tok, chat_template=tok.chat_template,
    )  # fmt: skip
    ids = {name: tok.convert_tokens_to_ids(f"<|{name}|>") for name in names}
    config = Glm4vConfig(
        text_config={
            **_TEXT, "vocab_size": len(tok), "pad_token_id": tok.pad_token_id,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3],
                "partial_rotary_factor": 0.5,
            },
        },
        vision_config={
            "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2,
            "out_hidden_size": 64, "image_size": 112, "patch_size": 14, "initializer_range": 0.1,
        },
        image_token_id=tok.convert_tokens_to_ids("<|image|>"), video_token_id=ids["video"],
        image_start_token_id=ids["begin_of_image"], image_end_token_id=ids["end_of_image"],
        video_start_token_id=ids["begin_of_video"], video_end_token_id=ids["end_of_video"],
        tie_word_embeddings=False,
    )  # fmt: skip
    return _save(config, processor, tok, directory)


def phi4(directory: Path) -> Path:
    """Phi-4-multimodal: Transformers has it under AutoModelForCausalLM; its template reads text."""
    from transformers import (
        Phi4MultimodalConfig,
        Phi4MultimodalFeatureExtractor,
        Phi4MultimodalImageProcessor,
        Phi4MultimodalProcessor,
    )

    tok = llama_tokenizer("<|audio|>", image="<|image|>", audio_token="<|audio|>")
    tok.chat_template = (
        "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}</s>"
        "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    processor = Phi4MultimodalProcessor(
        Phi4MultimodalImageProcessor(dynamic_hd=1),
        Phi4MultimodalFeatureExtractor(),
        tok,
        chat_template=tok.chat_template,
    )
    config = Phi4MultimodalConfig(
        **_TEXT, vocab_size=len(tok), bos_token_id=1, eos_token_id=2, pad_token_id=0,
        original_max_position_embeddings=4096, sliding_window=None,
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "feature_layer": -2,
            "image_token_id": tok.convert_tokens_to_ids("<|image|>"),
        },
        audio_config={
            "hidden_size": 64, "intermediate_size": 64, "num_blocks": 1, "num_attention_heads": 2,
            "ext_pw_out_channel": 64, "nemo_conv_channels": 64, "input_size": 80,
            "audio_token_id": tok.convert_tokens_to_ids("<|audio|>"),
        },
        tie_word_embeddings=False,
    )  # fmt: skip
    return _save(config, processor, tok, directory)


BUILD: Mapping[str, Callable[[Path], Path]] = {
    function.__name__: function
    for function in (
        llava15, llava_next, llava_onevision, internvl, gemma3, idefics3, pixtral, glm4v, phi4,
    )
}  # fmt: skip
