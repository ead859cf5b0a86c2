"""TUM RGB-D (Sturm et al. 2012): rgb.txt, depth.txt and groundtruth.txt, joined by their times.

Poses are camera-to-world of the colour camera, quaternions x y z w. Depth PNGs hold 1/5000 m, 0
where unknown; their pixels are the colour image's, lens included. K is what the authors give for
each of their three cameras, told by the folder's name; their pixel centres are at integers.
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
    to_half_integer_centres,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import collect_frames, find_folders, lines, row
from spatialsv.scenes.readers.lens import Lens

LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")
CAMERA = re.compile(r"(?:freiburg|fr)([123])(?!\d)")
INTRINSICS = {
    "1": intrinsics_matrix(517.3, 516.5, 318.6, 255.3),
    "2": intrinsics_matrix(520.9, 521.0, 325.1, 249.7),
    "3": intrinsics_matrix(535.4, 539.2, 320.1, 247.6),
}
LENSES = {  # the third camera's images were undistorted by the authors
    "1": Lens("radial", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "2": Lens("radial", (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
}
DEFAULT = intrinsics_matrix(
    525.0, 525.0, 319.5, 239.5
)  # ROS's default, for other people's recordings
SIZE = (640, 480)
MAX_GAP = 0.02  # seconds between an image and its depth or pose, at most
PER_METRE = 5000.0
MAX_DEVIATION = 1e-2  # how far a quaternion's length may be from 1; the authors' have four digits


def scenes(root: Path) -> list[Path]:
    """The folders with all three lists."""
    return find_folders(root, lambda folder: all((folder / name).is_file() for name in LISTS))


def capture(scene: Path) -> Capture:
    """The images that have depth and a pose, by time."""
    images, depths = (_listed(scene / name) for name in LISTS[:2])
    told = [(where, row(text, 8, where)) for where, text in lines(scene / LISTS[2])]
    times = [_times(images), _times(depths), np.array([numbers[0] for _, numbers in told])]
    depth_of, pose_of = (associate(times[0], other) for other in times[1:])
    camera = CAMERA.search(scene.resolve().name)
    number = camera.group(1) if camera else None

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
            cam_to_world=_pose(*told[pose_of[index]]),
            depth=partial(read_depth, depth, PER_METRE),
        )

    frames, skipped = collect_frames(np.argsort(times[0], kind="stable").tolist(), frame)
    return Capture(
        id=scene.resolve().name, frames=frames, skipped=skipped, source="tum", licence="CC BY 4.0"
    )


def associate(
    times: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"], apart: float = MAX_GAP
) -> dict[int, int]:
    """For each time the other one nearest to it, each used once: the nearest pairs come first.

    As the authors' associate.py does.
    """
    order = np.argsort(others)
    ends = [np.searchsorted(others[order], times + way) for way in (-apart, apart)]
    pairs = sorted(
        (abs(times[i] - others[j]), i, int(j))
        for i, (low, high) in enumerate(zip(*ends, strict=True))
        for j in order[low:high]
    )
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in found and j not in taken:
            found[i] = j
            taken.add(j)
    return found


def _listed(path: Path) -> list[tuple[str, str, str]]:
    """Of each line where it stands, its time as written, and the file that it names."""
    found = []
    for where, text in lines(path):
        time, _, name = text.partition(" ")
        if not np.isfinite(row(time, 1, where)[0]):
            raise CaptureError(f"{where}: time {time}")
        found.append((where, time, name.strip()))
    return found


def _times(listed: list[tuple[str, str, str]]) -> Float[np.ndarray, " n"]:
    return np.array([float(time) for _, time, _ in listed])


def _pose(where: str, numbers: Float[np.ndarray, "8"]) -> Float[np.ndarray, "4 4"]:
    length = np.linalg.norm(numbers[4:])
    if not abs(length - 1) < MAX_DEVIATION:
        raise FrameError("pose not rigid", f"{where}: a quaternion of length {length}")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(numbers[4:]).as_matrix()
    pose[:3, 3] = numbers[1:4]
    return pose
