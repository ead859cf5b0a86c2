"""The teacher network: its frame, its symmetries, its loss, its files."""

import json
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras
from spatialsv.geometry.rays import RayMap
from spatialsv.teachers.loss import TeacherLossConfig, teacher_loss
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.rooms import load_network, save_network

SMALL = TeacherNetworkConfig(
    image_size=32, width=48, layers=4, global_layers=(1, 3), taps=(0, 1, 2, 3), head_width=32
)


def make_network(config: TeacherNetworkConfig = SMALL) -> TeacherNetwork:
    torch.manual_seed(0)
    return TeacherNetwork(config).eval()


def make_labels(scenes: int, views: int, size: int) -> GeometryLabels:
    """Tilted planes about 1 away from cameras that are moved a little, the first one not at all."""
    generator = torch.Generator().manual_seed(1)
    slope = torch.rand(scenes, views, 2, generator=generator) - 0.5
    ramp = torch.linspace(-0.5, 0.5, size)
    depth = 1 + slope[..., 0, None, None] * ramp + slope[..., 1, None, None] * ramp[:, None]
    pose = torch.eye(4).repeat(scenes, views, 1, 1)
    pose[:, 1:, :3, 3] = 0.3 * torch.randn(scenes, views - 1, 3, generator=generator)
    intrinsics = torch.tensor([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    valid = torch.ones_like(depth, dtype=torch.bool)
    return labels_from_cameras(depth, valid, intrinsics.expand(scenes, views, 3, 3), pose)


def test_default_size_is_as_documented():
    parameters = sum(p.numel() for p in TeacherNetwork(TeacherNetworkConfig()).parameters())
    assert 2.0e6 < parameters < 2.5e6


@pytest.mark.parametrize("views", [1, 2, 5])
def test_shapes_for_any_number_of_views(views):
    prediction = make_network()(torch.rand(2, views, 32, 32, 3))
    assert prediction.depth.shape == (2, views, 32, 32)
    assert prediction.rays.directions.shape == (2, views, 32, 32, 3)
    assert prediction.features.shape == (2, views, 4, 4, 48)
    assert (prediction.depth > 0).all()
    assert (prediction.depth_confidence >= 1).all()


@torch.no_grad()
def test_points_follow_from_depth_and_rays():
    prediction = make_network()(torch.rand(1, 2, 32, 32, 3))
    rays = prediction.rays
    points = rays.origins + prediction.depth[..., None] * rays.directions
    assert_close(prediction.points, points)


@torch.no_grad()
@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2]])
def test_the_order_of_views_is_told(order):
    network, images = make_network(), torch.rand(1, 3, 32, 32, 3)
    depth = network(images).depth
    moved = network(images[:, order]).depth
    assert not torch.allclose(moved[:, order], depth, rtol=1e-4, atol=1e-5)


def test_more_views_than_it_knows_are_refused():
    with pytest.raises(ValueError, match="at most 8 views, found 9"):
        make_network()(torch.rand(1, 9, 32, 32, 3))


@torch.no_grad()
def test_scenes_of_a_batch_do_not_see_each_other_but_views_do():
    network, images = make_network(), torch.rand(2, 2, 32, 32, 3)
    together = network(images).depth
    assert_close(network(images[1:]).depth, together[1:], rtol=1e-4, atol=1e-5)
    other = images.clone()
    other[0, 1] = 1 - other[0, 1]
    assert not torch.allclose(network(other).depth[0, 0], together[0, 0], rtol=1e-4)


def test_another_image_size_is_refused():
    with pytest.raises(ValueError, match="expected shape \\(B, N, 32, 32, 3\\)"):
        make_network()(torch.rand(1, 1, 16, 16, 3))


@pytest.mark.parametrize(
    "wrong", [{"patch_size": 7}, {"width": 146}, {"taps": (8,)}, {"global_layers": (-1,)}]
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError):
        TeacherNetworkConfig(**wrong)


@torch.no_grad()
def test_loss_ignores_invalid_pixels_and_absent_scenes():
    network, labels = make_network(), make_labels(2, 2, 32)
    prediction = network(torch.rand(2, 2, 32, 32, 3))
    valid = labels.valid.clone()
    valid[0, 1, 5:9] = False
    present = torch.tensor([[True, True], [False, False]])

    def loss(fill: float) -> torch.Tensor:
        depth = torch.where(valid, labels.depth, fill)
        depth = torch.where(present[:, :, None, None], depth, fill)
        altered = GeometryLabels(
            **{**vars(labels), "depth": depth, "valid": valid, "present": present}
        )
        return teacher_loss(prediction, altered, TeacherLossConfig())["total"]

    assert_close(loss(0.0), loss(1e6), rtol=0, atol=0)


def test_loss_of_the_truth_is_only_its_confidence_term():
    labels = make_labels(2, 2, 32)
    prediction = make_network()(torch.rand(2, 2, 32, 32, 3))
    perfect = replace(
        prediction,
        depth=labels.depth,
        depth_confidence=torch.full_like(labels.depth, 3.0),
        rays=RayMap(labels.ray_origins, labels.ray_directions),
        ray_confidence=torch.full_like(labels.depth, 3.0),
        points=labels.points,
    )
    terms = teacher_loss(perfect, labels, TeacherLossConfig(confidence=0.2))
    reward = -0.2 * torch.tensor(3.0).log()
    assert_close(terms["depth"], reward)
    assert_close(terms["rays"], reward)
    assert terms["gradient"] == 0
    assert terms["points"] == 0


def test_overfits_eight_scenes():
    network, labels = make_network(replace(SMALL, image_size=16)).train(), make_labels(8, 2, 16)
    images = torch.rand(8, 2, 16, 16, 3, generator=torch.Generator().manual_seed(2))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=300)
    for _ in range(300):
        loss = teacher_loss(network(images), labels, TeacherLossConfig())["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    prediction = network(images)
    assert ((prediction.depth - labels.depth).abs() / labels.depth).mean() < 0.03
    moved = labels.ray_origins[:, 1:].abs().mean()
    assert (prediction.rays.origins - labels.ray_origins)[:, 1:].abs().mean() < 0.25 * moved


def test_survives_the_disk(tmp_path):
    network, images = make_network(), torch.rand(1, 2, 32, 32, 3)
    save_network(network, tmp_path, dtype=torch.float32)
    loaded = load_network(tmp_path)
    assert loaded.config == network.config
    assert_close(loaded(images).points, network(images).points, rtol=0, atol=0)


def test_files_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json: file not found"):
        load_network(tmp_path)
    save_network(make_network(), tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(record | {"width": 96}))
    with pytest.raises(ValueError, match=r"model\.safetensors: \d+ tensors do not match"):
        load_network(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match="cannot be loaded as a checkpoint"):
        load_network(tmp_path)
