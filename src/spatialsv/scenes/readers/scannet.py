"""ScanNet (Dai et al. 2017) as exported by SensReader: scene/{color,depth,pose,intrinsic}.

Poses are camera-to-world, all -inf where tracking was lost. Depth PNGs hold millimetres, 0 where
unknown, and have a separate K. A K is for the size of the files, or for that of the sensor if the
files were made smaller: 1296 x 968 or, in some scenes, 640 x 480. Both cameras must share one pose,
which is checked where SensReader wrote extrinsics. Pixel centres are at integers. `axisAlignment`
of the annotations is not applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import image_size
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
    holds_most,
    read_pose,
    union_of_keys,
)

PARTS = ("color", "depth", "pose", "intrinsic")
Size = tuple[int, int]  # width, height
KINDS = ("intrinsic", "extrinsic")
LARGE, SMALL = (1296, 968), (640, 480)  # of the sensors; depth has the small size
PER_METRE = 1000.0
MAX_DEVIATION = 1e-3  # of an extrinsic from the identity
MAX_OFFSET = 0.1  # of the principal point from the image centre, relative to the image size


def scenes(root: Path) -> list[Path]:
    """Return the directories with the four parts, or three of them."""
    return find_folders(root, lambda folder: holds_most(folder, PARTS))


def capture(scene: Path) -> Capture:
    """Return the frames, by number."""
    images, poses = files_by_stem(scene / "color"), files_by_stem(scene / "pose", (".txt",))
    depths = files_by_stem(scene / "depth", (".png",))
    color, size, _ = _camera(scene, "color", images)
    depth, sensor, depth_size = _camera(scene, "depth", depths)
    depth = np.diag([*np.divide(depth_size, sensor), 1.0]) @ depth

    def frame(name: str) -> Frame:
        return Frame(
            id=name,
            image=images.get(name, scene / "color" / f"{name}.jpg"),
            size=size,
            intrinsics=color,
            cam_to_world=read_pose(scene / "pose" / f"{name}.txt"),
            depth=partial(read_depth, scene / "depth" / f"{name}.png", PER_METRE, depth_size),
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


def _camera(
    scene: Path, part: str, files: Mapping[str, Path]
) -> tuple[Float[np.ndarray, "3 3"], Size, Size]:
    """Return K of one of the sensors, the size that it is for, and that of the files.

    Raises:
        CaptureError: K is missing or for another size than the files, or the cameras have different
            poses.
    """
    path, extrinsic = (scene / "intrinsic" / f"{kind}_{part}.txt" for kind in KINDS)
    try:
        K = read_numbers(path, (4, 4))[:3, :3]
        pose = read_numbers(extrinsic, (4, 4)) if extrinsic.exists() else np.eye(4)
    except (OSError, ValueError) as error:
        raise CaptureError(str(error)) from None
    if not np.abs(pose - np.eye(4)).max() < MAX_DEVIATION:
        raise CaptureError(
            f"{extrinsic}: different poses of depth and colour camera are not supported"
        )
    found = []
    for size in _sizes(files.values()):
        resized = [LARGE] if part == "color" else []
        resized += [SMALL] if size[0] * SMALL[1] == size[1] * SMALL[0] else []
        for candidate in (size, *resized):
            if np.abs(K[:2, 2] / candidate - 0.5).max() < MAX_OFFSET:
                return to_half_integer_centres(K), candidate, size
        found.append(size)
    if not found:
        raise CaptureError(f"{scene / part}: no image can be read")
    raise CaptureError(f"{path}: K is not for {found[0]} pixels: {K.tolist()}")


def _sizes(paths: Iterable[Path]) -> Iterator[Size]:
    """Yield the size of each readable image."""
    for path in paths:
        with suppress(FileNotFoundError, ValueError):
            yield image_size(path)
