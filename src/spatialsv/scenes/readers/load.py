"""A capture's frames as `Scenes`: checked, undistorted, of one size, with K to match.

Bad frames are skipped and counted by reason; a capture without a good one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageOps

from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame, FrameError
from spatialsv.scenes.readers.lens import undistort
from spatialsv.scenes.readers.sampling import THUMBNAIL, Sampling, select_frames
from spatialsv.scenes.readers.video import decode_frames
from spatialsv.scenes.scene import Scenes, as_frame_ids

RIGID = 1e-2  # how far a pose's rotation may be from one; 7-Scenes' own are off by 4e-4
ASPECT = 0.02  # how far the shape of a picture or depth may be from that for which its K is
PADDING = (127, 127, 127)


@dataclass(frozen=True, eq=False)
class View:
    """One frame as it is delivered."""

    image: UInt8[np.ndarray, "H W 3"]
    intrinsics: Float[np.ndarray, "3 3"] | None
    depth: Float[np.ndarray, "H W"] | None


def load(
    capture: Capture, count: int, sampling: Sampling, pixels: int | None
) -> tuple[list[Scenes], list[FrameError]]:
    """The scenes of a capture, `count` views each at most, and why frames were skipped.

    Args:
        pixels: of an image, at most; larger ones are made smaller. None keeps their size.

    Raises:
        CaptureError: no good frame, or poses without intrinsics.
    """
    frames, skipped = validate_frames(capture)
    if not frames:
        raise CaptureError(f"{capture.id}: {_none_left(skipped)}")
    clips = select_frames(
        frames, count, sampling, partial(read_thumbnails, pixels=THUMBNAIL * THUMBNAIL)
    )
    scenes = []
    for number, clip in enumerate(clips):
        name = capture.id if len(clips) == 1 else f"{capture.id}/{number:04d}"
        scene = _scene(name, capture, clip, pixels, skipped)
        scenes += [scene] if scene else []
    if not scenes:
        raise CaptureError(f"{capture.id}: {_none_left(skipped)}")
    return scenes, skipped


def validate_frames(capture: Capture) -> tuple[list[Frame], list[FrameError]]:
    """The frames whose poses can be used, their rotations made exact, and why others cannot.

    Raises:
        CaptureError: poses without intrinsics.
    """
    frames, skipped = [], list(capture.skipped)
    posed = any(frame.cam_to_world is not None for frame in capture.frames)
    for frame in capture.frames:
        try:
            check_intrinsics(frame)
            frames.append(replace(frame, cam_to_world=rigid_pose(frame)) if posed else frame)
        except FrameError as error:
            skipped.append(error)
        if posed and frame.intrinsics is None:
            raise CaptureError(f"{capture.id}: frame {frame.id} has a pose, but no intrinsics")
    return frames, skipped


def check_intrinsics(frame: Frame) -> None:
    """Nothing, where what is known of K can be used.

    Raises:
        FrameError: K that is not finite, or not one.
    """
    for K in (frame.intrinsics, frame.depth_intrinsics):
        if K is not None and not (
            np.isfinite(K).all() and min(K[0, 0], K[1, 1]) > 0 and (K[2] == [0, 0, 1]).all()
        ):
            raise FrameError("intrinsics not usable", f"frame {frame.id}: {K.tolist()}")


def rigid_pose(frame: Frame) -> Float[np.ndarray, "4 4"]:
    """The pose with the rotation that is nearest to the one given.

    Raises:
        FrameError: none, or one that is not finite or not nearly rigid.
    """
    pose = frame.cam_to_world
    if pose is None:
        raise FrameError("no pose", f"frame {frame.id}")
    if not np.isfinite(pose).all():
        raise FrameError("pose not finite", f"frame {frame.id}")
    left, stretch, right = np.linalg.svd(pose[:3, :3])
    rotation = left @ right
    straight = np.abs(pose[3] - [0, 0, 0, 1]).max() < RIGID and np.linalg.det(rotation) > 0
    if np.abs(stretch - 1).max() > RIGID or not straight:
        raise FrameError("pose not rigid", f"frame {frame.id}: {pose.tolist()}")
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = rotation, pose[:3, 3]
    return exact


def _none_left(skipped: Sequence[FrameError]) -> str:
    told = "; ".join(str(error) for error in skipped[:3])
    return f"no good frame of {len(skipped)}: {told}" if skipped else "no frames"


def _scene(
    name: str, capture: Capture, frames: Sequence[Frame], pixels: int | None, skipped: list
) -> Scenes | None:
    """One scene of the frames that can be read; why others cannot is added to `skipped`."""
    kept, views = [], []
    for frame, image in zip(frames, read_images(frames), strict=True):
        try:
            if isinstance(image, FrameError):
                raise image
            size = views[0].image.shape[1::-1] if views else None
            views.append(view(frame, image, pixels, size))
            kept.append(frame)
        except FrameError as error:
            skipped.append(error)
    if not views:
        return None
    geometry = {}
    if kept[0].cam_to_world is not None:
        geometry["cam_to_world"] = np.stack([frame.cam_to_world for frame in kept])[None]
        geometry["intrinsics"] = np.stack([v.intrinsics for v in views])[None]
    if geometry and any(v.depth is not None for v in views):
        nothing = np.zeros(views[0].image.shape[:2], np.float32)
        depth = np.stack([nothing if v.depth is None else v.depth for v in views])[None]
        geometry |= {"depth": depth, "valid": depth > 0}
    return Scenes(
        ids=(name,),
        image=np.stack([v.image for v in views])[None],
        frame_ids=as_frame_ids(frame.id for frame in kept),
        unit=capture.unit if "cam_to_world" in geometry else "relative",
        source=capture.source,
        revision=capture.revision,
        licence=capture.licence,
        **geometry,
    )


def read_images(frames: Sequence[Frame]) -> Iterator[Image.Image | FrameError]:
    """The frames' pictures, in order, or what is wrong with them.

    Upright as EXIF says, but as stored where K is known, since K is for the stored pixels.
    """
    film = None  # a video is decoded once, front to back
    for frame in frames:
        try:
            if callable(frame.image):
                yield frame.image()
            elif frame.number is None:
                yield read_image(frame.image, upright=frame.intrinsics is None)
            else:
                if film is None:
                    film = decode_frames(frame.image, [f.number for f in frames])
                yield next(film)
        except FileNotFoundError as error:
            yield FrameError("missing image", str(error.filename or error))
        except (ValueError, StopIteration) as error:
            yield FrameError("image cannot be read", f"frame {frame.id}: {error}")


def read_thumbnails(frames: Sequence[Frame], pixels: int) -> Iterator[Image.Image | None]:
    """As `pictures`, with at most so many pixels each; None for one that cannot be read."""
    for image in read_images(frames):
        yield None if isinstance(image, FrameError) else limit_pixels(image, pixels)


def view(
    frame: Frame, image: Image.Image, pixels: int | None, size: tuple[int, int] | None
) -> View:
    """One frame, delivered at `size` (width, height), padded where its shape is another.

    Raises:
        FrameError: a picture of another shape than its K's, or depth that cannot be read.
    """
    told, K = frame.size or image.size, frame.intrinsics
    if not _same_aspect(image.size, told):
        raise FrameError("wrong size", f"frame {frame.id}: {image.size}, and K is for {told}")
    image = limit_pixels(image, pixels)
    if K is not None:
        K = _scale_intrinsics(K, image.width / told[0], image.height / told[1])
        if frame.lens:
            image = undistort(image, K, frame.lens)
    if size and image.size != size:
        grow = min(size[0] / image.width, size[1] / image.height)
        if K is not None:
            K = _scale_intrinsics(K, grow, grow)
            K[0, 2] += (size[0] - grow * image.width) / 2
            K[1, 2] += (size[1] - grow * image.height) / 2
        image = ImageOps.pad(image, size, color=PADDING)
    depth = None
    if K is not None and frame.depth:
        depth = resample_depth(_depth(frame), frame, K, told, image.size)
    elif K is not None and frame.points is not None:
        depth = splat_points(frame.points, frame.intrinsics, K, image.size)
    return View(np.asarray(image), K, depth)


def _same_aspect(size: tuple[int, int], told: tuple[int, int]) -> bool:
    """Whether one K, scaled, can be for both sizes (width, height)."""
    return abs(size[0] * told[1] / (size[1] * told[0]) - 1) <= ASPECT


def _depth(frame: Frame) -> Float[np.ndarray, "h w"]:
    try:
        return frame.depth()
    except FileNotFoundError as error:
        raise FrameError("missing depth", str(error.filename or error)) from None
    except (OSError, ValueError) as error:
        raise FrameError("depth cannot be read", str(error)) from None


def resample_depth(
    depth: Float[np.ndarray, "h w"],
    frame: Frame,
    intrinsics: Float[np.ndarray, "3 3"],
    told: tuple[int, int],
    size: tuple[int, int],
) -> Float[np.ndarray, "H W"]:
    """The nearest depth for each pixel of an image with these intrinsics; 0 outside, or unknown.

    Nearest, never blended: between two things there is no third one.

    Args:
        told: width and height for which the frame's own K is.
        size: of the image.

    Raises:
        FrameError: depth of another shape than the image's, whose K it shares.
    """
    height, width = depth.shape
    own = frame.depth_intrinsics
    registered = own is None
    if registered and not _same_aspect((width, height), told):
        raise FrameError("wrong size", f"depth of frame {frame.id}: {width} x {height}, K: {told}")
    if registered:
        own = _scale_intrinsics(frame.intrinsics, width / told[0], height / told[1])
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1) @ np.linalg.inv(intrinsics).T
    pixels = (rays @ own.T)[:, :2]
    if registered and frame.lens:
        pixels = frame.lens.distort(pixels, own)
    column, row = np.floor(pixels).astype(int).T
    inside: Bool[np.ndarray, " P"] = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = np.zeros(u.size, np.float32)
    found[inside] = depth[row[inside], column[inside]]
    return np.where(np.isfinite(found) & (found > 0), found, 0).reshape(size[::-1])


def splat_points(
    points: Float[np.ndarray, "n 3"],
    before: Float[np.ndarray, "3 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> Float[np.ndarray, "H W"]:
    """A depth map of these points alone (u, v, z), 0 elsewhere; the nearest of a pixel's counts.

    Args:
        before: K of the pixels in which the points are told.
        size: width and height of the map.
    """
    depth = np.zeros(size[::-1], np.float32)
    rays = np.concatenate([points[:, :2], np.ones((len(points), 1))], axis=1)
    pixels = rays @ np.linalg.inv(before).T @ intrinsics.T
    column, row = np.floor(pixels[:, :2]).astype(int).T
    inside = (column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1]) & (points[:, 2] > 0)
    order = np.argsort(-points[inside, 2])
    depth[row[inside][order], column[inside][order]] = points[inside, 2][order]
    return depth


def _scale_intrinsics(K: Float[np.ndarray, "3 3"], x: float, y: float) -> Float[np.ndarray, "3 3"]:
    """K of the image that is `x` times as wide and `y` times as high."""
    return np.diag([x, y, 1.0]) @ K
