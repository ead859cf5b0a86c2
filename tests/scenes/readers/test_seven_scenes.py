"""7-Scenes: the real frames agree on depth; what a sequence lacks is counted."""

import numpy as np
import pytest

from helpers.datasets import write_seven_scenes
from helpers.views import depth_errors, samples
from spatialsv.scenes.readers import seven_scenes
from spatialsv.scenes.readers.formats import detect
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def test_real_views_agree_on_depth():
    root = samples("7scenes")
    assert detect(root) == "7scenes"
    found = seven_scenes.scenes(root)
    assert [scene.name for scene in found] == ["seq-01", "seq-02", "seq-03", "seq-04"]
    for scene in found:
        capture = seven_scenes.capture(scene)
        assert capture.id == f"stairs/{scene.name}" and "non-commercial" in capture.licence
        (scenes,), skipped = load(capture, 3, Sampling(), None)
        assert not skipped and scenes.shape == (3, 480, 640)
        cameras = scenes.intrinsics[0], scenes.cam_to_world[0]
        errors = depth_errors(*cameras, scenes.depth[0])
        assert len(errors) > 100_000 and np.median(errors) < 0.01
        turned = np.swapaxes(scenes.cam_to_world[0, :, :3, :3], 1, 2)
        np.testing.assert_allclose(
            scenes.cam_to_world[0, :, :3, :3] @ turned, [np.eye(3)] * 3, atol=1e-12
        )
        assert (scenes.depth < 20).all() and not scenes.valid.all()  # 65535 is not 65 m


@pytest.mark.parametrize(
    ("part", "reason"),
    [("color.png", "missing image"), ("depth.png", "missing depth"), ("pose.txt", "no pose")],
)
def test_what_a_frame_lacks_is_counted(tmp_path, part, reason):
    made = write_seven_scenes(tmp_path)
    (made.scene / f"{made.ids[1]}.{part}").unlink()
    (scenes,), skipped = load(seven_scenes.capture(made.scene), 4, Sampling(), None)
    assert [error.reason for error in skipped] == [reason]
    assert scenes.frame_ids.tolist() == [[made.ids[0], *made.ids[2:]]]
