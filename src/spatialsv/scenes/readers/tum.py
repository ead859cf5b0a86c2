"""TUM RGB-D (Sturm et al. 2012): rgb.txt, depth.txt and groundtruth.txt, associated by time.

Poses are camera-to-world of the colour camera, with quaternions x y z w. Depth PNGs have a unit of
1/5000 m, 0 where unknown, and are registered to the distorted colour image. K is the authors' for
each of their three cameras, identified by the directory name; their pixel centres are at integers.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    intrinsics_matrix,
    resolve_below,
    split_fields,
    to_half_integer_centres,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import collect_frames, find_folders, holds_most, lines, row
from spatialsv.scenes.readers.lens import Lens

LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")
CAMERA = re.compile(r"(?:freiburg|fr)([123])(?!\d)")
INTRINSICS = {
    "1": intrinsics_matrix(517.3, 516.5, 318.6, 255.3),
    "2": intrinsics_matrix(520.9, 521.0, 325.1, 249.7),
    "3": intrinsics_matrix(535.4, 539.2, 320.1, 247.6),
}
LENSES = {  # images of the third camera are already undistorted
    "1": Lens("radial", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "2": Lens("radial", (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
}
DEFAULT = intrinsics_matrix(525.0, 525.0, 319.5, 239.5)  # ROS's default, for other recordings
SIZE = (640, 480)
MAX_GAP = 0.02  # maximum seconds between an image and its depth or pose
PER_METRE = 5000.0
MAX_DEVIATION = 1e-2  # of a quaternion's norm from 1; files have four digits


def scenes(root: Path) -> list[Path]:
    """Return the directories with the three lists, or two of them."""
    return find_folders(root, lambda folder: holds_most(folder, LISTS))


def capture(scene: Path) -> Capture:
    """Return the images with depth and a pose, by time."""
    images, depths = (_listed(scene / name) for name in LISTS[:2])
    poses = [(where, row(text, 8, where)) for where, text in lines(scene / LISTS[2])]
    times = [_times(images), _times(depths), np.array([numbers[0] for _, numbers in poses])]
    depth_of, pose_of = (associate(times[0], other) for other in times[1:])
    camera = CAMERA.search(scene.resolve().name)
    number = camera.group(1) if camera else ""

    def frame(index: int) -> Frame:
        where, time, name = images[index]
        if index not in depth_of:
            raise FrameError("no depth at that time", where)
        if index not in pose_of:
            raise FrameError("no pose at that time", where)
        depth = resolve_below(scene, depths[depth_of[index]][2])
        return Frame(
            id=time,
            image=resolve_below(scene, name),
            time=float(time),
            size=SIZE,
            intrinsics=to_half_integer_centres(INTRINSICS.get(number, DEFAULT)),
            lens=LENSES.get(number),
            cam_to_world=_pose(*poses[pose_of[index]]),
            depth=partial(read_depth, depth, PER_METRE),
        )

    frames, skipped = collect_frames(np.argsort(times[0], kind="stable").tolist(), frame)
    return Capture(
        id=scene.resolve().name, frames=frames, skipped=skipped, source="tum", licence="CC BY 4.0"
    )


def associate(
    times: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"], apart: float = MAX_GAP
) -> dict[int, int]:
    """Associate times one to one, nearest pairs first, as the authors' associate.py does.

    Args:
        times: seconds.
        others: seconds.
        apart: maximum difference, seconds.

    Returns:
        Index in `times` -> index in `others`.
    """
    order = np.argsort(others)
    ends = [np.searchsorted(others[order], times + way) for way in (-apart, apart)]
    pairs = sorted(
        (abs(times[i] - others[j]), i, int(j))
        for i, (low, high) in enumerate(zip(*ends, strict=True))
        for j in order[low:high]
    )
    matches: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in matches and j not in taken:
            matches[i] = j
            taken.add(j)
    return matches


def _listed(path: Path) -> list[tuple[str, str, str]]:
    """Return position, time as written and file name of each line."""
    found = []
    for where, text in lines(path):
        time, name = [*split_fields(text, 1), ""][:2]
        if not np.isfinite(row(time, 1, where)[0]):
            raise CaptureError(f"{where}: expected a time in seconds, found {time}.")
        found.append((where, time, name))
    return found


def _times(listed: list[tuple[str, str, str]]) -> Float[np.ndarray, " n"]:
    return np.array([float(time) for _, time, _ in listed])


def _pose(where: str, numbers: Float[np.ndarray, "8"]) -> Float[np.ndarray, "4 4"]:
    length = np.linalg.norm(numbers[4:])
    if not abs(length - 1) < MAX_DEVIATION:
        raise FrameError("pose not rigid", f"{where}: a quaternion of norm {length}")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(numbers[4:]).as_matrix()
    pose[:3, 3] = numbers[1:4]
    return pose
