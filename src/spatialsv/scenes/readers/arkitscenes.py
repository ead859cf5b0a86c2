"""ARKitScenes (Baruch et al. 2021), raw and 3dod: the 256 x 192 images, depth, pincam and traj.

A line of lowres_wide.traj is a time, an axis-angle and a translation: world-to-camera, OpenCV
axes, inverted here. Depth PNGs hold millimetres, 0 where unknown. Files are named ID_TIME;
times that differ by a millisecond are equal. The principal point is an offset from the image's
corner, as in ARKit. Images are not rotated: those of an upright tablet are sideways.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    intrinsics_matrix,
    invert_pose,
    read_numbers,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import (
    collect_frames,
    files_by_stem,
    find_folders,
    holds_most,
    lines,
    row,
)

IMAGES, DEPTH, INTRINSICS = "lowres_wide", "lowres_depth", "lowres_wide_intrinsics"
TRAJECTORY = "lowres_wide.traj"
PER_METRE = 1000.0
Value = TypeVar("Value")


def scenes(root: Path) -> list[Path]:
    """Return the directories with images, intrinsics and a trajectory, or two of them."""
    parts = (IMAGES, INTRINSICS, TRAJECTORY)
    return find_folders(root, lambda folder: holds_most(folder, parts), levels=4)  # ID/ID_frames


def capture(scene: Path) -> Capture:
    """Return the images with depth, intrinsics and a pose, by time."""
    poses = dict(_pose(*line) for line in lines(scene / TRAJECTORY))
    images = files_by_stem(scene / IMAGES)
    intrinsics = _by_time(files_by_stem(scene / INTRINSICS, (".pincam",)))
    depths = _by_time(files_by_stem(scene / DEPTH))

    def frame(name: str) -> Frame:
        time = _time(name)
        pose = _nearest(poses, time, "no pose at that time", images[name])
        K, size = _pincam(_nearest(intrinsics, time, "no intrinsics", images[name]))
        depth = _nearest(depths, time, "no depth at that time", images[name])
        return Frame(
            id=name,
            image=images[name],
            time=time / 1000,
            size=size,
            intrinsics=K,
            cam_to_world=pose,
            depth=partial(read_depth, depth, PER_METRE),
        )

    frames, skipped = collect_frames(images, frame)
    return Capture(
        id=scene.resolve().name.removesuffix("_frames"),
        frames=frames,
        skipped=skipped,
        source="arkitscenes",
        licence="ARKitScenes licence (Apple), non-commercial",
    )


def _time(name: str) -> int:
    """Return the time in a file name, in milliseconds."""
    try:
        return round(1000 * float(name.rpartition("_")[2]))
    except (ValueError, OverflowError):
        raise FrameError("no time in its name", name) from None


def _by_time(files: Mapping[str, Path]) -> dict[int, Path]:
    """Return files by time in milliseconds; files without a time are ignored."""
    times: dict[int, Path] = {}
    for name, path in files.items():
        with suppress(FrameError):
            times[_time(name)] = path
    return times


def _nearest(values: Mapping[int, Value], time: int, reason: str, path: Path) -> Value:
    for nearby in (time, time - 1, time + 1):
        if nearby in values:
            return values[nearby]
    raise FrameError(reason, str(path))


def _pose(where: str, text: str) -> tuple[int, Float[np.ndarray, "4 4"]]:
    """Return the time of a line in milliseconds, and its camera-to-world pose."""
    time, *motion = row(text, 7, where)
    if not np.isfinite(time):
        raise CaptureError(f"{where}: time {time}")
    world_to_cam = np.full((4, 4), np.nan)
    if np.isfinite(motion).all():
        world_to_cam[:3, :3] = Rotation.from_rotvec(motion[:3]).as_matrix()
        world_to_cam[:3, 3] = motion[3:]
    return round(1000 * time), invert_pose(world_to_cam)


def _pincam(path: Path) -> tuple[Float[np.ndarray, "3 3"], tuple[int, int]]:
    """Read K and the image size it refers to: w h fx fy cx cy."""
    try:
        width, height, *camera = read_numbers(path, (6,))
        size = int(width), int(height)
        if min(size) < 1:
            raise ValueError(f"{path}: size {size}")
    except (OSError, ValueError, OverflowError) as error:
        raise FrameError("unreadable intrinsics", f"{path}: {error}") from None
    return intrinsics_matrix(*camera), size
