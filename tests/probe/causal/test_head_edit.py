"""Edits through heads move what the heads read, in one view."""

import pytest
import torch
from torch.testing import assert_close

from helpers.tiny import synthetic_scenes
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.interventions import change_states
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.causal.head_edit import can_edit, edit_through_heads
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset


@pytest.fixture(scope="module")
def model(tiny_mllm):
    torch.manual_seed(0)
    config = SpatialHeadsConfig(taps=(1, 2, 3, 4), tasks=("rays", "points"), output_size=(16, 16))
    mllm, family = load_mllm(tiny_mllm)
    return (
        SpatialSV(mllm, family, SpatialHeads(config, hidden_size=32)).eval().requires_grad_(False)
    )


@pytest.fixture(scope="module")
def batch(model):
    data = SceneDataset(synthetic_scenes(2), [], model.family)
    return Collate(processor=model.family)([data.images_only(row) for row in range(2)])


def test_the_edit_moves_the_prediction_of_one_view(model, batch):
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).expand(2, 3, 3)
    shift = torch.tensor([[0.1, 0.0, 0.1]]).expand(2, 3)
    edit, reached = edit_through_heads(model, batch, 0, turn, shift, view=1, steps=60)
    assert (edit[:, 0] == 0).all() and (edit[:, 1] != 0).any()
    assert (reached > 0.1).all(), reached
    taps = [1, 2, 3, 4]
    before = model.heads(model.visual_states(batch, taps))
    with change_states(model, batch, 0, lambda states: states + edit):
        after = model.heads(model.visual_states(batch, taps))
    assert_close(after.ray_directions[:, 0], before.ray_directions[:, 0])
    distances = []
    for lifted in (before, after):
        squares = 0
        for name, is_position in (("ray_origins", 1), ("ray_directions", 0), ("points", 1)):
            target = torch.einsum("bij,bhwj->bhwi", turn, getattr(before, name)[:, 1])
            target = target + is_position * shift[:, None, None]
            squares += (getattr(lifted, name)[:, 1] - target).square().flatten(1).mean(1)
        distances.append(squares)
    assert_close(reached, 1 - distances[1] / distances[0], rtol=1e-3, atol=1e-4)


def test_only_heads_for_rays_can_be_edited(model):
    assert can_edit(model)
    assert not can_edit(SpatialSV(model.mllm, model.family))
