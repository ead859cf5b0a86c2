"""`spatialsv lift PHOTO...`: photos of one place in; depth, cameras and a point cloud out.

Photos are read as `photo.py` says, written as `export.py` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from spatialsv.lift.export import write_cameras, write_clouds, write_maps
from spatialsv.lift.forward import Lifter, as_scenes
from spatialsv.lift.photo import read_photo
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import write_store
from spatialsv.teachers.checkpoint import load_network
from spatialsv.teachers.rooms import RoomsTeacher, resize

MOST_VIEWS = 8
NOTICE = (
    "note: this model was trained on rendered rooms only; on real photos take its geometry as a"
    " demonstration, not a measurement. Lengths are relative: 1 = the mean distance of points"
)


def lift_photos(
    photos: Sequence[Path],
    out: Path,
    model: Path | None = None,
    size: int = 64,
    family: str | None = None,
) -> Scenes:
    """Lift 1 to 8 photos of one place, the first of which is the frame, and write into `out`.

    Writes depth/, confidence/ and figures/ (PNG, one a photo), cameras.json, scene.glb, scene.ply
    and lifted.zarr.

    Args:
        photos: any sizes and formats that Pillow reads.
        out: a folder; files of an earlier lift in it are replaced.
        model: a train manifest, or a folder with mllm/ and heads/. None: the shipped teacher.
        size: pixels to which a photo's square is resized: what the model was trained at.
        family: the name of an adapter from outside, for `load_mllm`.

    Returns: the geometry, one scene, with the images that the model was shown.

    Raises:
        ValueError: no photos or too many, a file that is no photo, or a model without heads.
    """
    if not 1 <= len(photos) <= MOST_VIEWS:
        raise ValueError(f"{len(photos)} photos: give 1 to {MOST_VIEWS}, views of one place")
    views = [read_photo(path, size) for path in photos]
    image = np.stack([view.image for view in views])[None]
    lifted = lift_images(image, model, family)
    out.mkdir(parents=True, exist_ok=True)
    write_maps(out, lifted, [view.path.stem for view in views])
    write_cameras(out / "cameras.json", lifted, views)
    write_clouds(out, lifted)
    write_store(out / "lifted.zarr", lifted)
    print(NOTICE)
    print(f"wrote {out}/scene.glb and, beside it, cameras, depth and confidence")
    return lifted


def lift_images(
    image: UInt8[np.ndarray, "1 N H W 3"], model: Path | None, family: str | None = None
) -> Scenes:
    """One scene's geometry at the size that the model gives it, with the images at that size.

    Without `model`: that of the shipped teacher, since the shipped MLLM is bare of heads.
    """
    unknown = Scenes(ids=("photos",), image=image, unit="relative", source="photos")
    if model is None:
        return replace(RoomsTeacher(load_network()).label(unknown), features=None, image=image)
    lifter = Lifter(model, family=family)
    [(_, lifted)] = lifter.lift(unknown)
    scenes = as_scenes(lifted, unknown.ids, source="lifted:photos")
    pixels = torch.from_numpy(image).movedim(-1, 2).float()
    small = resize(pixels, *scenes.depth.shape[-2:]).round().clamp(0, 255).byte()
    return replace(scenes, image=small.movedim(2, -1).contiguous().numpy())
