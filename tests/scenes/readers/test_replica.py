"""Replica as NICE-SLAM rendered it: counts that differ, and a camera that must be told."""

import json

import pytest

from helpers.datasets import write_replica
from spatialsv.scenes.readers import replica
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def test_a_frame_has_the_line_of_its_number(tmp_path):
    made = write_replica(tmp_path)
    (made.scene / "results/frame000001.jpg").unlink()
    (made.scene / "results/depth000002.png").unlink()
    text = (made.scene / "traj.txt").read_text()
    (made.scene / "traj.txt").write_text("\n".join(text.splitlines()[:3]) + "\n")
    (scenes,), skipped = load(replica.capture(made.scene), 4, Sampling(), None)
    assert scenes.frame_ids.tolist() == [["frame000000"]]
    reasons = sorted(error.reason for error in skipped)
    assert reasons == ["missing depth", "missing image", "no pose"]


def test_a_broken_line_is_named(tmp_path):
    made = write_replica(tmp_path)
    path = made.scene / "traj.txt"
    path.write_text(path.read_text() + "1 0 0\n")
    with pytest.raises(CaptureError, match=r"traj\.txt:5: expected 16 numbers, found 3"):
        replica.capture(made.scene)


@pytest.mark.parametrize(
    "changes", [{"scale": 0}, {"scale": None}, {"w": 0}, {"fx": "wide"}, {"cy": [1]}]
)
def test_a_camera_that_cannot_be_is_refused(tmp_path, changes):
    made = write_replica(tmp_path)
    path = tmp_path / "cam_params.json"
    camera = json.loads(path.read_text())["camera"]
    path.write_text(json.dumps({"camera": camera | changes}))
    with pytest.raises(CaptureError, match=r"cam_params\.json: camera: "):
        replica.capture(made.scene)
    path.unlink()
    with pytest.raises(CaptureError, match=r"cam_params\.json: no such file"):
        replica.capture(made.scene)
