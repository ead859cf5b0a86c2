"""RealEstate10K: a text file of cameras for each clip of a video, whose frames lie beside it.

A line holds the time in the video in microseconds, fx fy cx cy as shares of width and height, two
zeros, and the 3 x 4 world-to-camera pose with OpenCV axes. The frames of `clip.txt` are the
pictures `clip/<time>.png` (or .jpg), or those of a video `clip.mp4` that starts at time 0. Lengths
are relative, another unit in each clip.
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
)
from spatialsv.scenes.readers.files import collect_frames
from spatialsv.scenes.readers.video import VIDEOS, decode_frames, frame_times

CLIP = re.compile(r"[0-9a-f]{16}")  # what the dataset calls its clips
SECOND = 1e6  # of times
ENDINGS = (".png", ".jpg", ".jpeg")
LICENCE = "CC-BY-4.0"  # of the cameras; each video is its owner's


def scenes(root: Path) -> list[Path]:
    """The file `root`, whatever its name; or the clips in it, or in its folders (train, test)."""
    if root.is_file():
        return [root] if root.suffix == ".txt" and _is_clip(root) else []
    found = [*root.glob("*.txt"), *root.glob("*/*.txt")]
    clips = sorted((path for path in found if CLIP.fullmatch(path.stem)), key=natural_key)
    return clips if clips and _is_clip(clips[0]) else []


def _is_clip(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.readline(1000).startswith((b"http://", b"https://"))


def capture(scene: Path) -> Capture:
    """The frames of one clip, by time.

    Raises:
        CaptureError: a line that is none of the format's, with its number; no frames beside it.
    """
    rows = sorted(_rows(scene), key=lambda row: row.time)
    place, size = _locate_frames(scene, rows)
    seen = set()

    def frame(row: Row) -> Frame:
        image, number = place(row)
        if (image, number) in seen:
            raise FrameError("frame seen before", f"{row.where}: {image}, frame {number}")
        seen.add((image, number))
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
    try:
        url, *lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path}: not text ({error})") from None
    if not url.startswith("http"):
        raise CaptureError(f"{path}:1: {url[:80]!r}, expected the video's address")
    if lines and lines[-1].strip():
        told = "broken off, this line has no end; fetch the file again, or end it if it is whole"
        raise CaptureError(f"{path}:{len(lines) + 1}: {told}")
    rows = [_row(f"{path}:{n}", line) for n, line in enumerate(lines, start=2) if line.strip()]
    if not rows:
        raise CaptureError(f"{path}:1: no cameras after this line")
    return rows


def _row(where: str, line: str) -> Row:
    try:
        time, *numbers = line.split()
        time = int(time)
        numbers = parse_numbers(" ".join(numbers), (18,), where)
    except ValueError as error:
        raise CaptureError(f"{where}: {error}") from None
    camera, distortion, pose = np.split(numbers, [4, 6])
    if distortion.any():
        raise CaptureError(f"{where}: {distortion.tolist()} where the format has two zeros")
    if not np.isfinite(camera).all() or camera[:2].min() <= 0:
        raise CaptureError(f"{where}: fx fy cx cy are {camera.tolist()}")
    return Row(
        where, time, intrinsics_matrix(*camera), np.vstack([pose.reshape(3, 4), [0, 0, 0, 1]])
    )


def _locate_frames(path: Path, rows: list[Row]) -> tuple[FrameLocator, tuple[int, int]]:
    """What tells the picture or the number of a row's frame, and the frames' size."""
    folder = path.with_suffix("")
    if folder.is_dir():
        return _in_folder(folder, rows)
    for video in (path.with_suffix(ending) for ending in sorted(VIDEOS)):
        if video.is_file():
            return _in_video(video)
    raise CaptureError(f"{path}: neither a folder {folder.name} of frames nor a video beside it")


def _in_folder(folder: Path, rows: list[Row]) -> tuple[FrameLocator, tuple[int, int]]:
    def place(row: Row) -> tuple[Path, None]:
        for ending in ENDINGS:
            if (path := folder / f"{row.time}{ending}").is_file():
                return path, None
        raise FrameError("missing image", f"{row.where}: {folder / str(row.time)}.png")

    for row in rows:
        try:
            return place, image_size(place(row)[0])
        except ValueError:  # missing or broken: the next one tells the size
            continue
    raise CaptureError(f"{folder}: none of the clip's {len(rows)} frames")


def _in_video(video: Path) -> tuple[FrameLocator, tuple[int, int]]:
    try:
        times = frame_times(video)
        size = next(iter(decode_frames(video, [0]))).size
    except ValueError as error:
        raise CaptureError(str(error)) from None
    reach = (times[-1] - times[0]) / max(1, len(times) - 1)  # from one frame to the next

    def place(row: Row) -> tuple[Path, int]:
        time = row.time / SECOND
        after = bisect_left(times, time)
        near = min(
            range(max(0, after - 1), min(after + 1, len(times))),
            key=lambda n: abs(times[n] - time),
        )
        if abs(times[near] - time) > reach / 2 + 1e-3:
            raise FrameError("missing image", f"{row.where}: no frame of {video} at {time} s")
        return video, near

    return place, size
