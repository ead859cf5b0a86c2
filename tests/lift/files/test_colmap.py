import numpy as np
import pycolmap
from numpy.testing import assert_allclose

from helpers.lift_seen import with_pictures
from spatialsv.lift.files.cameras import write_colmap
from spatialsv.scenes.readers import colmap
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def test_pycolmap_sees_every_point_where_it_was_seen(result, cloud, tmp_path):
    write_colmap(tmp_path, result, cloud)
    model = pycolmap.Reconstruction(tmp_path)
    assert len(model.points3D) == len(cloud.points)
    pictures = result.image_intrinsics()
    for number, view in enumerate(result.views):
        image = model.images[number + 1]
        assert image.name == f"{number:04d}.jpg"
        camera = model.cameras[image.camera_id]
        assert (camera.width, camera.height) == view.image.size
        assert_allclose(camera.calibration_matrix(), pictures[number], rtol=1e-15)
        pose = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
        assert_allclose(pose @ result.scenes.cam_to_world[0, number], np.eye(4), atol=1e-14)
        (own,) = np.nonzero(cloud.view == number)
        assert len(image.points2D) == len(own)
        for row, point in zip(own, image.points2D, strict=True):
            found = model.points3D[point.point3D_id]
            assert_allclose(found.xyz, cloud.points[row], rtol=1e-15)
            assert (found.color == cloud.colours[row]).all()
            assert [(e.image_id, e.point2D_idx) for e in found.track.elements] == [
                (number + 1, row - own[0])
            ]
            assert_allclose(image.project_point(found.xyz), point.xy, atol=1e-9)
            column, line = np.floor(cloud.pixels[row]).astype(int)
            depth = (image.cam_from_world() * found.xyz)[2]
            assert_allclose(depth, result.scenes.depth[0, number, line, column], rtol=1e-12)


def test_keypoints_lie_in_the_picture_where_the_map_says(result, cloud, tmp_path):
    """The map's pixel (0, 0) stands for pixel (1, 1) of what was shown: 90 x 50 as 32 x 18."""
    write_colmap(tmp_path, result, cloud)
    image = pycolmap.Reconstruction(tmp_path).images[1]
    width, height = result.views[0].image.size
    u, v = cloud.pixels[0]
    expected = [(2 * (u - 0.5) + 1.5) * width / 32, (2 * (v - 0.5) + 1.5 - 3) * height / 18]
    assert_allclose(image.points2D[0].xy, expected, rtol=1e-12)


def test_our_own_reader_reads_it(result, cloud, tmp_path):
    write_colmap(tmp_path / "sparse" / "0", result, cloud)
    with_pictures(tmp_path, result)
    (place,) = colmap.scenes(tmp_path)
    frames = colmap.capture(place).frames
    assert_allclose([f.intrinsics for f in frames], result.image_intrinsics(), rtol=1e-12)
    assert_allclose([f.cam_to_world for f in frames], result.scenes.cam_to_world[0], atol=1e-12)
    scenes, skipped = load(colmap.capture(place), 8, Sampling(), None)
    assert not skipped and scenes[0].has_geometry
