"""Against evo, on the TUM sample and on made-up paths."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.trajectory import (
    absolute_trajectory_error,
    align_trajectory,
    associate,
    relative_pose_errors,
)

SAMPLE = Path(os.environ.get("SPATIALSV_SAMPLES", "external")) / "tum"
needs_sample = pytest.mark.skipif(
    not SAMPLE.exists(), reason="needs the real sample, in SPATIALSV_SAMPLES"
)


def read_tum(name):
    """Timestamps and camera-to-world poses."""
    rows = np.loadtxt(SAMPLE / name)
    turn = torch.from_numpy(Rotation.from_quat(rows[:, 4:]).as_matrix())
    return torch.from_numpy(rows[:, 0]), make_pose(turn, torch.from_numpy(rows[:, 1:4]))


@pytest.fixture(scope="module")
def tum():
    """The estimated and the true path, associated; 785 pairs."""
    times, poses = read_tum("freiburg1_xyz-rgbdslam.txt")
    true_times, true_poses = read_tum("freiburg1_xyz-groundtruth.txt")
    ours, theirs = associate(times, true_times, max_difference=0.01)
    return poses[ours], true_poses[theirs]


@needs_sample
def test_tum_sample_has_the_errors_that_evo_prints(tum):
    """What evo 1.38.1 prints by its defaults, RPE unaligned."""
    prediction, target = tum
    assert len(prediction) == 785
    errors = {
        "unaligned": prediction,
        "se3": align_trajectory(prediction, target, with_scale=False),
        "sim3": align_trajectory(prediction, target),
    }
    ate = {name: absolute_trajectory_error(path, target).item() for name, path in errors.items()}
    expected = {"unaligned": 0.020079418, "se3": 0.013470089, "sim3": 0.013389385}
    assert ate == pytest.approx(expected, abs=1e-8)
    rpe = relative_pose_errors(prediction, target)
    assert rpe.translation.item() == pytest.approx(0.005764371, abs=1e-8)
    assert rpe.rotation.item() == pytest.approx(0.353613161, abs=1e-7)


def evo_path(poses):
    from evo.core.trajectory import PosePath3D

    return PosePath3D(poses_se3=list(poses.numpy()))


def evo_errors(prediction, target, with_scale, delta):
    """ATE and RPE's two parts by evo, after its own alignment."""
    from evo.core import metrics

    estimate, reference = evo_path(prediction), evo_path(target)
    estimate.align(reference, correct_scale=with_scale)
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((reference, estimate))
    found = [ape.get_statistic(metrics.StatisticsType.rmse)]
    for part in ("translation_part", "rotation_angle_deg"):
        relation = getattr(metrics.PoseRelation, part)
        rpe = metrics.RPE(relation, delta, metrics.Unit.frames, all_pairs=True)
        rpe.process_data((reference, estimate))
        found.append(rpe.get_statistic(metrics.StatisticsType.rmse))
    return found


def our_errors(prediction, target, with_scale, delta):
    aligned = align_trajectory(prediction, target, with_scale)
    rpe = relative_pose_errors(aligned, target, delta)
    ate = absolute_trajectory_error(aligned, target)
    return [x.item() for x in (ate, rpe.translation, rpe.rotation)]


@needs_sample
@pytest.mark.parametrize("with_scale", [True, False])
@pytest.mark.parametrize("delta", [1, 5])
def test_tum_sample_matches_evo(tum, with_scale, delta):
    pytest.importorskip("evo")
    ours, theirs = (errors(*tum, with_scale, delta) for errors in (our_errors, evo_errors))
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("with_scale", [True, False])
def test_random_paths_match_evo(draw, with_scale):
    pytest.importorskip("evo")
    target, motion = draw.pose((30,)), draw.pose()
    prediction = motion @ target @ make_pose(draw.rotation((30,)), draw.uniform(-0.2, 0.2, (30, 3)))
    ours = our_errors(prediction, target, with_scale, 2)
    assert ours == pytest.approx(evo_errors(prediction, target, with_scale, 2), abs=1e-6)


@pytest.mark.parametrize("max_difference", [0.005, 0.02])
def test_timestamps_are_associated_as_evo_does(draw, max_difference):
    sync = pytest.importorskip("evo.core.sync")
    first = draw.uniform(0, 3, (40,)).sort().values
    second = draw.uniform(0.2, 2.9, (200,)).sort().values
    ours = associate(first, second, max_difference)
    theirs = sync.matching_time_indices(first.numpy(), second.numpy(), max_difference)
    assert [indices.tolist() for indices in ours] == list(map(list, theirs))
    assert 0 < len(ours[0]) < 40


def test_timestamps_need_no_order_and_none_is_made_up():
    first = torch.tensor([1.0, 2.0, 3.0, 9.0]).double()
    second = torch.tensor([3.01, 0.99, 2.5]).double()
    ours, theirs = associate(first, second)
    assert (ours.tolist(), theirs.tolist()) == ([0, 2], [1, 0])
    assert [len(x) for x in associate(first, second[:0])] == [0, 0]


def test_a_path_in_another_frame_and_unit_is_aligned(draw):
    target, motion = draw.pose((10,)), draw.pose()
    prediction = motion @ target
    prediction[:, :3, 3] *= 3
    assert_close(align_trajectory(prediction, target), target)
    assert our_errors(prediction, target, True, 1) == pytest.approx([0, 0, 0], abs=1e-6)
    assert absolute_trajectory_error(align_trajectory(prediction, target, False), target) > 0.1


def test_errors_worked_by_hand():
    """One pose is 3 off to the side, one is turned by 90 degrees."""
    target = torch.eye(4).double().repeat(3, 1, 1)
    target[:, 2, 3] = torch.tensor([0.0, 1.0, 2.0])
    prediction = target.clone()
    prediction[1, 0, 3] = 3
    prediction[2, :2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert absolute_trajectory_error(prediction, target).item() == pytest.approx((9 / 3) ** 0.5)
    rpe = relative_pose_errors(prediction, target)
    assert rpe.translation.item() == pytest.approx(3)  # there and back
    assert rpe.rotation.item() == pytest.approx((90**2 / 2) ** 0.5)


def test_nothing_to_measure_is_nan(draw):
    one = draw.pose((1,))
    rpe = relative_pose_errors(one, one)
    assert rpe.translation.isnan()
    assert rpe.rotation.isnan()
    assert absolute_trajectory_error(one[:0], one[:0]).isnan()
    assert align_trajectory(one, one)[0, :3, 3].isnan().all()  # a scale cannot be known
