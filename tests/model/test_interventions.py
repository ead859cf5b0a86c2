"""Changed states reach what the LLM computes from them, and nothing else."""

import pytest
import torch
from torch.testing import assert_close

from helpers.tiny import save_tiny_mllm, synthetic_scenes
from spatialsv.model.interventions import change_states
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return SpatialSV(*load_mllm(save_tiny_mllm(tmp_path_factory.mktemp("mllm"))))


@pytest.fixture(scope="module")
def batches(model):
    """The images of two scenes, one batch each."""
    data = SceneDataset(synthetic_scenes(2), [], model.family)
    collate = Collate(processor=model.family)
    return [collate([data.images_only(row)]) for row in range(2)]


@pytest.mark.parametrize("layer", [0, 1, 3])
@torch.no_grad()
def test_states_of_another_scene_give_its_later_states(model, batches, layer):
    first, second = (model.visual_states(batch, [0, 1, 2, 3, 4]) for batch in batches)
    with change_states(model, batches[0], layer, lambda _: second[layer]):
        changed = model.visual_states(batches[0], [0, 1, 2, 3, 4])
    for number in range(layer):
        assert_close(changed[number], first[number])
    assert_close(changed[layer], second[layer])
    for number in range(layer, 5):  # text between the images has attended to the first scene
        to_second, to_first = (
            (changed[number] - states[number]).abs().max() for states in (second, first)
        )
        assert to_second < (0.01 * to_first if layer else 1e-5)
    after = model.visual_states(batches[0], [4])[0]
    assert_close(after, first[4])


@torch.no_grad()
def test_a_change_of_the_second_view_does_not_reach_the_first(model, batches):
    def change(states):
        states = states.clone()
        states[:, 1] += 1
        return states

    (before,) = model.visual_states(batches[0], [4])
    with change_states(model, batches[0], 2, change):
        (after,) = model.visual_states(batches[0], [4])
    assert_close(after[:, 0], before[:, 0])
    assert (after[:, 1] - before[:, 1]).abs().amin(-1).max() > 0.01


def test_gradients_reach_the_change(model, batches):
    delta = torch.zeros((), requires_grad=True)
    with change_states(model, batches[0], 1, lambda states: states + delta):
        (after,) = model.visual_states(batches[0], [4])
    after[..., 0].sum().backward()
    assert delta.grad != 0


def test_a_state_that_no_layer_reads_is_an_error(model, batches):
    with (
        pytest.raises(ValueError, match="Choose 0 to 3"),
        change_states(model, batches[0], 4, lambda states: states),
    ):
        pass
