"""Random-weight MLLMs of every family, made by the real classes and saved as real ones are.

Encoders see tiles of 56 px as 8 x 8 patches, or Qwen's patches of 8 px; LLMs have 4 layers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from helpers.tiny import SPECIAL, TEMPLATE, byte_tokenizer, save_tiny_mllm
from spatialsv.model.families.family import Family
from spatialsv.model.families.llava_onevision_1_5 import (
    LLaVAOneVision1_5_ForConditionalGeneration,
    RiceQwen3Config,
)
from spatialsv.model.families.llava_video import LlavaQwenConfig, LlavaQwenForCausalLM
from spatialsv.model.mllm import load_mllm

LLM = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 7,
}
PINPOINTS = [[56, 112], [112, 56], [112, 112], [56, 168], [168, 56]]
ROLES = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + ROLE_END }}\
{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ IMAGE }}\
{% elif content['type'] == 'video' %}{{ VIDEO }}\
{% elif content['type'] == 'text' %}{{ TEXT_BEGIN + content['text'] }}{% endif %}{% endfor %}\
{{ '<|im_end|>' + MESSAGE_END }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
VICUNA = """\
{% for message in messages %}{{ message['role'].upper() + ': ' }}\
{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<image>\\n' }}\
{% elif content['type'] == 'video' %}{{ '<video>\\n' }}{% endif %}{% endfor %}\
{% for content in message['content'] %}{% if content['type'] == 'text' %}\
{{ content['text'] + ' ' }}{% endif %}{% endfor %}{% endfor %}\
{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""


def save_qwen3_vl(folder: Path) -> Path:
    """Qwen3-VL with DeepStack: 3 encoder layers, of which 2 feed LLM layers."""
    tokenizer = byte_tokenizer(SPECIAL, TEMPLATE)
    ids = _ids(tokenizer, SPECIAL)
    config = Qwen3VLConfig(
        text_config=LLM
        | {
            "vocab_size": len(tokenizer),
            "head_dim": 8,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    size = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    processor = Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, size=size)
    return _save(folder, Qwen3VLForConditionalGeneration, config, tokenizer, processor)


def save_internvl(folder: Path) -> Path:
    """InternVL3: tiles of 56 px, 4 x 4 tokens each after pixel shuffle, at most 4 a view."""
    special = (*("<|im_start|>", "<|im_end|>", "<|endoftext|>"),)
    special += ("<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    template = _roles("\n", "<IMG_CONTEXT>\n", "<video>\n", "", "\n")
    tokenizer = byte_tokenizer(special, template)
    config = InternVLConfig(
        text_config=LLM | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=ENCODER | {"image_size": [56, 56], "patch_size": [7, 7]},
        image_token_id=_ids(tokenizer, special)["<IMG_CONTEXT>"],
        image_seq_length=16,
    )
    processor = GotOcr2ImageProcessorPil(
        size={"height": 56, "width": 56}, min_patches=1, max_patches=4
    )
    return _save(folder, InternVLForConditionalGeneration, config, tokenizer, processor)


def save_llava_onevision(folder: Path) -> Path:
    """LLaVA-OneVision: SigLIP tiles of 56 px, 8 x 8 tokens each."""
    special = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>", "<video>")
    tokenizer = byte_tokenizer(special, _roles(" ", "<image>", "<video>", "\n", ""))
    ids = _ids(tokenizer, special)
    config = LlavaOnevisionConfig(
        text_config=LLM | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=ENCODER | {"model_type": "siglip_vision_model", "vision_use_head": False},
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=PINPOINTS,
        vision_aspect_ratio="anyres_max_9",
    )
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": 56, "width": 56}, image_grid_pinpoints=PINPOINTS
    )
    return _save(folder, LlavaOnevisionForConditionalGeneration, config, tokenizer, processor)


def save_llava_next_video(folder: Path) -> Path:
    """LLaVA-NeXT-Video: CLIP tiles of 56 px, 8 x 8 tokens each; Vicuna's template has no end."""
    special = ("<s>", "</s>", "<unk>", "<image>", "<video>")
    tokenizer = byte_tokenizer(special, VICUNA, bos="<s>", eos="</s>", pad="<unk>")
    ids = _ids(tokenizer, special)
    config = LlavaNextVideoConfig(
        text_config=LLM | {"model_type": "llama", "vocab_size": len(tokenizer)},
        vision_config=ENCODER | {"model_type": "clip_vision_model"},
        image_token_index=ids["<image>"],
        video_token_index=ids["<video>"],
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-2,
    )
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": 56},
        crop_size={"height": 56, "width": 56},
        image_grid_pinpoints=PINPOINTS,
    )
    return _save(folder, LlavaNextVideoForConditionalGeneration, config, tokenizer, processor)


def save_llava_onevision_1_5(folder: Path) -> Path:
    """LLaVA-OneVision-1.5: a RICE encoder of patches of 8 px."""
    tokenizer = byte_tokenizer(SPECIAL, TEMPLATE)
    ids = _ids(tokenizer, SPECIAL)
    rice = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2}
    config = RiceQwen3Config(
        text_config=LLM | {"vocab_size": len(tokenizer), "head_dim": 8, "max_window_layers": 4},
        vision_config=rice | {"patch_size": 8, "text_hidden_size": 32},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
    )
    size = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    processor = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=1, size=size
    )
    kind = LLaVAOneVision1_5_ForConditionalGeneration
    return _save(folder, kind, config, tokenizer, processor)


