"""Frames of a capture as `Scenes`: validated, undistorted, of one size, with matching K.

Invalid frames are skipped and counted by reason; a capture without a valid frame is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from spatialsv.scenes.scene import Cameras, Geometry, Scenes, as_frame_ids

RIGID = 1e-2  # maximum deviation of singular values from 1; 7-Scenes' poses deviate by 4e-4
ASPECT = 0.02  # maximum relative difference between aspect ratios of an image and its K
PADDING = (127, 127, 127)


@dataclass(frozen=True, eq=False)
class View:
    """One processed frame."""

    image: UInt8[np.ndarray, "H W 3"]
    intrinsics: Float[np.ndarray, "3 3"] | None
    depth: Float[np.ndarray, "H W"] | None


def load(
    capture: Capture, count: int, sampling: Sampling, pixels: int | None
) -> tuple[list[Scenes], list[FrameError]]:
    """Load the scenes of a capture.

    Args:
        capture: what to load.
        count: maximum number of views per scene.
        sampling: how frames are selected.
        pixels: maximum number of pixels per image; None keeps the size.

    Returns:
        The scenes, and the errors of skipped frames.

    Raises:
        CaptureError: no frame is valid, or there are poses without intrinsics.
    """
    frames, skipped = validate_frames(capture)
    if not frames:
        raise CaptureError(f"{capture.id}: {_describe_errors(skipped)}")
    clips = select_frames(
        frames, count, sampling, partial(read_thumbnails, pixels=THUMBNAIL * THUMBNAIL)
    )
    scenes = []
    for number, clip in enumerate(clips):
        name = capture.id if len(clips) == 1 else f"{capture.id}/{number:04d}"
        scene = _scene(name, capture, clip, pixels, skipped)
        scenes += [scene] if scene else []
    if not scenes:
        raise CaptureError(f"{capture.id}: {_describe_errors(skipped)}")
    return scenes, skipped


def validate_frames(capture: Capture) -> tuple[list[Frame], list[FrameError]]:
    """Return the frames with valid cameras, rotations orthonormalised, and the errors of others.

    Raises:
        CaptureError: there are poses without intrinsics.
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
    """Check the intrinsics of a frame.

    Raises:
        FrameError: they are not finite or not of the form of K.
    """
    for K in (frame.intrinsics, frame.depth_intrinsics):
        if K is not None and not (
            np.isfinite(K).all() and min(K[0, 0], K[1, 1]) > 0 and (K[2] == [0, 0, 1]).all()
        ):
            raise FrameError("invalid intrinsics", f"frame {frame.id}: {K.tolist()}")


def rigid_pose(frame: Frame) -> Float[np.ndarray, "4 4"]:
    """Return the pose of a frame with the nearest orthonormal rotation.

    Raises:
        FrameError: the pose is missing, not finite or not rigid.
    """
    pose = frame.pose
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


def _describe_errors(skipped: Sequence[FrameError]) -> str:
    reasons = "; ".join(str(error) for error in skipped[:3])
    return f"none of {len(skipped)} frames is valid: {reasons}" if skipped else "no frames"


def _scene(
    name: str, capture: Capture, frames: Sequence[Frame], pixels: int | None, skipped: list
) -> Scenes | None:
    """Load one scene; errors of unreadable frames are appended to `skipped`."""
    kept: list[Frame] = []
    views: list[View] = []
    for frame, image in zip(frames, read_images(frames, pixels), strict=True):
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
    cameras, geometry = None, None
    if kept[0].cam_to_world is not None:
        K = np.stack([v.intrinsics for v in views if v.intrinsics is not None])[None]
        poses = np.stack([frame.pose for frame in kept])[None]
        cameras = Cameras(intrinsics=K, cam_to_world=poses)
    if cameras and any(v.depth is not None for v in views):
        nothing = np.zeros(views[0].image.shape[:2], np.float32)
        depth = np.stack([nothing if v.depth is None else v.depth for v in views])[None]
        geometry = Geometry(cameras=cameras, depth=depth, valid=depth > 0)
    return Scenes(
        ids=(name,),
        cameras=None if geometry else cameras,
        geometry=geometry,
        image=np.stack([v.image for v in views])[None],
        frame_ids=as_frame_ids(frame.id for frame in kept),
        unit=capture.unit if cameras else "relative",
        source=capture.source,
        revision=capture.revision,
        licence=capture.licence,
    )


def read_images(
    frames: Sequence[Frame], pixels: int | None = None
) -> Iterator[Image.Image | FrameError]:
    """Read the images of frames, in order.

    EXIF orientation is applied only where K is unknown, since K refers to the stored pixels. There,
    `pixels` limits the size of image files before they are decoded.

    Yields:
        An image, or the error of a frame that cannot be read.
    """
    video = None  # a video is decoded once, in order
    for frame in frames:
        try:
            if callable(frame.image):
                yield frame.image()
            elif frame.number is None:
                posed = frame.intrinsics is not None
                yield read_image(frame.image, not posed, None if posed else pixels)
            else:
                if video is None:
                    video = decode_frames(
                        frame.image, [f.number for f in frames if f.number is not None]
                    )
                yield next(video)
        except FileNotFoundError as error:
            yield FrameError("missing image", str(error.filename or error))
        except (ValueError, StopIteration) as error:
            yield FrameError("unreadable image", f"frame {frame.id}: {error}")


