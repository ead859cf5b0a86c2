"""Datasets whose text was saved by other tools: byte order marks, UTF-16, CRLF, tabs, commas."""

import codecs
import re
import shutil

import numpy as np
import pytest

from helpers.datasets import WRITERS
from spatialsv.scenes.readers.formats import FORMATS

TEXT = {".txt", ".json", ".csv", ".pincam", ".traj"}
COMMENTED = {".txt", ".pincam", ".traj"}  # the formats of numbers, without quotes


def separated(separator):
    def change(text, suffix):
        return re.sub(r"(?<!#) ", separator, text) if suffix in COMMENTED else text

    return change


def commented(text, suffix):
    return f"# made by hand\n\n{text}\n# end\n" if suffix in COMMENTED else text


CHANGES = {
    "byte order mark": lambda text, _: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text, _: text.encode("utf-16"),
    "CRLF": lambda text, _: text.replace("\n", "\r\n"),
    "CR": lambda text, _: text.replace("\n", "\r"),
    "tabs": separated("\t"),
    "spaces": separated("   "),
    "commas": separated(","),
    "commas and spaces": separated(", "),
    "semicolons": separated("; "),
    "comments": commented,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_text_of_other_tools_is_the_same_capture(tmp_path, name, change):
    made = WRITERS[name](tmp_path / "made")
    copy = shutil.copytree(made.root, tmp_path / "copy")
    for path in copy.rglob("*"):
        if path.suffix in TEXT:
            content = CHANGES[change](path.read_text(), path.suffix)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (expected_path,), (found_path,) = (FORMATS[name].scenes(r) for r in (made.root, copy))
    expected, found = (FORMATS[name].capture(path) for path in (expected_path, found_path))
    assert [frame.id for frame in found.frames] == [frame.id for frame in expected.frames]
    for one, other in zip(found.frames, expected.frames, strict=True):
        np.testing.assert_array_equal(one.cam_to_world, other.cam_to_world)
        np.testing.assert_array_equal(one.intrinsics, other.intrinsics)
        assert one.time == other.time
        np.testing.assert_array_equal(one.depth(), other.depth())


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "match"),
    [
        (
            "tum",
            "groundtruth.txt",
            r"1305\d+",
            "1_305",
            r"groundtruth\.txt:2: not a number: '1_305",
        ),
        ("tum", "groundtruth.txt", r"(\n\S+) ", r"\1,,", r"groundtruth\.txt:2: could not convert"),
        ("replica", "traj.txt", r"1.0\n", "1.0 0\n", r"traj\.txt:1: expected 16 numbers, found 17"),
        ("arkitscenes", "lowres_wide.traj", r"\A", "\udcff", r"traj:1: not text, found .* 0xff"),
    ],
)
def test_a_line_that_is_not_understood_is_named(tmp_path, name, file, old, new, match):
    made = WRITERS[name](tmp_path)
    path = made.scene / file
    text = re.sub(old, new, path.read_text(), count=1)
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=match):
        FORMATS[name].capture(made.scene)
