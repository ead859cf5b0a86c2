"""Every family's encoder output is found at the cells for which the LLM gets it."""

from copy import copy

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from helpers.tiny_families import load_loud
from spatialsv.model.layer_states import ENCODER, layer_states
from spatialsv.model.mllm import FAMILIES
from spatialsv.model.spatialsv import SpatialSV

SIZES = [[(56, 84), (56, 84)], [(56, 84), (56, 84)]]
MERGED = {"qwen2_5_vl", "qwen3_vl", "llavaonevision1_5"}  # four patches, one after the other


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def loaded(request, tmp_path_factory):
    return load_loud(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def batch(make_batch):
    rng = np.random.default_rng(0)
    images = [[rng.integers(0, 255, (*s, 3), dtype=np.uint8) for s in views] for views in SIZES]
    return make_batch(images, ["Where?", "Which object is left of the red chair?"])


def test_projected_it_is_what_enters_the_llm(loaded, batch):
    mllm, family = loaded
    encoded, entering, last = layer_states(SpatialSV(mllm, family), batch, [ENCODER, 0, 4])
    projector = mllm.get_submodule(family.projector[0].rstrip("."))
    flat = encoded.flatten(0, 3)
    if family.config.model_type in MERGED:
        flat = flat.view(4 * len(flat), -1)
    again = projector(flat)
    assert_close(again.view(entering.shape), entering, rtol=1e-4, atol=1e-5)
    assert_close(last, SpatialSV(mllm, family).visual_states(batch, [4])[0], rtol=0, atol=0)


def test_the_model_is_as_it_was(loaded, batch):
    model = SpatialSV(*loaded)
    before = model.visual_states(batch, [0, 4])
    alone = layer_states(model, batch, [ENCODER])[0]
    again, both = layer_states(model, batch, [ENCODER, 4])
    assert torch.equal(alone, again)
    assert torch.equal(both, before[1])
    for old, new in zip(before, model.visual_states(batch, [0, 4]), strict=True):
        assert torch.equal(old, new)


def test_an_encoder_whose_layers_the_adapter_does_not_find_runs_once_more(loaded, batch):
    mllm, family = loaded
    astray = copy(family)
    astray.encoder_layers = "model.nowhere"
    found = layer_states(SpatialSV(mllm, astray), batch, [ENCODER])[0]
    assert_close(found, layer_states(SpatialSV(mllm, family), batch, [ENCODER])[0])


def test_an_adapter_that_hides_its_projector_is_told(loaded, batch):
    mllm, hidden = loaded[0], copy(loaded[1])
    hidden.projector = ("model.nowhere.",)
    with pytest.raises(ValueError, match=r"nowhere.*states"):
        layer_states(SpatialSV(mllm, hidden), batch, [ENCODER])
    assert layer_states(SpatialSV(mllm, hidden), batch, [1])[0].isfinite().all()
