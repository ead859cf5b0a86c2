"""ScanNet (Dai et al. 2017) as exported by SensReader: scene/{color,depth,pose,intrinsic}.

Poses are camera-to-world, all -inf where tracking was lost. Depth PNGs have 640 x 480 pixels of
millimetres, 0 where unknown, and a separate K; colour images are larger. Both cameras must share
one pose, which is checked where SensReader wrote extrinsics. Pixel centres are at integers.
`axisAlignment` of the annotations is not applied.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    read_numbers,
    to_half_integer_centres,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import (
    collect_frames,
    files_by_stem,
    find_folders,
    read_pose,
    union_of_keys,
)

PARTS = ("color", "depth", "pose", "intrinsic")
KINDS = ("intrinsic", "extrinsic")
SIZES = {"color": (1296, 968), "depth": (640, 480)}  # sizes K refers to; images may be smaller
PER_METRE = 1000.0
MAX_DEVIATION = 1e-3  # of an extrinsic from the identity
MAX_OFFSET = 0.1  # of the principal point from the image centre, relative to the image size


def scenes(root: Path) -> list[Path]:
    """Return the directories with all four parts."""
    return find_folders(root, lambda folder: all((folder / part).is_dir() for part in PARTS))


def capture(scene: Path) -> Capture:
    """Return the frames, by number."""
    color, depth = (_intrinsics(scene, part) for part in PARTS[:2])
    images, poses = files_by_stem(scene / "color"), files_by_stem(scene / "pose", (".txt",))

    def frame(name: str) -> Frame:
        return Frame(
            id=name,
            image=images.get(name, scene / "color" / f"{name}.jpg"),
            size=SIZES["color"],
            intrinsics=color,
            cam_to_world=read_pose(scene / "pose" / f"{name}.txt"),
            depth=partial(read_depth, scene / "depth" / f"{name}.png", PER_METRE, SIZES["depth"]),
            depth_intrinsics=depth,
        )

    frames, skipped = collect_frames(union_of_keys(images, poses), frame)
    return Capture(
        id=scene.resolve().name,
        frames=frames,
        skipped=skipped,
        source="scannet",
        licence="ScanNet Terms of Use, non-commercial",
    )


def _intrinsics(scene: Path, part: str) -> Float[np.ndarray, "3 3"]:
    """Return K of one of the cameras.

    Raises:
        CaptureError: it is missing or refers to another size, or the cameras have different poses.
    """
    path, extrinsic = (scene / "intrinsic" / f"{kind}_{part}.txt" for kind in KINDS)
    try:
        K = read_numbers(path, (4, 4))[:3, :3]
        pose = read_numbers(extrinsic, (4, 4)) if extrinsic.exists() else np.eye(4)
    except (OSError, ValueError) as error:
        raise CaptureError(str(error)) from None
    if not np.abs(K[:2, 2] / SIZES[part] - 0.5).max() < MAX_OFFSET:
        raise CaptureError(f"{path}: K is not for {SIZES[part]} pixels: {K.tolist()}")
    if not np.abs(pose - np.eye(4)).max() < MAX_DEVIATION:
        raise CaptureError(
            f"{extrinsic}: different poses of depth and colour camera are not supported"
        )
    return to_half_integer_centres(K)
