import json
from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from helpers.lift_seen import with_pictures
from spatialsv.lift.files.cameras import write_transforms
from spatialsv.lift.files.maps import DEPTH_STEPS, write_maps
from spatialsv.scenes.readers import nerfstudio
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def test_our_own_reader_reads_back_what_was_lifted(result, tmp_path):
    with_pictures(tmp_path, result)
    write_maps(tmp_path, result)
    write_transforms(tmp_path / "transforms.json", result)
    (place,) = nerfstudio.scenes(tmp_path)
    capture = nerfstudio.capture(place)
    assert not capture.skipped and capture.unit == "relative"
    lifted = result.scenes
    for number, frame in enumerate(capture.frames):
        assert_allclose(frame.intrinsics, result.image_intrinsics()[number], rtol=1e-12)
        assert_allclose(frame.cam_to_world, lifted.cam_to_world[0, number], atol=1e-12)
        shown = (0, number, *result.views[number].window(result.size))
        expected = np.where(lifted.valid[shown], lifted.depth[shown], 0)
        assert_allclose(frame.depth(), expected, atol=0.51 / DEPTH_STEPS)


def test_where_picture_and_map_are_of_one_size_pixels_keep_their_depths(result, tmp_path):
    """Through the whole reader, as `spatialsv ingest` goes."""
    size = result.size
    views = [
        replace(
            v,
            image=v.image.resize(size[::-1]),
            model_input=v.model_input[: size[0], : size[1]],
            content=(0, 0, *size[::-1]),
        )
        for v in result.views
    ]
    small = replace(result, views=views)
    with_pictures(tmp_path, small)
    write_maps(tmp_path, small)
    write_transforms(tmp_path / "transforms.json", small)
    [scenes], skipped = load(nerfstudio.capture(tmp_path / "transforms.json"), 8, Sampling(), None)
    assert not skipped
    assert_array_equal(scenes.valid, result.scenes.valid)
    expected = np.where(result.scenes.valid, result.scenes.depth, 0)
    assert_allclose(scenes.depth, expected, atol=0.51 / DEPTH_STEPS)
    assert_allclose(scenes.intrinsics, result.scenes.intrinsics, rtol=1e-12)
    assert_allclose(scenes.cam_to_world, result.scenes.cam_to_world, atol=1e-12)


def test_camera_axes_are_opengls(result, tmp_path):
    """The first camera is the world's own: its y points up, it looks along -z."""
    with_pictures(tmp_path, result)
    write_transforms(tmp_path / "transforms.json", result)
    said = json.loads((tmp_path / "transforms.json").read_text())
    assert_array_equal(said["frames"][0]["transform_matrix"], np.diag([1, -1, -1, 1]))
    assert said["ply_file_path"] == "sparse_pc.ply"
