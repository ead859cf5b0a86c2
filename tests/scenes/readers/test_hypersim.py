"""Hypersim: a tilted lens and distances, checked against the authors' own projection matrix."""

import builtins

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import PROJECTION, TILTED, WRITERS, write_hypersim
from spatialsv.scenes.readers import hypersim
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling

h5py = pytest.importorskip("h5py")
METRES = 0.0254


def points_world(frame):
    """Every pixel's point, in metres, by what the reader tells."""
    depth = frame.depth().astype(float)
    v, u = np.indices(depth.shape) + 0.5
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(frame.intrinsics).T
    pose = frame.cam_to_world
    return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]


def test_points_lie_where_the_authors_cast_their_rays(tmp_path):
    made = write_hypersim(tmp_path)
    for i, frame in enumerate(hypersim.capture(made.scene).frames):
        height, width = made.distances[i].shape
        v, u = np.indices((height, width)) + 0.5
        uv = np.stack([2 * u / width - 1, 1 - 2 * v / height, np.ones_like(u)], axis=-1)
        rays = uv @ np.array(TILTED).T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        opengl = made.poses[i, :3, :3] * [1, -1, -1]
        expected = (rays * made.distances[i][..., None]) @ opengl.T + made.poses[i, :3, 3]
        known = np.isfinite(made.distances[i])
        np.testing.assert_allclose(points_world(frame)[known], expected[known], atol=2e-6)
        assert (frame.depth() > 0).tolist() == known.tolist()


def test_points_project_by_the_authors_matrix_to_their_pixels(tmp_path):
    made = write_hypersim(tmp_path)
    frame = hypersim.capture(made.scene).frames[1]
    height, width = frame.depth().shape
    opengl = np.eye(4)
    opengl[:3, :3] = made.poses[1, :3, :3] * [1, -1, -1]
    opengl[:3, 3] = made.poses[1, :3, 3] / METRES
    points = np.concatenate([points_world(frame) / METRES, np.ones((height, width, 1))], axis=-1)
    clip = points @ np.linalg.inv(opengl).T @ np.array(PROJECTION).T
    device = clip[..., :2] / clip[..., 3:]
    pixels = (device * [1, -1] + 1) / 2 * [width, height]
    v, u = np.indices((height, width)) + 0.5
    known = frame.depth() > 0
    np.testing.assert_allclose(pixels[known], np.stack([u, v], axis=-1)[known], atol=1e-3)
    usual = frame.intrinsics - [[0, 0, width / 2], [0, 0, height / 2], [0, 0, 0]]
    assert np.abs(usual[:2, 2]).max() > 3  # its middle is far from the image's


def test_a_usual_lens_is_one_of_60_degrees():
    usual = np.diag([np.tan(np.pi / 6), np.tan(np.pi / 6) * 0.75, -1.0])
    K, turn = hypersim._pinhole(usual, 1024, 768)
    focal = 512 / np.tan(np.pi / 6)
    np.testing.assert_allclose(K, [[focal, 0, 512], [0, focal, 384], [0, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(turn, np.eye(3), atol=1e-12)


def test_images_are_mapped_as_the_authors_do(tmp_path):
    made = write_hypersim(tmp_path)
    frame = hypersim.capture(made.scene).frames[0]
    images = tmp_path / "ai_037_002/images"
    with h5py.File(images / "scene_cam_00_final_hdf5/frame.0000.color.hdf5") as file:
        colour = file["dataset"][:].astype(np.float32)
    with h5py.File(images / "scene_cam_00_geometry_hdf5/frame.0000.render_entity_id.hdf5") as file:
        valid = file["dataset"][:] != -1
    assert 0 < valid.mean() < 1
    bright = 0.3 * colour[:, :, 0] + 0.59 * colour[:, :, 1] + 0.11 * colour[:, :, 2]
    scale = np.power(0.8, 2.2) / np.percentile(bright[valid], 90)
    mapped = np.clip(np.power(np.maximum(scale * colour, 0), 1 / 2.2), 0, 1)
    np.testing.assert_allclose(np.asarray(frame.image()) / 255, mapped, atol=0.5 / 255 + 1e-6)


def test_a_dark_or_empty_image_stays_so(tmp_path):
    for name, ids in (("dark", 1), ("empty", -1)):
        for kind, values in (("c", np.full((4, 5, 3), 5e-5)), ("e", np.full((4, 5), ids))):
            with h5py.File(tmp_path / f"{name}.{kind}", "w") as file:
                file["dataset"] = values
    dark, empty = (
        hypersim.tone_map(tmp_path / f"{n}.c", tmp_path / f"{n}.e") for n in ("dark", "empty")
    )
    assert not np.asarray(dark).any()
    assert (np.asarray(empty) == round(255 * 5e-5 ** (1 / 2.2))).all()


def test_a_preview_stands_in_for_an_image_that_was_not_downloaded(tmp_path):
    made = write_hypersim(tmp_path)
    (scenes,), skipped = load(hypersim.capture(made.scene), 4, Sampling(), None)
    assert not skipped and scenes.shape == (4, 48, 64)
    preview = tmp_path / "ai_037_002/images/scene_cam_00_final_preview/frame.0003.tonemap.jpg"
    np.testing.assert_array_equal(scenes.image[0, 3], np.asarray(Image.open(preview)))


def test_positions_are_made_metres(tmp_path):
    made = write_hypersim(tmp_path)
    frames = hypersim.capture(made.scene).frames
    np.testing.assert_allclose([f.cam_to_world[:3, 3] for f in frames], made.poses[:, :3, 3])


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("metadata_camera_parameters.csv", r"no metadata_camera_parameters.csv\. Copy it"),
        ("ai_037_002/_detail/metadata_scene.csv", "metadata_scene.csv: no such file"),
        ("ai_037_002/_detail/cam_00/camera_keyframe_orientations.hdf5", "no such file"),
    ],
)
def test_no_camera_is_guessed(tmp_path, file, match):
    made = write_hypersim(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CaptureError, match=match):
        hypersim.capture(made.scene)


def test_a_scene_that_the_table_lacks_is_refused(tmp_path):
    made = write_hypersim(tmp_path)
    path = tmp_path / "metadata_camera_parameters.csv"
    path.write_text(path.read_text().replace("ai_037_002", "ai_037_003"))
    with pytest.raises(CaptureError, match=r"parameters\.csv: no valid camera of ai_037_002"):
        hypersim.capture(made.scene)


def test_without_h5py_the_remedy_is_told(tmp_path, monkeypatch):
    made = WRITERS["hypersim"](tmp_path)
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CaptureError, match=r"pip install 'spatialsv\[readers\]'"):
        hypersim.capture(made.scene)
