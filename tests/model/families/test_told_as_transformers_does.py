"""What stands for views in the chat, against transformers' own processors.

Their video processors need torchvision, so their text functions are called on the little they read.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from helpers.tiny_families import SAVE
from spatialsv.model.mllm import load_mllm


@pytest.fixture
def load(tmp_path):
    return lambda name: load_mllm(SAVE[name](tmp_path / name))[1]


def frames(count: int) -> list[np.ndarray]:
    return [np.full((64, 64, 3), 40 * i, dtype=np.uint8) for i in range(count)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_video_of_qwen3_tells_the_times_of_its_slots(load, count):
    family = load("qwen3_vl")
    video = family.prepare(frames(count), "video")
    like = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        video_token="<|video_pad|>",
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
    )
    like._calculate_timestamps = Qwen3VLProcessor._calculate_timestamps.__get__(like)
    told = Qwen3VLProcessor.replace_video_token(
        like,
        {
            "video_grid_thw": video.inputs["video_grid_thw"],
            "video_metadata": [SimpleNamespace(fps=1.0, frames_indices=list(range(count)))],
        },
        0,
    )
    assert family.tokenizer.decode(video.placeholders[0]) == told


def test_internvl_frames_its_images_and_numbers_the_frames(load):
    family = load("internvl")
    like = SimpleNamespace(
        start_image_token="<img>",
        end_image_token="</img>",
        image_token="<IMG_CONTEXT>",
        image_seq_length=16,
    )
    images = [*frames(2), np.zeros((60, 120, 3), np.uint8)]
    shown = family.prepare(images, "image")
    counts = [1, 1, 3]  # one tile each, and two tiles with a thumbnail
    for i, stand in enumerate(shown.placeholders):
        told = InternVLProcessor.replace_image_token(like, {"num_patches": counts}, i)
        assert family.tokenizer.decode(stand) == told
    video = family.prepare(frames(3), "video")
    told = InternVLProcessor.replace_video_token(
        like, {"pixel_values_videos": [torch.zeros(3, 3, 56, 56)]}, 0
    )
    assert family.tokenizer.decode(video.placeholders[0]) == told
