"""What all readers of datasets with depth owe: found, exact, and their frames as they were told."""

import numpy as np
import pytest

from helpers.datasets import FRAMES, WRITERS
from spatialsv.scenes.readers.formats import FORMATS, detect
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling
from spatialsv.scenes.scene import find_invalid_value

WITH_DEPTH = sorted(set(WRITERS) - {"hypersim"})  # whose depth has a test of its own


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_dataset_is_found_and_told_from_all_others(tmp_path, name):
    made = WRITERS[name](tmp_path)
    assert detect(made.root) == detect(made.scene) == name
    assert FORMATS[name].scenes(made.root) == FORMATS[name].scenes(made.scene) == [made.scene]
    for other, reader in FORMATS.items():
        if other not in (name, "photos", "video"):
            assert reader.scenes(made.root) == [], other


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_frames_are_in_order_with_their_own_names(tmp_path, name):
    made = WRITERS[name](tmp_path)
    capture = FORMATS[name].capture(made.scene)
    assert [frame.id for frame in capture.frames] == made.ids
    assert capture.unit == "metre" and capture.source == name.removesuffix("_dslr").removesuffix(
        "_iphone"
    )
    assert capture.licence != "unknown"


@pytest.mark.parametrize("name", WITH_DEPTH)
def test_cameras_and_depth_are_exact(tmp_path, name):
    made = WRITERS[name](tmp_path)
    for i, frame in enumerate(FORMATS[name].capture(made.scene).frames):
        np.testing.assert_allclose(frame.cam_to_world, made.poses[i], rtol=0, atol=1e-6)
        np.testing.assert_allclose(frame.intrinsics, made.intrinsics, rtol=0, atol=1e-9)
        depth = frame.depth()
        np.testing.assert_allclose(depth, made.depth[i], rtol=0, atol=made.quantum / 10)
        known = len(depth) // 8 * 2
        assert (depth[:known] == 0).all() and (depth[known:] > 0).all()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_scenes_are_sound(tmp_path, name):
    made = WRITERS[name](tmp_path)
    (scenes,), skipped = load(FORMATS[name].capture(made.scene), FRAMES, Sampling(), 64 * 48)
    assert scenes.shape[0] == FRAMES and scenes.frame_ids.tolist() == [made.ids]
    assert scenes.has_geometry and find_invalid_value(scenes) is None
    assert 0.5 < scenes.valid.mean() < 0.9
    assert {error.reason for error in skipped} <= {"marked bad", "held out for testing"}
