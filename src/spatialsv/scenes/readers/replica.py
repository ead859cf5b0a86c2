"""Replica (Straub et al. 2019) as rendered by NICE-SLAM: results/, traj.txt, ../cam_params.json.

Line k of traj.txt is the camera-to-world pose of frame k, with OpenCV axes. Depth PNGs have `scale`
(6553.5) units per metre, 0 where unknown. Pixel centres are at integers.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.readers.capture import (
    DIGITS,
    Capture,
    CaptureError,
    Frame,
    FrameError,
    intrinsics_matrix,
    to_half_integer_centres,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import (
    array,
    collect_frames,
    files_by_stem,
    find_folders,
    lines,
    read_json_object,
    row,
)

PARTS = ("frame", "depth")
CAMERA = ("fx", "fy", "cx", "cy", "scale", "w", "h")


def scenes(root: Path) -> list[Path]:
    """Return the directories with results and a trajectory."""
    return find_folders(
        root, lambda folder: (folder / "results").is_dir() and (folder / "traj.txt").is_file()
    )


def capture(scene: Path) -> Capture:
    """Return the frames, by number."""
    intrinsics, scale, size = _camera(scene)
    poses = [row(text, 16, where).reshape(4, 4) for where, text in lines(scene / "traj.txt")]
    files = files_by_stem(scene / "results")
    names = {name.removeprefix(part): path for name, path in files.items() for part in PARTS}

    def frame(digits: str) -> Frame:
        if int(digits) >= len(poses):
            raise FrameError("no pose", f"frame {digits} of {len(poses)} in {scene}/traj.txt")
        name = f"frame{digits}"
        return Frame(
            id=name,
            image=files.get(name, scene / "results" / f"{name}.jpg"),
            size=size,
            intrinsics=intrinsics,
            cam_to_world=poses[int(digits)],
            depth=partial(read_depth, scene / "results" / f"depth{digits}.png", scale),
        )

    frames, skipped = collect_frames(filter(DIGITS.fullmatch, names), frame)
    return Capture(
        id=scene.resolve().name,
        frames=frames,
        skipped=skipped,
        source="replica",
        licence="Replica Research Terms, non-commercial",
    )


def _camera(scene: Path) -> tuple[Float[np.ndarray, "3 3"], float, tuple[int, int]]:
    """Return K, depth units per metre, and the image size."""
    path = scene.resolve().parent / "cam_params.json"
    camera = read_json_object(path).get("camera")
    try:
        fx, fy, cx, cy, scale, *size = array([dict(camera or {})[name] for name in CAMERA], (7,))
        if not (np.isfinite(scale) and scale > 0 and min(size) >= 1 and np.isfinite(size).all()):
            raise ValueError(f"scale {scale}, size {size}")
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError(f"{path}: camera: {error!r}, expected {', '.join(CAMERA)}") from None
    return (
        to_half_integer_centres(intrinsics_matrix(fx, fy, cx, cy)),
        scale,
        (int(size[0]), int(size[1])),
    )
