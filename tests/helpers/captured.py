"""What a reader makes of a folder: scenes, or a refusal that says where."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialsv.scenes.readers.capture import Capture, CaptureError, Format
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling

Views = dict[str, tuple[np.ndarray, ...]]


def only(form: Format, root: Path) -> Capture:
    """The one capture at or below `root`."""
    (scene,) = form.scenes(root)
    return form.capture(scene)


def loaded(form: Format, root: Path) -> tuple[Views, list[str], list[str]]:
    """All views below `root`: image, K, pose and depth, by scene and frame; the reasons of those
    that were skipped; and what was said of captures that were refused."""
    views, reasons, refused = {}, [], []
    for scene in form.scenes(root):
        try:
            scenes, skipped = load(form.capture(scene), 100, Sampling(), None)
        except CaptureError as error:
            refused.append(str(error))
            continue
        reasons += [error.reason for error in skipped]
        for one in scenes:
            arrays = tuple(map(one.get, ("image", "intrinsics", "cam_to_world", "depth")))
            for row, frame in enumerate(one.frame_ids[0]):
                views[f"{one.ids[0]}:{frame}"] = tuple(a[0, row] for a in arrays if a is not None)
    return views, reasons, refused


def project(points: np.ndarray, intrinsics: np.ndarray, cam_to_world: np.ndarray) -> np.ndarray:
    """u, v and z of (n, 3) points of the world in an OpenCV camera."""
    there = (points - cam_to_world[:3, 3]) @ cam_to_world[:3, :3]
    return np.column_stack(
        [there[:, :2] / there[:, 2:] @ intrinsics[:2, :2].T + intrinsics[:2, 2], there[:, 2]]
    )


def assert_none_is_wrong(whole: Views, found: Views) -> None:
    """What is delivered of a broken source is what the whole one gives."""
    for name, arrays in found.items():
        for good, array in zip(whole[name], arrays, strict=False):
            np.testing.assert_array_equal(array, good, err_msg=name)
