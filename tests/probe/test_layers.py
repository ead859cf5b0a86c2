"""Probes find what states hold, and their controls do not."""

import pytest
import torch
from torch.testing import assert_close

from helpers.tiny import synthetic_scenes
from spatialsv.probe.cells import Cells
from spatialsv.probe.layers import LayerProbes, LayersConfig, LayerStates
from spatialsv.teachers.exact import ExactTeacher

CONFIG = LayersConfig(pixels=4, parts=4, seeds=2)


def split(count: int, first: int, total: int = 60) -> Cells:
    """Planes of their own; 2 views of 4 x 4 cells."""
    scenes = synthetic_scenes(total).select(slice(first, first + count))
    return Cells.from_labels(ExactTeacher().label(scenes), (4, 4), 4)


@pytest.fixture(scope="module")
def probes():
    return LayerProbes([split(30, 0), split(10, 30)], [split(20, 40)], CONFIG)


def layers(probes, holds: bool, order=(None, None)) -> tuple[LayerStates, LayerStates]:
    """States that hold log depth and points of their cell among noise, or noise alone."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for cells, whose in zip((probes.train, probes.test), order, strict=True):
        states = []
        for one in cells:
            outputs, _ = one.targets()
            noise = torch.randn(*outputs.shape[:4], 10, generator=generator)
            states.append(torch.cat([100 * outputs * holds, noise], dim=-1).half())
        found.append(LayerStates(states, whose))
    return tuple(found)


def test_what_states_hold_is_found_and_other_scenes_states_do_not_help(probes):
    held = probes(*layers(probes, True))
    mixed = probes(*layers(probes, True, probes.shuffle(0)))
    nothing, position = probes(*layers(probes, False)), probes.position()
    for metric in ("raw_rmse", "points_error"):
        error = [float(x.errors[metric].mean()) for x in (held, mixed, nothing, position)]
        assert error[0] < 0.2 * min(error[1:])
        assert error[2] == pytest.approx(error[3], rel=0.1)  # noise adds nothing to the place
    assert held.errors["raw_rmse"].shape == (2, 20)
    assert held.errors["pck10"].shape == (1, 20)
    assert held.unexplained["depth"] < 0.05 < mixed.unexplained["depth"]


def test_the_position_control_knows_each_places_mean(probes):
    """Planes are alike in every row, and their cameras are the same: rays need no states."""
    position = probes.position()
    assert position.errors["rotation_error"].max() < 0.1
    assert position.errors["raw_rmse"].mean() > 0.05


def test_each_seed_is_chosen_on_a_part_of_its_own_and_order_stays_within_parts(probes):
    train, test = probes.shuffle(0)
    assert [len(order) for order in train] == [30, 10] and len(test[0]) == 20
    for order in (*train, *test):
        assert order.sort().values.tolist() == list(range(len(order)))
        assert (order != torch.arange(len(order))).all()  # nobody has its own
    parts = [torch.arange(30) // 10, torch.zeros(10)]
    for order, part in zip(train, parts, strict=True):
        assert_close(part[order], part)
    seeds = probes(*layers(probes, False)).errors["raw_rmse"]
    assert not torch.equal(seeds[0], seeds[1])


def test_scenes_of_several_shapes_and_numbers_of_views_are_one_set():
    one, other = split(20, 0), split(20, 20)
    fewer = ExactTeacher().label(synthetic_scenes(60).select(slice(20, 40)))
    fewer = fewer.replace(
        **{n: getattr(fewer, n)[:, :1] for n in ("depth", "valid", "intrinsics", "cam_to_world")},
        confidence=None,
    )
    fewer = Cells.from_labels(fewer, (2, 4), 4)
    assert len(other) == len(fewer)
    mixed = LayerProbes([one, fewer], [split(10, 40)], CONFIG)
    found = mixed(*layers(mixed, True))
    assert found.errors["raw_rmse"].mean() < 0.05


def test_a_single_scene_is_too_few():
    with pytest.raises(ValueError, match="two training scenes"):
        LayerProbes([split(1, 0)], [split(2, 1)], CONFIG)
