"""The base MLLM before training: a Qwen2.5-VL of a few million parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Qwen2's own split: contractions, words with the space before them, single digits, punctuation
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (  # Qwen2.5-VL's turns; no system turn unless one is given
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


@dataclass(frozen=True, kw_only=True)
class ArchitectureConfig:
    """Sizes of the base MLLM. An image of 64 pixels is 8 x 8 patches and 4 x 4 LLM tokens."""

    image_size: int = 64  # pixels, square
    patch_size: int = 8  # pixels, square
    vision_width: int = 128  # channels of the encoder
    vision_layers: int = 3  # of the encoder
    vision_heads: int = 4  # attention heads of the encoder
    width: int = 160  # channels of the LLM
    layers: int = 8  # of the LLM
    heads: int = 5  # attention heads of the LLM
    mlp: int = 480  # channels inside the LLM's MLPs
    vocabulary: int = 1024  # tokens, special ones and 256 bytes included


def build_tokenizer(texts: Iterable[str], config: ArchitectureConfig) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE in Qwen2's format on `texts`."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL),
        model_max_length=4096,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def build_image_processor(config: ArchitectureConfig) -> Qwen2VLImageProcessorPil:
    """Return Qwen2.5-VL's image processor: any image becomes about `image_size` squared pixels."""
    pixels = config.image_size**2
    return Qwen2VLImageProcessorPil(
        patch_size=config.patch_size,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": pixels, "longest_edge": pixels},
    )


def build_model(config: ArchitectureConfig, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """Return the model with random weights."""
    head = config.width // config.heads
    third = head // 6  # M-RoPE's height and width each turn this many of head / 2 frequencies
    ids = {token: number for number, token in enumerate(SPECIAL)}
    settings = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": config.width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.heads,
            "intermediate_size": config.mlp,
            "vocab_size": config.vocabulary,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [head // 2 - 2 * third, third, third],
            },
            "tie_word_embeddings": True,
            "initializer_range": config.width**-0.5,  # 0.02 leaves attention this narrow flat
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": config.vision_layers,
            "hidden_size": config.vision_width,
            "num_heads": config.vision_heads,
            "intermediate_size": 3 * config.vision_width,
            "patch_size": config.patch_size,
            "spatial_merge_size": 2,
            "window_size": config.image_size,
            "fullatt_block_indexes": list(range(config.vision_layers)),
            "out_hidden_size": config.width,
            "tokens_per_second": 4,
            "initializer_range": config.vision_width**-0.5,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(settings)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    model.generation_config.do_sample = False
    return model


def save_mllm(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: Qwen2VLImageProcessorPil,
    folder: Path,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Save a checkpoint that `load_mllm` and `from_pretrained` open."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    nn.Module.to(model, dtype)
    model.save_pretrained(folder)
    nn.Module.to(model, torch.float32)
    model.load_state_dict(weights)  # the caller's model keeps its precision
    tokenizer.save_pretrained(folder)
    image_processor.save_pretrained(folder)