def read_thumbnails(frames: Sequence[Frame], pixels: int) -> Iterator[Image.Image | None]:
    """Read the images of frames with at most `pixels` pixels; None for unreadable ones."""
    for image in read_images(frames, pixels):
        yield None if isinstance(image, FrameError) else limit_pixels(image, pixels)


def view(
    frame: Frame, image: Image.Image, pixels: int | None, size: tuple[int, int] | None
) -> View:
    """Return one frame with limited pixels, undistorted, padded to `size` (width, height).

    Raises:
        FrameError: the aspect ratio of the image differs from that of K, or depth is unreadable.
    """
    own_size, K = frame.size or image.size, frame.intrinsics
    if not _same_aspect(image.size, own_size):
        detail = f"frame {frame.id}: the image has {image.size} pixels, K is for {own_size}"
        raise FrameError("wrong size", detail)
    image = limit_pixels(image, pixels)
    if K is not None:
        K = _scale_intrinsics(K, image.width / own_size[0], image.height / own_size[1])
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
        depth = resample_depth(_read_depth(frame, frame.depth), frame, K, own_size, image.size)
    elif K is not None and frame.points is not None:
        depth = splat_points(frame.points, frame.camera_matrix, K, image.size)
    return View(np.asarray(image), K, depth)


def _same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether one scaled K fits both sizes (width, height)."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= ASPECT


def _read_depth(frame: Frame, read: Callable[[], np.ndarray]) -> Float[np.ndarray, "h w"]:
    try:
        return read()
    except FileNotFoundError as error:
        raise FrameError("missing depth", f"frame {frame.id}: {error.filename or error}") from None
    except (OSError, ValueError) as error:
        raise FrameError("unreadable depth", f"frame {frame.id}: {error}") from None


def resample_depth(
    depth: Float[np.ndarray, "h w"],
    frame: Frame,
    intrinsics: Float[np.ndarray, "3 3"],
    own_size: tuple[int, int],
    size: tuple[int, int],
) -> Float[np.ndarray, "H W"]:
    """Resample a depth map to the pixels of an image, by nearest neighbour.

    Depth is never interpolated: no surface lies between two objects.

    Args:
        depth: z-depth as stored.
        frame: gives K and lens of the depth map.
        intrinsics: K of the image.
        own_size: width and height that the frame's K refers to.
        size: width and height of the image.

    Returns:
        z-depth per image pixel, 0 where unknown or outside.

    Raises:
        FrameError: depth shares the image's K but has another aspect ratio.
    """
    height, width = depth.shape
    registered = frame.depth_intrinsics is None
    if registered and not _same_aspect((width, height), own_size):
        detail = f"depth of frame {frame.id}: {width} x {height} pixels, K is for {own_size}"
        raise FrameError("wrong size", detail)
    own = frame.depth_intrinsics
    if own is None:
        own = _scale_intrinsics(frame.camera_matrix, width / own_size[0], height / own_size[1])
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], axis=1) @ np.linalg.inv(intrinsics).T
    pixels = (rays @ own.T)[:, :2]
    if registered and frame.lens:
        pixels = frame.lens.distort(pixels, own)
    inside: Bool[np.ndarray, " P"] = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
    column, row = pixels[inside].astype(int).T
    sampled = np.zeros(u.size, np.float32)
    sampled[inside] = depth[row, column]
    return np.where(np.isfinite(sampled) & (sampled > 0), sampled, 0).reshape(size[::-1])


def splat_points(
    points: Float[np.ndarray, "n 3"],
    source_intrinsics: Float[np.ndarray, "3 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> Float[np.ndarray, "H W"]:
    """Return a sparse depth map of points (u, v, z); the nearest point of a pixel counts.

    Args:
        points: pixel positions and z-depths.
        source_intrinsics: K of the pixel positions.
        intrinsics: K of the map.
        size: width and height of the map.

    Returns:
        z-depth, 0 where no point projects.
    """
    depth = np.zeros(size[::-1], np.float32)
    rays = np.concatenate([points[:, :2], np.ones((len(points), 1))], axis=1)
    pixels = rays @ np.linalg.inv(source_intrinsics).T @ intrinsics.T
    inside = ((pixels[:, :2] >= 0) & (pixels[:, :2] < size)).all(axis=1) & (points[:, 2] > 0)
    pixels, points = pixels[inside], points[inside]
    order = np.argsort(-points[:, 2])
    column, row = pixels[order, :2].astype(int).T
    depth[row, column] = points[order, 2]
    return depth


def _scale_intrinsics(K: Float[np.ndarray, "3 3"], x: float, y: float) -> Float[np.ndarray, "3 3"]:
    """Return K of an image scaled by `x` in width and `y` in height."""
    return np.diag([x, y, 1.0]) @ K
