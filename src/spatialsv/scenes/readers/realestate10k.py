"""RealEstate10K: a text file of cameras per video clip.

A line contains the time in the video in microseconds, fx fy cx cy relative to width and height, two
zeros, and the 3 x 4 world-to-camera pose with OpenCV axes. The frames of `clip.txt` are
`clip/<time>.png` (or .jpg), or those of a video `clip.mp4` that starts at time 0. Lengths are
relative, with a different unit in each clip.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import image_size
from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    intrinsics_matrix,
    invert_pose,
    natural_key,
    parse_numbers,
    split_fields,
)
from spatialsv.scenes.readers.files import check_last_line, collect_frames, lines
from spatialsv.scenes.readers.video import VIDEOS, decode_frames, frame_times

CLIP = re.compile(r"[0-9a-f]{16}")  # names of clips
SECOND = 1e6  # in the unit of times
ENDINGS = (".png", ".jpg", ".jpeg")
LICENCE = "CC-BY-4.0"  # of the cameras, not of the videos


def scenes(root: Path) -> list[Path]:
    """Return the file `root`, or the clips in it or one level below (train, test)."""
    if root.is_file():
        return [root] if root.suffix == ".txt" and _is_clip(root) else []
    found = [*root.glob("*.txt"), *root.glob("*/*.txt")]
    clips = sorted((path for path in found if CLIP.fullmatch(path.stem)), key=natural_key)
    return clips if clips and _is_clip(clips[0]) else []


def _is_clip(path: Path) -> bool:
    with path.open("rb") as opened:
        start = opened.readline(1000).replace(b"\0", b"")  # of UTF-16
    return re.match(rb"\W*https?://", start) is not None


def capture(scene: Path) -> Capture:
    """Return the frames of one clip, by time.

    Raises:
        CaptureError: a line is invalid, or no frame was found.
    """
    rows = sorted(_rows(scene), key=lambda row: row.time)
    locate, size = _locate_frames(scene, rows)
    used: set[tuple[Path, int | None]] = set()

    def frame(row: Row) -> Frame:
        image, number = locate(row)
        if (image, number) in used:
            raise FrameError("duplicate frame", f"{row.where}: {image}, frame {number}")
        used.add((image, number))
        return Frame(
            id=str(row.time),
            image=image,
            number=number,
            time=row.time / SECOND,
            intrinsics=np.diag([*size, 1.0]) @ row.intrinsics,
            size=size,
            cam_to_world=invert_pose(row.world_to_cam),
        )

    frames, skipped = collect_frames(rows, frame)
    return Capture(
        id=scene.stem,
        frames=frames,
        source="realestate10k",
        licence=LICENCE,
        unit="relative",
        skipped=skipped,
    )


@dataclass(frozen=True, eq=False)
class Row:
    """One line of a clip."""

    where: str
    time: int  # microseconds
    intrinsics: Float[np.ndarray, "3 3"]  # for an image of 1 x 1
    world_to_cam: Float[np.ndarray, "4 4"]


FrameLocator = Callable[[Row], tuple[Path, int | None]]


def _rows(path: Path) -> list[Row]:
    (_, url), *entries = lines(path) or [("", "")]
    if not url.startswith("http"):
        raise CaptureError(f"{path}:1: expected the URL of the video, found {url[:80]!r}")
    check_last_line(path)
    rows = [_row(where, line) for where, line in entries]
    if not rows:
        raise CaptureError(f"{path}:1: no cameras after this line")
    return rows


def _row(where: str, line: str) -> Row:
    try:
        first, rest = split_fields(line, 1)
        time = int(first)
        numbers = parse_numbers(rest, (18,), where)
    except ValueError as error:
        raise CaptureError(f"{where}: {error}") from None
    camera, distortion, pose = np.split(numbers, [4, 6])
    if distortion.any():
        raise CaptureError(f"{where}: expected two zeros, found {distortion.tolist()}")
    if not np.isfinite(camera).all() or camera[:2].min() <= 0:
        raise CaptureError(f"{where}: invalid fx fy cx cy {camera.tolist()}")
    return Row(
        where, time, intrinsics_matrix(*camera), np.vstack([pose.reshape(3, 4), [0, 0, 0, 1]])
    )


def _locate_frames(path: Path, rows: list[Row]) -> tuple[FrameLocator, tuple[int, int]]:
    """Return a function that locates the frame of a row, and the size of frames."""
    folder = path.with_suffix("")
    if folder.is_dir():
        return _in_folder(folder, rows)
    for video in (path.with_suffix(ending) for ending in sorted(VIDEOS)):
        if video.is_file():
            return _in_video(video)
    raise CaptureError(
        f"{path}: no frames: expected a directory {folder.name} or a video of this name"
    )


def _in_folder(folder: Path, rows: list[Row]) -> tuple[FrameLocator, tuple[int, int]]:
    def locate(row: Row) -> tuple[Path, None]:
        for ending in ENDINGS:
            if (path := folder / f"{row.time}{ending}").is_file():
                return path, None
        raise FrameError("missing image", f"{row.where}: {folder / str(row.time)}.png")

    for row in rows:
        try:
            return locate, image_size(locate(row)[0])
        except ValueError:  # missing or unreadable: try the next one
            continue
    raise CaptureError(f"{folder}: none of the clip's {len(rows)} frames can be read")


def _in_video(video: Path) -> tuple[FrameLocator, tuple[int, int]]:
    try:
        times = frame_times(video)
        size = next(iter(decode_frames(video, [0]))).size
    except ValueError as error:
        raise CaptureError(str(error)) from None
    interval = (times[-1] - times[0]) / max(1, len(times) - 1)  # between frames

    def locate(row: Row) -> tuple[Path, int]:
        time = row.time / SECOND
        after = bisect_left(times, time)
        near = min(
            range(max(0, after - 1), min(after + 1, len(times))),
            key=lambda n: abs(times[n] - time),
        )
        if abs(times[near] - time) > interval / 2 + 1e-3:
            raise FrameError("missing image", f"{row.where}: no frame of {video} at {time} s")
        return video, near

    return locate, size
