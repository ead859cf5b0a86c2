"""Datasets that are damaged: refused with a name, or frames skipped and counted; never a wrong one.

What is delivered after any damage must be what was delivered before it.
"""

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.datasets import WRITERS
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.formats import FORMATS
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling
from spatialsv.scenes.scene import find_invalid_value

TEXT = {".txt", ".json", ".csv", ".pincam", ".traj"}
NUMBER = re.compile(r"-?\d[\d.e-]*")
WRONG = ("nan", "-inf", "1e999", "-1e400", "x", "", "\0", "../../x", "7 7", "[", "9" * 5000)


class Whole:
    """A format's dataset, and what it delivers undamaged."""

    def __init__(self, name, folder):
        self.name, self.made = name, WRITERS[name](folder)
        frames = FORMATS[name].capture(self.made.scene).frames
        self.before = {frame.id: (frame.cam_to_world, frame.depth()) for frame in frames}


@pytest.fixture(scope="module", params=sorted(WRITERS))
def whole(request, tmp_path_factory):
    return Whole(request.param, tmp_path_factory.mktemp(request.param))


def delivered(name, scene):
    """The frames after the damage, and how many were skipped; None where it is refused."""
    try:
        capture = FORMATS[name].capture(scene)
        (scenes,), skipped = load(capture, 99, Sampling(), 32 * 24)
    except CaptureError as error:
        return None, str(error)
    assert find_invalid_value(scenes) is None and scenes.has_cameras
    names = scenes.frame_ids[0].tolist()
    return [frame for frame in capture.frames if frame.id in names], skipped


def check(whole, scene):
    """How many frames there are, good and skipped; None where the capture is refused."""
    frames, told = delivered(whole.name, scene)
    if frames is None:
        assert told
        return None
    assert frames
    for frame in frames:
        pose, depth = whole.before[frame.id]
        np.testing.assert_allclose(frame.cam_to_world, pose, rtol=0, atol=1e-9)
        now = frame.depth()
        assert now.shape == depth.shape and (now[now > 0] == depth[now > 0]).all()
    return len(frames) + len(told)


def damage_text(data, path):
    text = path.read_text()
    how = data.draw(st.sampled_from(("cut", "word", "swap")), label="how")
    if how == "cut":  # after a word: a truncated number may be valid
        ends = [m.start() for m in re.finditer(r"[\s,]", text)]
        path.write_text(text[: data.draw(st.sampled_from(ends), label="end")])
    elif how == "word":
        found = data.draw(st.sampled_from(list(NUMBER.finditer(text))), label="number")
        wrong = data.draw(st.sampled_from(WRONG), label="wrong")
        path.write_text(text[: found.start()] + wrong + text[found.end() :])
    else:
        path.write_text(text.replace("\n", "\r\n\r\n"))


def damage_picture(data, path):
    how = data.draw(st.sampled_from(("none", "far", "wide", "colour", "bits")), label="how")
    deep = Image.open(path).mode.startswith("I")
    size = Image.open(path).size
    if how in ("none", "far") and deep:
        value = 0 if how == "none" else 65535
        Image.fromarray(np.full(size[::-1], value, np.uint16)).save(path)
    elif how == "wide":
        wide = np.full((size[1], 2 * size[0]), 1000, np.uint16)
        (Image.fromarray(wide) if deep else Image.new("RGB", wide.shape[::-1])).save(path)
    elif how == "colour" and deep:
        Image.new("RGB", size, (9, 9, 9)).save(path)
    elif how == "bits" and deep:
        Image.new("L", size, 9).save(path)


def damage_hdf5(data, path):
    with h5py.File(path) as file:
        values = file["dataset"][...]
    bad = {
        "nothing": {},
        "other name": {"data": values},
        "fewer axes": {"dataset": values[0]},
        "other shape": {"dataset": values[..., :-1]},
        "text": {"dataset": np.full(values.shape, b"x", "S1")},
        "lost": {"dataset": np.full(values.shape, np.nan)},
        "endless": {"dataset": np.full(values.shape, np.inf)},
    }
    with h5py.File(path, "w") as file:
        for key, value in bad[data.draw(st.sampled_from(sorted(bad)), label="how")].items():
            file[key] = value


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_never_delivers_what_is_wrong(whole, data):
    made = whole.made
    with TemporaryDirectory() as folder:
        root = Path(shutil.copytree(made.root, Path(folder) / "copy"))
        files = sorted(path for path in root.rglob("*") if path.is_file())
        some = st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True)
        for path in data.draw(some, label="files"):
            how = data.draw(st.sampled_from(("delete", "noise", "cut", "own")), label="damage")
            if how == "delete":
                path.unlink()
            elif how == "noise":
                path.write_bytes(data.draw(st.binary(max_size=200), label="noise"))
            elif how == "cut" and path.suffix not in TEXT:
                content = path.read_bytes()
                path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
            elif path.suffix in TEXT:
                damage_text(data, path)
            elif path.suffix == ".hdf5":
                damage_hdf5(data, path)
            else:
                damage_picture(data, path)
        check(whole, root / made.scene.relative_to(made.root))


def test_every_file_that_is_lost_or_empty_is_missed(whole):
    """A frame's own file: the frame is counted. A file of all frames: the capture is refused."""
    good = check(whole, whole.made.scene)
    files = sorted(path for path in whole.made.root.rglob("*") if path.is_file())
    own = {path for path in files if re.search(r"\d", path.stem)}
    for path in files:
        content = path.read_bytes()
        path.unlink()
        lost = check(whole, whole.made.scene)
        path.write_bytes(b"")
        empty = check(whole, whole.made.scene)
        path.write_bytes(content)
        if path.parent.name == "lowres_wide":  # of ARKitScenes, whose images nothing lists
            assert (lost, empty) == (good - 1, good), path
        elif path in own:
            assert (lost, empty) == (good, good), path
        else:
            assert lost is None or "extrinsic" in path.name, path
            assert empty is None, path
