"""A linear edit changes what the probe reads by the requested change."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from helpers.view_pairs import CONFIG
from spatialsv.probe.causal.linear_edit import OUTPUTS, explained, fit_pose_probe, moved_outputs
from spatialsv.probe.cells import Cells
from spatialsv.rooms.views import render_views
from spatialsv.teachers.exact import ExactTeacher

QUARTER = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # about y, the vertical


@pytest.fixture(scope="module")
def labels():
    """Rooms with two free cameras; 4 x 4 cells."""
    _, scenes = render_views(range(60), replace(CONFIG, image_size=32))
    return Cells.from_labels(ExactTeacher().label(scenes), (4, 4), 1)


@pytest.fixture(scope="module")
def states(labels):
    """States that hold the geometry of their cell, rotated and among noise."""
    outputs = labels.targets()[0][..., OUTPUTS]
    generator = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(*outputs.shape[:4], 31, generator=generator)
    mixing = torch.linalg.qr(torch.randn(40, 40, generator=generator))[0]
    return torch.cat([outputs.float(), noise], dim=-1) @ mixing


@pytest.fixture(scope="module")
def probe(states, labels):
    return fit_pose_probe(states, labels, seed=0)


def motion(count):
    return QUARTER.expand(count, 3, 3), torch.tensor([0.5, 0.0, -1.0]).expand(count, 3)


def test_the_probe_then_reads_the_moved_geometry(probe, states, labels):
    change, _ = moved_outputs(labels, *motion(60), view=1)
    before, after = probe.read(states), probe.read(states + change.float() @ probe.edit)
    assert_close(after - before, change.float(), rtol=1e-3, atol=1e-3)


def test_random_directions_are_as_large_and_not_read(probe, states, labels):
    change, _ = moved_outputs(labels, *motion(60), view=1)
    edit, random = change.float() @ probe.edit, change.float() @ probe.random_edit
    scale = states.flatten(0, 3).std(0)
    assert_close((edit / scale).norm(dim=-1), (random / scale).norm(dim=-1), rtol=1e-2, atol=1e-3)
    read = probe.read(states + random) - probe.read(states)
    assert read.norm() < 0.8 * change.norm()
    assert (read - change).norm() > 0.7 * change.norm()


def test_motions_are_rigid_and_of_one_view(labels):
    change, _ = moved_outputs(labels, *motion(60), view=1)
    assert (change[:, 0] == 0).all()
    before = labels.targets()[0][..., OUTPUTS]
    origin, direction, point = (before + change)[:, 1].unflatten(-1, (3, 3)).unbind(-2)
    old_origin, old_direction, old_point = before[:, 1].unflatten(-1, (3, 3)).unbind(-2)
    rotation, translation = motion(60)
    expected = torch.einsum("ij,shwj->shwi", rotation[0].double(), old_point.double())
    assert_close(point.double(), expected + translation[0].double())
    assert_close(direction.norm(dim=-1), old_direction.norm(dim=-1))
    assert_close((point - origin).norm(dim=-1), (old_point - old_origin).norm(dim=-1))


def test_explained_variance_is_of_scenes_not_of_cells(labels, probe, states):
    shuffled = states[torch.randperm(60, generator=torch.Generator().manual_seed(1))]
    assert explained(probe, shuffled, labels, 1)["heading"] < 0.5
    held = explained(probe, states, labels, 1)
    assert held["heading"] > 0.95 and held["position"] > 0.95


def test_too_few_scenes_are_an_error(labels, states):
    with pytest.raises(ValueError, match="at least 8 training scenes, found 3"):
        fit_pose_probe(states[:3], labels.select(slice(3)), seed=0)
