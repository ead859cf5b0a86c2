"""7-Scenes (Shotton et al. 2013): seq-XX/frame-000000.{color,depth,pose}; one capture a sequence.

Poses are camera-to-world of the depth camera. Depth PNGs are in millimetres, 0 and 65535 where
unknown. K is the authors' default for that camera: focal length 585 pixels, principal point in the
image centre. Colour comes from a second camera, to which depth is not registered; its K and pose
are not published. Geometry is therefore exact, and colours are off by some pixels.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from spatialsv.scenes.readers.capture import Capture, Frame, intrinsics_matrix
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import (
    collect_frames,
    files_by_stem,
    find_folders,
    read_pose,
    union_of_keys,
)

INTRINSICS = intrinsics_matrix(585.0, 585.0, 320.0, 240.0)
SIZE = (640, 480)
PER_METRE = 1000.0
COLOUR = (".color.png", ".color.jpg")


def scenes(root: Path) -> list[Path]:
    """Return the directories of the sequences, known by their poses or depth."""
    names = ("frame-*.pose.txt", "frame-*.depth.png")
    return find_folders(root, lambda folder: any(any(folder.glob(name)) for name in names))


def capture(scene: Path) -> Capture:
    """Return the frames, by number."""
    images, poses = files_by_stem(scene, COLOUR), files_by_stem(scene, (".pose.txt",))

    def frame(name: str) -> Frame:
        return Frame(
            id=name,
            image=images.get(name, scene / f"{name}{COLOUR[0]}"),
            size=SIZE,
            intrinsics=INTRINSICS,
            cam_to_world=read_pose(scene / f"{name}.pose.txt"),
            depth=partial(read_depth, scene / f"{name}.depth.png", PER_METRE),
        )

    frames, skipped = collect_frames(union_of_keys(images, poses), frame)
    folder = scene.resolve()
    return Capture(
        id=f"{folder.parent.name}/{folder.name}",
        frames=frames,
        skipped=skipped,
        source="7scenes",
        licence="Microsoft Research 7-Scenes, non-commercial",
    )
