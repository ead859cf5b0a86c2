"""ARKitScenes: both layouts, and times a millisecond apart, not two."""

import pytest

from helpers.datasets import write_arkitscenes
from spatialsv.scenes.readers import arkitscenes
from spatialsv.scenes.readers.capture import CaptureError


@pytest.mark.parametrize("layout", ["raw", "3dod"])
def test_both_layouts_are_one_video(tmp_path, layout):
    made = write_arkitscenes(tmp_path, layout=layout)
    (scene,) = arkitscenes.scenes(tmp_path)
    capture = arkitscenes.capture(scene)
    assert capture.id == "40753679" and "non-commercial" in capture.licence
    assert [frame.id for frame in capture.frames] == made.ids
    assert [frame.time for frame in capture.frames] == [9998.605, 9998.705, 9998.805, 9998.905]


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("lowres_depth", "no depth at that time"),
        ("lowres_wide_intrinsics", "no intrinsics"),
    ],
)
def test_two_milliseconds_are_too_far(tmp_path, folder, reason):
    made = write_arkitscenes(tmp_path)
    first = min((made.scene / folder).iterdir())
    video, time = first.stem.split("_")
    first.rename(first.with_name(f"{video}_{float(time) + 0.003:.3f}{first.suffix}"))
    capture = arkitscenes.capture(made.scene)
    assert [error.reason for error in capture.skipped] == [reason]
    assert [frame.id for frame in capture.frames] == made.ids[1:]


def test_images_without_a_pose_are_skipped(tmp_path):
    made = write_arkitscenes(tmp_path)
    path = made.scene / "lowres_wide.traj"
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    capture = arkitscenes.capture(made.scene)
    assert [error.reason for error in capture.skipped] == ["no pose at that time"] * 2
    assert [frame.id for frame in capture.frames] == made.ids[2:]


def test_a_broken_line_is_named(tmp_path):
    made = write_arkitscenes(tmp_path)
    path = made.scene / "lowres_wide.traj"
    path.write_text(path.read_text() + "9999.0 1 2 3 4 5\n")
    with pytest.raises(CaptureError, match=r"lowres_wide\.traj:5: expected 7 numbers, found 6"):
        arkitscenes.capture(made.scene)
