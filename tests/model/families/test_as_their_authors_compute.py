"""Networks that are put together here, against numbers of their authors' own code.

The numbers were made once by that code, on the checkpoints that are written here:
EvolvingLMMs-Lab/LLaVA-OneVision-1.5, a5eb942, ds/llavaonevision1_5, on transformers 4.53.3, each
image and frame encoded by itself; LLaVA-VL/LLaVA-NeXT, df17966, on 4.40.2, its encoder's sizes set
to the checkpoint's.
"""

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from helpers.tiny_families import save_llava_onevision_1_5, save_llava_qwen
from spatialsv.model.families.llava_video import LlavaQwenConfig
from spatialsv.model.mllm import load_mllm

WIDE, TALL, SQUARE = (60, 130), (150, 50), (90, 90)
# Settings, kind, sizes of the views; visual tokens, and the first logits of the last token.
VIDEO = [
    ({}, "image", [WIDE], 161, [0.3291, -0.7626, -1.4694, -1.4344, -0.6753]),
    ({}, "image", [TALL], 217, [0.3338, -0.4789, -1.0499, -1.0908, -0.5811]),
    ({}, "image", [SQUARE, WIDE], 100, [-0.3468, -0.6759, -0.6638, -0.3166, 0.1904]),
    ({}, "video", [SQUARE] * 3, 60, [-0.353, -0.6819, -0.6665, -0.3147, 0.196]),
    (
        {"mm_spatial_pool_mode": "average"},
        *("video", [WIDE] * 2, 24, [-0.3525, -0.683, -0.6686, -0.3167, 0.195]),
    ),
    (
        {"mm_newline_position": "one_token"},
        *("video", [WIDE] * 2, 33, [-0.3565, -0.6685, -0.6429, -0.2928, 0.2051]),
    ),
]
ONEVISION = [
    ("image", [WIDE], 10, [-0.2693, -0.701, -0.7789, -0.4635, 0.0858]),
    ("image", [SQUARE, TALL], 28, [-0.1479, -0.8098, -1.0629, -0.7794, -0.1025]),
    ("video", [SQUARE] * 3, 48, [0.0249, -0.9024, -1.3741, -1.1522, -0.3486]),
]


def settle(folder: Path) -> Path:
    """Give each parameter values that follow from its name on disk."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, old in weights.items():
        wave = torch.sin(torch.arange(old.numel()) * 0.37 + crc32(name.encode()) % 1000) * 0.2
        weights[name] = wave.view(old.shape) + (old.ndim == 1 and name.endswith("norm.weight"))
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def images(sizes) -> list[np.ndarray]:
    return [
        (np.arange(h * w * 3) ** 2 * (i + 3) % 251).astype(np.uint8).reshape(h, w, 3)
        for i, (h, w) in enumerate(sizes)
    ]


def last_logits(folder: Path, sizes, kind: str) -> tuple[int, torch.Tensor]:
    """The visual tokens, and the first logits behind them and one more token."""
    mllm, family = load_mllm(folder)
    views = family.prepare(images(sizes), kind)
    ids = torch.cat([torch.tensor([5]), *views.placeholders, torch.tensor([9])])[None]
    with torch.no_grad():
        logits = mllm(input_ids=ids, **family.batch_inputs([views], ids)).logits
    return sum(map(len, views.placeholders)), logits[0, -1, :5]


@pytest.mark.parametrize(("settings", "kind", "sizes", "tokens", "expected"), VIDEO)
def test_llava_video(tmp_path, settings, kind, sizes, tokens, expected):
    folder = settle(save_llava_qwen(tmp_path, **settings))
    count, logits = last_logits(folder, sizes, kind)
    assert count == tokens
    assert_close(logits, torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("kind", "sizes", "tokens", "expected"), ONEVISION)
def test_llava_onevision_1_5(tmp_path, kind, sizes, tokens, expected):
    folder = settle(save_llava_onevision_1_5(tmp_path))
    count, logits = last_logits(folder, sizes, kind)
    assert count == tokens
    assert_close(logits, torch.tensor(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("save", [save_llava_qwen, save_llava_onevision_1_5])
def test_a_checkpoint_goes_back_as_it_came(tmp_path, save):
    """What is trained is saved under its authors' names: their tools open it."""
    came = save(tmp_path / "came")
    mllm, family = load_mllm(came)
    mllm.save_pretrained(tmp_path / "back")
    family.save_processor(tmp_path / "back")
    first, second = (load_file(tmp_path / f / "model.safetensors") for f in ("came", "back"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    told, kept = (json.loads((tmp_path / f / "config.json").read_text()) for f in ("came", "back"))
    for part in ("text_config", "vision_config"):  # transformers adds the weights' type
        kept.get(part, {}).pop("dtype", None), told.get(part, {}).pop("dtype", None)
    assert kept == told and told["architectures"] == [type(mllm).__name__]


def test_the_settings_of_a_released_llava_video_are_read(tmp_path):
    """A range of sizes, an encoder that is not described; width stands before height."""
    folder = save_llava_qwen(tmp_path)
    path = folder / "config.json"
    told = json.loads(path.read_text())
    del told["vision_config"]
    path.write_text(json.dumps(told | {"image_grid_pinpoints": "(1x1),...,(2x3)"}))
    config = LlavaQwenConfig.from_pretrained(folder)
    assert config.vision_config.num_hidden_layers == 26 and config.vision_config.image_size == 384
    assert [384, 384] in config.image_grid_pinpoints
    assert [1152, 768] in config.image_grid_pinpoints
    assert [768, 1152] not in config.image_grid_pinpoints
    path.write_text(json.dumps(told | {"image_grid_pinpoints": [[768, 1152]]}))
    assert LlavaQwenConfig.from_pretrained(folder).image_grid_pinpoints == [[1152, 768]]


@pytest.mark.parametrize(
    ("name", "value"), [("mm_newline_position", "frame"), ("mm_vision_tower", "openai/clip")]
)
def test_settings_of_which_this_is_no_reading_are_refused(tmp_path, name, value):
    path = save_llava_qwen(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(ValueError, match=f"{name} '{value}' is not supported"):
        load_mllm(tmp_path)


def test_an_image_token_that_the_tokenizer_does_not_have_is_told(tmp_path):
    path = save_llava_qwen(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_token_index": 7}))
    with pytest.raises(
        ValueError, match=r"image_token_index in config\.json, or its default, is 7"
    ):
        load_mllm(tmp_path)
