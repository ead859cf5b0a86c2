import numpy as np
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from helpers.lift_seen import assert_seen_where_they_came_from
from spatialsv.lift.result import (
    DOTS,
    EDGES,
    GLTF_AXES,
    make_point_cloud,
    pyramids,
    view_colours,
    write_glb,
    write_ply,
)


def test_the_ply_holds_each_point_on_its_pixels_ray_at_its_depth(result, cloud, tmp_path):
    write_ply(tmp_path / "scene.ply", result, cloud)
    opened = trimesh.load(tmp_path / "scene.ply")
    assert isinstance(opened, trimesh.PointCloud)
    count = len(cloud.points)
    assert len(opened.vertices) == count + len(result.views) * len(EDGES) * DOTS
    assert_seen_where_they_came_from(result, cloud, opened.vertices[:count])
    assert_array_equal(opened.colors[:count, :3], cloud.colours)
    read = opened.metadata["_ply_raw"]["vertex"]["data"]
    assert_array_equal(read["view"].ravel()[:count], cloud.view)
    assert_array_equal(read["confidence"].ravel()[:count], cloud.confidence)
    assert (read["confidence"].ravel()[count:] == 0).all()


def test_cameras_are_dotted_from_their_centres(result, cloud, tmp_path):
    write_ply(tmp_path / "scene.ply", result, cloud)
    opened = trimesh.load(tmp_path / "scene.ply")
    dots = opened.vertices[len(cloud.points) :].reshape(len(result.views), -1, 3)
    colours = opened.colors[len(cloud.points) :].reshape(len(result.views), -1, 4)
    for number, pose in enumerate(result.scenes.cam_to_world[0]):
        away = np.linalg.norm(dots[number] - pose[:3, 3], axis=1)
        assert away.min() < 1e-6
        there = (dots[number] - pose[:3, 3]) @ pose[:3, :3]
        assert (there[:, 2] > -1e-6).all()  # in front of the camera
        assert (colours[number, :, :3] == view_colours(len(result.views))[number]).all()


def test_sparse_pc_is_the_points_alone(result, cloud, tmp_path):
    write_ply(tmp_path / "sparse_pc.ply", result, cloud, cameras=False)
    opened = trimesh.load(tmp_path / "sparse_pc.ply")
    assert_seen_where_they_came_from(result, cloud, opened.vertices)


def test_the_glb_holds_the_same_in_gltf_axes(result, cloud, tmp_path):
    write_glb(tmp_path / "scene.glb", result, cloud)
    opened = trimesh.load(tmp_path / "scene.glb").geometry
    points = trimesh.transform_points(opened["points"].vertices, GLTF_AXES)  # its own inverse
    assert_seen_where_they_came_from(result, cloud, points)
    assert_array_equal(np.asarray(opened["points"].colors)[:, :3], cloud.colours)
    assert set(opened) == {"points", "camera_0000", "camera_0001", "camera_0002"}
    corners = pyramids(result, cloud.extent())
    for number in range(len(result.views)):
        lines = opened[f"camera_{number:04d}"]
        ends = trimesh.transform_points(lines.vertices, GLTF_AXES)
        gaps = np.linalg.norm(ends[:, None] - corners[number], axis=-1)
        assert gaps.min(axis=0).max() < 1e-6 and gaps.min(axis=1).max() < 1e-6


def test_a_pyramids_base_is_what_the_camera_sees(result, cloud):
    for number, corners in enumerate(pyramids(result, extent=2.0)):
        rows, columns = result.views[number].window(result.size)
        pose, K = result.scenes.cam_to_world[0, number], result.scenes.intrinsics[0, number]
        there = (corners[1:] - pose[:3, 3]) @ pose[:3, :3] @ K.T
        assert_allclose(there[:, 2], 0.1)
        left, right, top, bottom = columns.start, columns.stop, rows.start, rows.stop
        expected = [[left, top], [right, top], [right, bottom], [left, bottom]]
        assert_allclose(there[:, :2] / there[:, 2:], expected, atol=1e-9)


def test_clouds_leave_out_the_invalid_and_the_least_sure(result):
    valid = result.scenes.valid[0]
    everything = make_point_cloud(result, percentile=0, max_points=10**6)
    assert len(everything.points) == valid.sum() and everything.skipped == 0
    half = make_point_cloud(result, percentile=50, max_points=10**6)
    assert len(half.points) == (valid.sum() + 1) // 2
    assert half.confidence.min() >= np.median(result.scenes.confidence[0][valid])
    few = make_point_cloud(result, percentile=0, max_points=50)
    assert len(few.points) == 50 and set(few.view) == {0, 1, 2}
    assert few.skipped == valid.sum() - 50
