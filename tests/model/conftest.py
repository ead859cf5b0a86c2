"""Batches made by the tiny MLLM's own processor from images of noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatialsv.model.dpt import DPTConfig
from spatialsv.model.families.qwen2_5_vl import load_mllm
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.samples.batch import Batch


@pytest.fixture(scope="module")
def loaded(tiny_mllm):
    """(model, processor), shared by the tests of a module: they must not change the model."""
    return load_mllm(tiny_mllm)


@pytest.fixture(scope="module")
def make_batch(loaded):
    """Images (samples, views, H, W, 3) and a question each to a Batch, padded on either side."""
    _, processor = loaded

    def make(images: np.ndarray | list, questions: list[str], side: str = "right") -> Batch:
        messages = [
            [{"role": "user", "content": [*({"type": "image"} for _ in views), text(question)]}]
            for views, question in zip(images, questions, strict=True)
        ]
        processor.tokenizer.padding_side = side
        inputs = processor(
            text=[processor.apply_chat_template(m, tokenize=False) for m in messages],
            images=[image for views in images for image in views],
            padding=True,
            return_tensors="pt",
        )
        return Batch(**inputs, num_views=tuple(len(views) for views in images))

    def text(question: str) -> dict:
        return {"type": "text", "text": question}

    return make


@pytest.fixture
def images() -> np.ndarray:
    """Two samples of three views, 48 x 64 px: 3 x 4 visual tokens a view."""
    return np.random.default_rng(0).integers(0, 255, (2, 3, 48, 64, 3), dtype=np.uint8)


@pytest.fixture
def heads() -> SpatialHeads:
    torch.manual_seed(0)
    config = SpatialHeadsConfig(
        projector_width=16,
        output_size=(12, 16),
        dpt=DPTConfig(width=8, reassembly=(8, 12, 16, 16), output_width=4),
        feature_channels=6,
    )
    return SpatialHeads(config, hidden_size=32)
