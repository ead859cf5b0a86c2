"""Tiny stand-ins for tests: an MLLM with random weights, scenes with exact geometry, questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from spatialsv.samples.views import PreparedViews
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Cameras, Geometry, Scenes

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
TEMPLATE = """\
{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}\
{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}\
{% set image_count.value = image_count.value + 1 %}\
{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}\
<|vision_start|><|image_pad|><|vision_end|>\
{% elif content['type'] == 'video' or 'video' in content %}\
{% set video_count.value = video_count.value + 1 %}\
{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}\
<|vision_start|><|video_pad|><|vision_end|>\
{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
TEXT = (
    "system\nYou are a helpful assistant.",
    "user\nWhich object is left of the red chair?\nA. lamp\nB. table",
    "assistant\nHow many chairs are in the room? 3",
)


def save_tiny_mllm(folder: Path, seed: int = 0) -> Path:
    """Save model, tokenizer, chat template and image processor to `folder`."""
    tokenizer = byte_tokenizer(SPECIAL, TEMPLATE)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, size=size).save_pretrained(folder)
    return folder


def byte_tokenizer(
    special: tuple[str, ...],
    template: str,
    bos: str | None = None,
    eos: str = "<|im_end|>",
    pad: str = "<|endoftext|>",
) -> Qwen2Tokenizer:
    """A byte-level BPE as Qwen2's, learnt from three sentences; `bos` opens every text."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(TEXT, trainer)
    learnt = json.loads(core.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=[tuple(pair) for pair in learnt["merges"]],
        unk_token=None,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    if bos:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.convert_tokens_to_ids(bos))]
        )
    tokenizer.chat_template = template
    return tokenizer


def _config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    token = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
        },
        "bos_token_id": token["<|endoftext|>"],
        "eos_token_id": token["<|im_end|>"],
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "window_size": 64,
        "fullatt_block_indexes": [1],
        "out_hidden_size": 32,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token["<|image_pad|>"],
        video_token_id=token["<|video_pad|>"],
        vision_start_token_id=token["<|vision_start|>"],
        vision_end_token_id=token["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def shown(processor, *lengths: int) -> PreparedViews:
    """Images that take so many visual tokens each, in one row, without pixels."""
    tokens = list(torch.arange(sum(lengths)).split(lengths))
    return PreparedViews(
        kind="image",
        inputs={},
        placeholders=tuple(torch.full_like(t, processor.placeholder_ids["image"]) for t in tokens),
        grids=tuple(t[None] for t in tokens),
    )


def synthetic_scenes(count: int = 6, views: int = 2, size: int = 32) -> Scenes:
    """Textured planes z = a + b x (world = first camera), cameras sliding along x; metres."""
    rng = np.random.default_rng(0)
    K = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    pixel = (np.arange(size) + 0.5 - size / 2) / size  # unit-plane coordinates
    offset, slope = rng.uniform(1.5, 3, count), rng.uniform(-0.4, 0.4, count)
    poses = np.broadcast_to(np.eye(4), (count, views, 4, 4)).copy()
    poses[..., 0, 3] = np.linspace(0, 0.3, views)
    # z = a + b (c + z x)  =>  z = (a + b c) / (1 - b x), c the camera's place on the x axis
    start = offset[:, None] + slope[:, None] * poses[..., 0, 3]
    row = start[..., None] / (1 - slope[:, None, None] * pixel)
    depth = np.repeat(row[:, :, None, :], size, axis=2).astype(np.float32)
    shade = (255 * (depth - depth.min()) / np.ptp(depth)).astype(np.uint8)
    noise = rng.integers(0, 60, (count, views, size, size, 3), dtype=np.uint8)
    return Scenes(
        ids=tuple(f"plane-{i}" for i in range(count)),
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=np.broadcast_to(K, (count, views, 3, 3)).copy(), cam_to_world=poses
            ),
            depth=depth,
            valid=np.ones(depth.shape, dtype=bool),
        ),
        image=np.maximum(shade[..., None], noise),
        source="planes",
    )


def synthetic_labels(scenes: Scenes, channels: int = 8) -> Scenes:
    """First-view frame (the scenes' own), divided by the mean distance; random features."""
    rng = np.random.default_rng(1)
    S, N, H, W = scenes.depth.shape
    v, u = np.meshgrid(np.arange(H) + 0.5, np.arange(W) + 0.5, indexing="ij")
    pixel = np.stack([u, v, np.ones_like(u)], -1)
    direction = np.einsum("snij,hwj->snhwi", np.linalg.inv(scenes.intrinsics), pixel)
    points = scenes.cam_to_world[:, :, None, None, :3, 3] + direction * scenes.depth[..., None]
    scale = np.linalg.norm(points, axis=-1).mean(axis=(1, 2, 3))
    poses = scenes.cam_to_world.copy()
    poses[..., :3, 3] /= scale[:, None, None]
    return Scenes(
        ids=scenes.ids,
        geometry=Geometry(
            cameras=Cameras(intrinsics=scenes.intrinsics, cam_to_world=poses),
            depth=(scenes.depth / scale[:, None, None, None]).astype(np.float32),
            valid=scenes.valid,
            confidence=np.ones((S, N, H, W), dtype=np.float32),
            features=rng.normal(size=(S, N, 2, 2, channels)).astype(np.float16),
            scale=scale,
        ),
        unit="relative",
        source="exact",
    )


def synthetic_questions(scenes: Scenes) -> list[Question]:
    """Two choices and a number a scene; the answers follow from the scene's number."""
    views = tuple(range(scenes.depth.shape[1]))
    asked = (
        ("among", "Which is left?\nA. lamp\nB. table", ("lamp", "table"), lambda i: "AB"[i % 2]),
        ("rotation", "Which turn?\nA. left\nB. right", ("left", "right"), lambda i: "BA"[i % 2]),
        ("counting", "How many chairs?", (), lambda i: str(i)),
    )
    return [
        Question(
            id=f"{scene}-{task}",
            scene=scene,
            task=task,
            text=text,
            answer=answer(number),
            options=options,
            views=views,
        )
        for number, scene in enumerate(scenes.ids)
        for task, text, options, answer in asked
    ]
