"""Batches made by the tiny MLLM's own processor from images of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.model.dpt import DPTConfig
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample


@pytest.fixture(scope="module")
def loaded(tiny_mllm):
    """(model, processor), shared by the tests of a module: they must not change the model."""
    return load_mllm(tiny_mllm)


@pytest.fixture(scope="module")
def make_batch(loaded):
    """Images of each sample's views and a question each to a Batch, padded on either side."""
    family, chat = loaded[1], Chat(loaded[1])

    def make(images, questions: list[str], side: str = "right", kind: str = "image") -> Batch:
        shown = [family.prepare(list(views), kind) for views in images]
        samples = [
            Sample(ids=(question,), tokens=chat.prompt(question, views), views=views, target=None)
            for question, views in zip(questions, shown, strict=True)
        ]
        return replace(Collate(processor=family, side=side)(samples), labels=None)

    return make


@pytest.fixture
def images() -> np.ndarray:
    """Two samples of three views, 48 x 64 px: 3 x 4 visual tokens a view."""
    return np.random.default_rng(0).integers(0, 255, (2, 3, 48, 64, 3), dtype=np.uint8)


@pytest.fixture
def heads() -> SpatialHeads:
    torch.manual_seed(0)
    config = SpatialHeadsConfig(
        taps=(1, 2, 3, 4),
        projector_width=16,
        output_size=(12, 16),
        dpt=DPTConfig(width=8, reassembly=(8, 12, 16, 16), output_width=4),
        feature_channels=6,
    )
    return SpatialHeads(config, hidden_size=32)
