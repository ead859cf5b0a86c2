"""ScanNet++ (Yeshwanth et al. 2023), DSLR: dslr/nerfstudio/transforms.json, dslr/resized_images.

The lens is an OpenCV fisheye, undistorted by the loader. Poses are camera-to-world with OpenGL
axes, in a world frame whose axes the toolkit swapped; here they are converted to the mesh's frame.
Pixel centres are at half integers, as in COLMAP. Depth exists only if the toolkit rendered it from
the mesh (dslr/render_depth: PNGs of millimetres, 0 where unknown, with the same lens). Frames that
are marked bad or held out for testing are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    from_opengl,
    intrinsics_matrix,
    natural_key,
    resolve_below,
)
from spatialsv.scenes.readers.depth_png import read_depth
from spatialsv.scenes.readers.files import array, collect_frames, find_folders, read_json_object
from spatialsv.scenes.readers.lens import Lens

TRANSFORMS = "dslr/nerfstudio/transforms.json"
LICENCE = "ScanNet++ Terms of Use, non-commercial"
CAMERA = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4", "w", "h")
TO_MESH = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
PER_METRE = 1000.0


def scenes(root: Path) -> list[Path]:
    """Return the directories with DSLR transforms."""
    return find_folders(root, lambda folder: (folder / TRANSFORMS).is_file())


def capture(scene: Path) -> Capture:
    """Return the frames, by name."""
    path = scene / TRANSFORMS
    transforms = read_json_object(path)
    try:
        _camera(transforms)
    except ValueError as error:
        raise CaptureError(f"{path}: {error}") from None
    rendered = scene / "dslr/render_depth"
    has_depth = rendered.is_dir()

    def frame(entry: tuple[str, Any, bool]) -> Frame:
        where, about, testing = entry
        if not isinstance(about, Mapping) or not isinstance(about.get("file_path"), str):
            raise FrameError("no file_path", where)
        name = about["file_path"]
        if testing or about.get("is_bad"):
            raise FrameError("held out for testing" if testing else "marked bad", name)
        try:
            camera = _camera({**transforms, **about})
        except ValueError as error:
            raise FrameError("unknown camera", f"{where}: {error}") from None
        image = resolve_below(scene / "dslr/resized_images", name)
        depth = partial(read_depth, resolve_below(rendered, name).with_suffix(".png"), PER_METRE)
        return Frame(
            id=name,
            image=image,
            cam_to_world=TO_MESH @ from_opengl(_pose(where, about)),
            depth=depth if has_depth else None,
            **camera,
        )

    frames, skipped = collect_frames(_entries(path, transforms), frame)
    return Capture(
        id=f"{scene.resolve().name}/dslr",
        frames=sorted(frames, key=lambda frame: natural_key(frame.id)),
        skipped=skipped,
        source="scannetpp",
        licence=LICENCE,
    )


def _camera(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return K, size and lens.

    Raises:
        ValueError: a field is missing or invalid.
    """
    if (model := fields.get("camera_model")) != "OPENCV_FISHEYE":
        raise ValueError(f"expected camera_model OPENCV_FISHEYE, found {model!r}")
    if missing := [name for name in CAMERA if name not in fields]:
        raise ValueError(f"no {missing[0]}, expected {', '.join(CAMERA)}")
    numbers = array([fields[name] for name in CAMERA], (len(CAMERA),))
    if not np.isfinite(numbers).all() or min(numbers[-2:]) < 1:
        raise ValueError(f"expected {', '.join(CAMERA)}, found {numbers.tolist()}")
    return {
        "intrinsics": intrinsics_matrix(*numbers[:4]),
        "size": (int(numbers[8]), int(numbers[9])),
        "lens": Lens("fisheye", tuple(numbers[4:8].tolist())),
    }


def _entries(path: Path, transforms: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """Return position, fields and whether it is held out, of each frame."""
    entries: list[tuple[str, Any, bool]] = []
    for part in ("frames", "test_frames"):
        listed = transforms.get(part, [])
        if not isinstance(listed, list):
            raise CaptureError(f"{path}: {part}: expected a list, found {type(listed).__name__}")
        entries += [(f"{path}: {part}[{i}]", e, part != "frames") for i, e in enumerate(listed)]
    return entries


def _pose(where: str, about: Mapping[str, Any]) -> Float[np.ndarray, "4 4"]:
    try:
        return array(about.get("transform_matrix"), (4, 4))
    except ValueError as error:
        raise FrameError("unreadable pose", f"{where}: {error}") from None
