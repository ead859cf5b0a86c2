"""Hypersim (Roberts et al. 2021): ai_VVV_NNN/{_detail,images}; a capture is one camera trajectory.

Orientations are camera-to-world with OpenGL axes; positions are in asset units, which
metadata_scene.csv converts to metres. `depth_meters` is the distance to the camera, converted to
z-depth here, NaN where unknown. M_cam_from_uv of metadata_camera_parameters.csv describes the
camera, in most scenes with a shifted or tilted lens, which equals a rotated pinhole camera. Its QR
decomposition gives that rotation and K, with pixel centres at half integers.

HDR images are tone-mapped by the authors' rule (scene_generate_images_tonemap). Without HDR images,
the authors' previews are used, which were made by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from spatialsv.io.text import iterate_table
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame, FrameError, from_opengl
from spatialsv.scenes.readers.files import (
    capture_errors,
    collect_frames,
    files_by_stem,
    find_folders,
    union_of_keys,
)

POSES = ("camera_keyframe_positions.hdf5", "camera_keyframe_orientations.hdf5")
CAMERAS = "metadata_camera_parameters.csv"
FLIP = np.diag([1.0, -1.0, -1.0])  # OpenGL to OpenCV
DISTANCE, COLOUR, PREVIEW = ".depth_meters.hdf5", ".color.hdf5", ".tonemap.jpg"
LUMINANCE = (0.3, 0.59, 0.11)
PERCENTILE, BRIGHT, DARK, GAMMA = 90, 0.8, 1e-4, 1 / 2.2


def scenes(root: Path) -> list[Path]:
    """Return the camera directories: ai_VVV_NNN/_detail/cam_XX."""
    return find_folders(
        root, lambda folder: any((folder / name).is_file() for name in POSES), levels=3
    )


def capture(scene: Path) -> Capture:
    """Return the frames of one camera, by number."""
    folder = scene.resolve().parents[1]
    try:
        positions = read_hdf5(scene / POSES[0], 2)
        turns = read_hdf5(scene / POSES[1], 3)
    except (OSError, ValueError) as error:
        raise CaptureError(str(error)) from None
    count = len(positions)
    if positions.shape != (count, 3) or turns.shape != (count, 3, 3):
        raise CaptureError(f"{scene}: positions {positions.shape}, orientations {turns.shape}")
    metres = _metres(folder / "_detail/metadata_scene.csv")
    intrinsics, turn, size = _camera(folder)
    images = folder / "images"
    geometry = images / f"scene_{scene.resolve().name}_geometry_hdf5"
    final = images / f"scene_{scene.resolve().name}_final_hdf5"
    previews = images / f"scene_{scene.resolve().name}_final_preview"

    def frame(name: str) -> Frame:
        index = name.removeprefix("frame.")
        if not index.isdecimal() or int(index) >= count:
            raise FrameError("no pose", f"{name} of {count} in {scene}")
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turns[int(index)], positions[int(index)] * metres
        pose = from_opengl(pose)
        pose[:3, :3] = pose[:3, :3] @ turn
        hdr, entities = final / f"{name}{COLOUR}", geometry / f"{name}.render_entity_id.hdf5"
        has_hdr = hdr.is_file() and entities.is_file()
        return Frame(
            id=name,
            image=partial(tone_map, hdr, entities) if has_hdr else previews / f"{name}{PREVIEW}",
            size=size,
            intrinsics=intrinsics,
            cam_to_world=pose,
            depth=partial(_depth, geometry / f"{name}{DISTANCE}", intrinsics, size),
        )

    parts = (
        files_by_stem(geometry, (DISTANCE,)),
        files_by_stem(final, (COLOUR,)),
        files_by_stem(previews, (PREVIEW,)),
    )
    frames, skipped = collect_frames(union_of_keys(*parts), frame)
    return Capture(
        id=f"{folder.name}/{scene.resolve().name}",
        frames=frames,
        skipped=skipped,
        source="hypersim",
        licence="CC BY-SA 3.0",
    )


def read_hdf5(path: Path, axes: int) -> Shaped[np.ndarray, "..."]:
    """Read the array of an HDF5 file.

    Args:
        path: the file.
        axes: expected number of axes.

    Returns:
        The array.

    Raises:
        CaptureError: h5py is not installed.
        FileNotFoundError: `path` does not exist.
        ValueError: the file is not HDF5, or the array is not numeric with `axes` axes.
    """
    try:
        import h5py
    except ImportError:
        raise CaptureError(
            f"{path}: HDF5 needs h5py. Run pip install 'spatialsv[readers]'."
        ) from None
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        with h5py.File(path, "r") as file:
            values = file["dataset"][...]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: cannot be read as HDF5 ({error})") from None
    if not isinstance(values, np.ndarray) or values.ndim != axes or values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected numbers with {axes} axes, found {values!r:.80}")
    return values


def _depth(
    path: Path, intrinsics: Float[np.ndarray, "3 3"], size: tuple[int, int]
) -> Float[np.ndarray, "H W"]:
    """Return z-depth in metres from distances."""
    distance = read_hdf5(path, 2).astype(float)
    if distance.shape != size[::-1]:
        raise ValueError(f"{path}: expected {size} pixels, found {distance.shape[::-1]}")
    u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T
    depth = distance / np.linalg.norm(rays, axis=-1)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def tone_map(colour: Path, entities: Path) -> Image.Image:
    """Tone-map an HDR image: the 90th percentile of rendered brightness becomes 0.8.

    Args:
        colour: the HDR image.
        entities: its entity ids; -1 where nothing was rendered.

    Returns:
        The RGB image.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is invalid.
    """
    hdr, rendered = read_hdf5(colour, 3).astype(float), read_hdf5(entities, 2) != -1
    if hdr.shape != (*rendered.shape, 3):
        raise ValueError(f"{colour}: shape {hdr.shape}, but {entities.name} has {rendered.shape}")
    hdr = np.nan_to_num(hdr, posinf=0, neginf=0)
    scale = 1.0
    if rendered.any():
        bright = np.percentile((hdr @ LUMINANCE)[rendered], PERCENTILE)
        scale = 0.0 if bright < DARK else BRIGHT ** (1 / GAMMA) / bright
    mapped = np.clip(scale * hdr, 0, None) ** GAMMA
    return Image.fromarray((np.clip(mapped, 0, 1) * 255).round().astype(np.uint8))


def _rows(path: Path) -> list[Mapping[str, str]]:
    with capture_errors(path):
        return [row for _, row in iterate_table(path, ",")]


def _metres(path: Path) -> float:
    """Return the length of an asset unit in metres."""
    values = {row.get("parameter_name"): row.get("parameter_value") for row in _rows(path)}
    try:
        metres = float(values["meters_per_asset_unit"] or "")
        if not 0 < metres < np.inf:
            raise ValueError(f"{metres}")
    except (KeyError, TypeError, ValueError) as error:
        raise CaptureError(f"{path}: no meters_per_asset_unit ({error!r})") from None
    return metres


def _camera(
    folder: Path,
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"], tuple[int, int]]:
    """Return K, the rotation of the pinhole camera, and the image size."""
    candidates = [folder / CAMERAS, folder.parent / CAMERAS]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise CaptureError(
            f"{folder.parent}: no {CAMERAS}. Copy it from apple/ml-hypersim,"
            " contrib/mikeroberts3000: cameras differ between scenes."
        )
    fields = next((row for row in _rows(path) if row.get("scene_name") == folder.name), {})
    try:
        width, height = (
            int(float(fields[f"settings_output_img_{side}"])) for side in ("width", "height")
        )
        from_uv = [[float(fields[f"M_cam_from_uv_{r}{c}"]) for c in range(3)] for r in range(3)]
        return *_pinhole(np.array(from_uv), width, height), (width, height)
    except (KeyError, TypeError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise CaptureError(f"{path}: no valid camera of {folder.name} ({error!r})") from None


def _pinhole(
    from_uv: Float[np.ndarray, "3 3"], width: int, height: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3 3"]]:
    """Return K and the rotation of the pinhole camera with the rays of `from_uv`.

    `from_uv` maps (u, v, 1), with u and v from -1 to 1 and v up, to camera rays.

    Raises:
        ValueError: no such camera exists.
    """
    if width < 1 or height < 1 or not np.isfinite(from_uv).all():
        raise ValueError(f"{width} x {height}, {from_uv.tolist()}")
    uv = np.array([[2 / width, 0, -1], [0, -2 / height, 1], [0, 0, 1]])
    turn, inverse = np.linalg.qr(FLIP @ from_uv @ uv)
    signs = np.sign(np.diag(inverse))
    turn, inverse = turn * signs, signs[:, None] * inverse
    if not np.linalg.det(turn) > 0.5:
        raise ValueError(f"not a pinhole camera: {from_uv.tolist()}")
    K = np.linalg.inv(inverse)
    return K / K[2, 2], turn
