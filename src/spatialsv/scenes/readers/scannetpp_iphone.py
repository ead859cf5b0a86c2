"""ScanNet++ (Yeshwanth et al. 2023), iPhone: iphone/{rgb or rgb.mkv, depth, pose_intrinsic_imu}.

`aligned_pose` is ARKit's pose in the mesh's frame: camera-to-world, OpenCV axes. The axes of the
raw `pose` are not documented, so frames with only that are skipped. K is for 1920 x 1440 pixels,
with the principal point as an offset from the image's corner, as in ARKit. Depth is depth/*.png as
the toolkit unpacks it from depth.bin: 256 x 192 pixels of millimetres, 0 where unknown, with the
pose of the image. ARKit's poses are less accurate than the DSLR's.
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
VIDEOS = ("rgb.mkv", "rgb.mp4", "rgb.mov")  # the first is that of the release
SIZE = (1920, 1440)
PER_METRE = 1000.0


def scenes(root: Path) -> list[Path]:
    """Return the directories with iPhone poses."""
    return find_folders(root, lambda folder: (folder / POSES).is_file())


def capture(scene: Path) -> Capture:
    """Return the frames, by number; without depth if it was not unpacked."""
    entries = read_json_object(scene / POSES)
    folder = scene / "iphone"
    images = files_by_stem(folder / "rgb")
    videos = [folder / name for name in VIDEOS if (folder / name).is_file()]
    if not images and not videos:
        raise CaptureError(f"{folder}: no images in rgb and no {VIDEOS[0]}")
    has_depth = (folder / "depth").is_dir()

    def frame(name: str) -> Frame:
        digits = name.removeprefix("frame_")
        if not DIGITS.fullmatch(digits):
            raise FrameError("no number in its name", f"{scene / POSES}: {name!r:.80}")
        depth = partial(read_depth, folder / "depth" / f"{name}.png", PER_METRE)
        return Frame(
            id=name,
            image=images.get(name, folder / "rgb" / f"{name}.jpg") if images else videos[0],
            number=None if images else int(digits),
            size=SIZE,
            depth=depth if has_depth else None,
            **_camera(f"{scene / POSES}: {name}", entries[name]),
        )

    frames, skipped = collect_frames(sorted(entries, key=natural_key), frame)
    return Capture(
        id=f"{scene.resolve().name}/iphone",
        frames=frames,
        skipped=skipped,
        source="scannetpp",
        licence=LICENCE,
    )


def _camera(where: str, about: Any) -> dict[str, Any]:
    """Return pose, K and time of a frame."""
    if not isinstance(about, Mapping) or "aligned_pose" not in about:
        raise FrameError("no aligned pose", where)
    try:
        pose, K = array(about["aligned_pose"], (4, 4)), array(about.get("intrinsic"), (3, 3))
    except ValueError as error:
        raise FrameError("unreadable pose", f"{where}: {error}") from None
    time = about.get("timestamp")
    seconds = float(time) if isinstance(time, int | float) and abs(time) < 2**53 else None
    return {"cam_to_world": pose, "intrinsics": K, "time": seconds}