def save_llava_qwen(folder: Path, **settings: str) -> Path:
    """LLaVA-Video: SigLIP tiles of 56 px, 7 x 7 tokens each; with no settings for images."""
    special = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    tokenizer = byte_tokenizer(special, "{{ messages[0]['content'] + '' }}")  # as text, no list
    encoder = ENCODER | {"patch_size": 8, "model_type": "siglip_vision_model"}
    config = LlavaQwenConfig(
        **LLM | {"vocab_size": len(tokenizer) + 3, "rope_theta": 1e6},
        vision_config=encoder | {"vision_use_head": False},
        mm_hidden_size=32,
        image_grid_pinpoints=PINPOINTS,
        image_token_index=len(tokenizer),
        **{"mm_newline_position": "grid"} | settings,
    )
    return _save(folder, LlavaQwenForCausalLM, config, tokenizer)


SAVE: dict[str, Callable[[Path], Path]] = {
    "internvl": save_internvl,
    "llava_next_video": save_llava_next_video,
    "llava_onevision": save_llava_onevision,
    "llava_qwen": save_llava_qwen,
    "llavaonevision1_5": save_llava_onevision_1_5,
    "qwen2_5_vl": save_tiny_mllm,
    "qwen3_vl": save_qwen3_vl,
}


def _roles(role_end: str, image: str, video: str, text_begin: str, message_end: str) -> str:
    values = {"ROLE_END": role_end, "IMAGE": image, "VIDEO": video, "TEXT_BEGIN": text_begin}
    named = ROLES
    for name, value in (values | {"MESSAGE_END": message_end}).items():
        named = named.replace(name, repr(value))
    return named


def _ids(tokenizer, tokens: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(tokens, tokenizer.convert_tokens_to_ids(list(tokens)), strict=True))


def _save(folder: Path, kind, config, *processors) -> Path:
    torch.manual_seed(0)
    model, tokenizer = kind(config), processors[0]
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    for part in (model, *processors):
        part.save_pretrained(folder)
    return folder


def load_loud(name: str, folder: Path) -> tuple[PreTrainedModel, Family]:
    """Model and adapter of a family, with weights large enough to tell images apart."""
    mllm, family = load_mllm(SAVE[name](folder))
    generator = torch.Generator().manual_seed(0)
    for parameter in mllm.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.2, generator=generator)
    return mllm.requires_grad_(False), family
