"""ScanNet++ (Yeshwanth et al. 2023), iPhone: iphone/{rgb or rgb.mkv, depth, pose_intrinsic_imu}.

The `aligned_pose` is ARKit's, brought to the mesh: camera-to-world, OpenCV axes. What axes the raw
`pose` has is said nowhere, so a frame that has only that is skipped. K is for 1920 x 1440 pixels,
its principal point an offset from the image's corner, as ARKit has it. Depth is depth/*.png as the
toolkit unpacks it from depth.bin: 256 x 192 pixels of millimetres, 0 where unknown, seen from where
the image was taken. ARKit's poses are less exact than the DSLR's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spatialsv.scenes.readers.capture import (
    DIGITS,
    Capture,
    CaptureError,
    Frame,
    FrameError,
    natural_key,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import (
    array,
    collect_frames,
    files_by_stem,
    find_folders,
    read_json_object,
)
from spatialsv.scenes.readers.scannetpp_dslr import LICENCE

POSES = "iphone/pose_intrinsic_imu.json"
VIDEOS = ("rgb.mkv", "rgb.mp4", "rgb.mov")  # the release's own is the first
SIZE = (1920, 1440)
PER_METRE = 1000.0


def scenes(root: Path) -> list[Path]:
    """The folders with an iPhone's poses."""
    return find_folders(root, lambda folder: (folder / POSES).is_file())


def capture(scene: Path) -> Capture:
    """The frames by number; without depth where it was not unpacked."""
    told = read_json_object(scene / POSES)
    folder = scene / "iphone"
    images = files_by_stem(folder / "rgb")
    video = next((folder / name for name in VIDEOS if (folder / name).is_file()), None)
    if not images and not video:
        raise CaptureError(f"{folder}: neither pictures in rgb nor {VIDEOS[0]}")
    has_depth = (folder / "depth").is_dir()

    def frame(name: str) -> Frame:
        digits = name.removeprefix("frame_")
        if not DIGITS.fullmatch(digits):
            raise FrameError("no number in its name", f"{scene / POSES}: {name!r:.80}")
        depth = partial(read_depth, folder / "depth" / f"{name}.png", PER_METRE)
        return Frame(
            id=name,
            image=images.get(name, folder / "rgb" / f"{name}.jpg") if images else video,
            number=None if images else int(digits),
            size=SIZE,
            depth=depth if has_depth else None,
            **_camera(f"{scene / POSES}: {name}", told[name]),
        )

    frames, skipped = collect_frames(sorted(told, key=natural_key), frame)
    return Capture(
        id=f"{scene.resolve().name}/iphone",
        frames=frames,
        skipped=skipped,
        source="scannetpp",
        licence=LICENCE,
    )


def _camera(where: str, about: Any) -> dict[str, Any]:
    """A frame's pose, K and time."""
    if not isinstance(about, Mapping) or "aligned_pose" not in about:
        raise FrameError("no aligned pose", where)
    try:
        pose, K = array(about["aligned_pose"], (4, 4)), array(about.get("intrinsic"), (3, 3))
    except ValueError as error:
        raise FrameError("pose cannot be read", f"{where}: {error}") from None
    time = about.get("timestamp")
    known = isinstance(time, int | float) and abs(time) < 2**53
    return {"cam_to_world": pose, "intrinsics": K, "time": float(time) if known else None}
