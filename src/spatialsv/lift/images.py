"""`spatialsv lift PHOTO... | VIDEO | FOLDER | STORE`: images in; depth, cameras and points out.

`image_sets.py` reads the inputs, `models.py` lifts them, `files/` describes and writes the outputs.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from spatialsv.geometry.maps import normalise_scene, resize_maps
from spatialsv.lift.errors import SourceErrors, compare_with_source, write_errors
from spatialsv.lift.files.cameras import write_cameras, write_colmap, write_transforms
from spatialsv.lift.files.maps import write_figures, write_maps, write_npz
from spatialsv.lift.files.scene_page import write_scene_page
from spatialsv.lift.image_sets import ImageSet, ImageSetConfig, read_image_sets
from spatialsv.lift.models import GeometryModel, ShippedTeacher, load_model
from spatialsv.lift.result import (
    LiftResult,
    PointCloud,
    check_rerun,
    make_point_cloud,
    write_glb,
    write_ply,
    write_rrd,
)
from spatialsv.lift.views import View, make_view
from spatialsv.lift.windows import MAX_RESIDUAL, Join, join_windows, split_views
from spatialsv.progress import progress
from spatialsv.scenes.images import limit_pixels
from spatialsv.scenes.scene import Scenes, as_frame_ids, find_invalid_value
from spatialsv.scenes.store import write_store

SHIPPED_ONLY = (  # the first line
    "lift: the shipped teacher knows rendered rooms only. For photos, run `make da3` once (Depth"
    " Anything 3, 1 to 6 GB), and add --teacher da3 to this command."
)
FOLDERS = ("depth", "confidence", "depth_vis", "images", "sparse/0")  # with files of each view


@dataclass(frozen=True, kw_only=True)
class LiftImagesConfig(ImageSetConfig):
    """What is lifted, and which pixels become points."""

    input_pixels: int = 307_200  # largest input of a model that takes any image size; 640 x 480
    # Views of a forward pass; more are lifted in windows, which are joined. Default: as many as
    # the model was trained with, else all.
    window: int | None = None
    window_overlap: int = 2  # views that consecutive windows share, at least
    crop: bool = False  # show a model of one shape each image's centre, not all of it with padding
    # Pixels below this percentile of confidence are not in the clouds; DA3's 40 removes objects.
    confidence_percentile: float = 10.0
    max_points: int = 1_000_000  # largest number of points of a cloud, as in DA3
    rrd: bool = False  # also write scene.rrd for rerun

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_pixels", "max_points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}.")
        if self.window_overlap < 1:
            raise ValueError(f"window_overlap: expected 1 or more, found {self.window_overlap}.")
        if self.window is not None and self.window <= self.window_overlap:
            raise ValueError(
                f"window: expected more than window_overlap ({self.window_overlap}), found"
                f" {self.window}."
            )
        if not 0 <= self.confidence_percentile < 100:
            raise ValueError(
                "confidence_percentile: expected 0 to below 100, found"
                f" {self.confidence_percentile}."
            )


def lift_images(
    inputs: Sequence[Path],
    out: Path,
    config: LiftImagesConfig | None = None,
    model: Path | None = None,
    teacher: str = "rooms",
    family: str | None = None,
    scenes: Sequence[str] = (),
) -> list[Path]:
    """Lift each image set among the inputs, in the frame of its first image.

    If a source has geometry, errors.json compares the lifted geometry with it.

    Args:
        inputs: photos of one place; videos, folders and datasets; stores or their manifests
        out: folder for the results, with one folder for each image set if there are several;
            files of an earlier lift are replaced
        config: settings
        model: train manifest, or folder with mllm/ and heads/; by default the teacher
        teacher: `rooms`, the shipped one; `da3`, which `make da3` installs; or JSON, as an entry of
            `teachers` in the settings
        family: MODULE:CLASS of an MLLM adapter outside this package; its code is executed
        scenes: ids of the image sets to lift; by default all

    Returns:
        The folder of each image set.

    Raises:
        ValueError: There is nothing to lift, an input cannot be read, the model has no heads, or
            the window is larger than it takes.
    """
    config = config or LiftImagesConfig()
    if config.rrd:
        check_rerun()
    image_sets = read_image_sets(inputs, config, scenes)
    first = next(image_sets)  # an invalid input is reported before a model is loaded
    second = next(image_sets, None)
    loaded = load_model(model, family, teacher)
    if isinstance(loaded, ShippedTeacher):
        print(SHIPPED_ONLY)
    folders: list[Path] = []
    errors: list[SourceErrors] = []
    totals: Counter[str] = Counter()
    for images in chain([first], [second] if second else [], image_sets):
        folder = out if second is None else out / folder_of(images.id)
        if folder in folders:
            raise ValueError(f"Two image sets are named {images.id!r}. Lift them separately.")
        folders.append(folder)
        result, cloud = lift_image_set(images, loaded, config)
        write_result(folder, result, cloud, _record(loaded, result, cloud, config), config.rrd)
        print("\n".join(_summary(images, result, cloud, loaded, folder)))
        totals.update({"views": len(result.views), "points": len(cloud.points)})
        totals.update({"images skipped": len(images.skipped)})
        if images.truth is not None:
            errors.append(compare_with_source(result, images.truth))
    if errors:
        write_errors(out / "errors.json", errors)
    print("\n".join(_closing(loaded, {"image sets": len(folders), **totals}, out, folders[0])))
    return folders


def lift_image_set(
    images: ImageSet, model: GeometryModel, config: LiftImagesConfig
) -> tuple[LiftResult, PointCloud]:
    """Return the geometry of one image set, and its point cloud."""
    shape = model.shape
    if shape is None and model.one_shape:  # the first image's; others are padded to it
        width, height = limit_pixels(images.images[0], config.input_pixels).size
        shape = (height, width)
    views = [
        make_view(name, image, size, shape, config.input_pixels, config.crop)
        for name, image, size in zip(images.names, images.images, images.sizes, strict=True)
    ]
    lifted, joins = _lift_views(images.id, views, model, config)
    scenes = _normalise(lifted).replace(
        ids=(images.id,),
        image=np.stack([_resize_input(view, lifted.shape[1:]) for view in views])[None],
        frame_ids=as_frame_ids(images.names),
    )
    result = LiftResult(scenes=scenes, views=views, joins=joins)
    return result, make_point_cloud(result, config.confidence_percentile, config.max_points)


def _lift_views(
    id: str, views: Sequence[View], model: GeometryModel, config: LiftImagesConfig
) -> tuple[Scenes, list[Join]]:
    """Lift the views in windows, and join these."""
    window = config.window or model.views
    if window is not None and model.max_views is not None and window > model.max_views:
        raise ValueError(
            f"--window: {model.name} takes at most {model.max_views} views, found {window}."
        )
    if window is not None and window <= config.window_overlap:
        raise ValueError(f"--window-overlap: expected less than {window}, the views of a window.")
    windows = split_views(len(views), window, config.window_overlap)
    parts = []
    for part in progress(windows, "lift") if len(windows) > 1 else windows:
        lifted = model.lift([views[number] for number in part])
        if error := find_invalid_value(lifted):
            where = f"{id}, views {part.start} to {part.stop - 1}"
            raise ValueError(f"{where}: {model.name} predicts no usable geometry: {error}")
        parts.append(lifted)
    try:
        return join_windows(parts, windows)
    except ValueError as error:
        raise ValueError(f"{id}: {error}") from None


def _normalise(scenes: Scenes) -> Scenes:
    """Return one scene in the first view's frame, with 1 as the mean distance of its points."""
    depth, poses, K, valid = (
        torch.from_numpy(array)
        for array in (scenes.depth, scenes.cam_to_world, scenes.intrinsics, scenes.valid)
    )
    depth, poses, _ = normalise_scene(depth.double(), poses.double(), K.double(), valid)
    return scenes.replace(depth=depth.float().numpy(), cam_to_world=poses.numpy())


def _resize_input(view: View, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Return the model's input at the maps' size."""
    pixels = torch.from_numpy(view.model_input.copy()).movedim(-1, 0).float()
    resized = resize_maps(pixels[None, None], *size)[0, 0].round().clamp(0, 255).byte()
    return resized.movedim(0, -1).contiguous().numpy()


def write_result(
    out: Path, result: LiftResult, cloud: PointCloud, record: Mapping[str, Any], rrd: bool = False
) -> None:
    """Write all files of one image set, see `lift.files`; those of an earlier lift are replaced."""
    for name in ("scene.rrd", "errors.json"):
        (out / name).unlink(missing_ok=True)
    for folder in FOLDERS:  # an earlier lift may have had more views
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    for name, view in zip(result.names, result.views, strict=True):
        view.image.save(out / "images" / f"{name}.jpg", quality=95, subsampling=0)
    write_maps(out, result)
    write_figures(out, result, cloud)
    write_npz(out / "exports" / "mini_npz" / "results.npz", result)
    write_cameras(out / "cameras.json", result, record)
    write_glb(out / "scene.glb", result, cloud)
    write_ply(out / "scene.ply", result, cloud)
    write_ply(out / "sparse_pc.ply", result, cloud, cameras=False)
    write_colmap(out / "sparse" / "0", result, cloud)
    write_transforms(out / "transforms.json", result)
    model = record["model"]
    write_scene_page(out / "scene.html", result, cloud, model["name"], model["notice"])
    if rrd:
        write_rrd(out / "scene.rrd", result, cloud)
    write_store(out / "lifted.zarr", result.scenes)


def folder_of(name: str) -> Path:
    """Return a scene's id as a relative path, without characters that file systems reject."""
    parts = [re.sub(r"[^\w.~#-]", "_", part) for part in name.split("/")]
    return Path(*(part if part.strip(".") else "_" for part in parts))


def _record(
    model: GeometryModel, result: LiftResult, cloud: PointCloud, config: LiftImagesConfig
) -> dict[str, Any]:
    return {
        "joins": [asdict(join) for join in result.joins],
        "model": {"name": model.name, "trained_at": model.shape, "notice": model.notice},
        "cloud": {
            "points": len(cloud.points),
            "skipped": cloud.skipped,
            "confidence_percentile": config.confidence_percentile,
            "min_confidence": cloud.min_confidence,
        },
    }


def _closing(
    model: GeometryModel, totals: Mapping[str, int], out: Path, folder: Path
) -> Iterator[str]:
    """Yield what holds for all image sets; the last line says how much is where, and what to open.

    Args:
        model: which lifted them.
        totals: what was counted.
        out: of all image sets.
        folder: of the first one.

    Yields:
        Lines.
    """
    if model.notice:
        yield f"note: {model.name} {model.notice}"
    yield "note: lengths are relative, 1 = the mean distance of points to the first camera"
    counts = ", ".join(f"{count:,} {name}" for name, count in totals.items())
    yield f"lift: {counts}; in {out}. Open {folder / 'scene.html'} in a browser."


def _describe_residuals(joins: Sequence[Join]) -> str:
    """Describe how well windows agree; poor joins are named."""
    residuals = [join.residual for join in joins]
    text = (
        f"points of shared views are apart by a median of {min(residuals):.1%} to"
        f" {max(residuals):.1%} of their depth"
    )
    if poor := [join for join in joins if join.residual > MAX_RESIDUAL]:
        listed = ", ".join(f"{join.views[0]} to {join.views[1] - 1}" for join in poor[:5])
        text += (
            f"\n  warning: {len(poor)} windows disagree by more than {MAX_RESIDUAL:.0%} (views"
            f" {listed}), so that the cloud is distorted there. Give photos in the order of the"
            " walk, with more overlap, or fewer of them"
        )
    return text


def _summary(
    images: ImageSet, result: LiftResult, cloud: PointCloud, model: GeometryModel, folder: Path
) -> Iterator[str]:
    """Yield lines on what was lifted, and what was not."""
    count, size = len(result.views), " x ".join(map(str, result.size[::-1]))
    yield f"{images.id}: {count} views, maps of {size}, in {folder}"
    if images.available is not None:
        yield f"  {count} of {images.available} images selected (--frames, --sampling)"
    yield from (f"  skipped: {reason}" for reason in images.skipped[:5])
    if result.joins:
        yield f"  joined: {len(result.joins) + 1} windows; {_describe_residuals(result.joins)}"
    height, width = result.views[0].model_input.shape[:2]
    cropped = [view for view in result.views if view.cropped_share > 0.001]
    if cropped:
        worst = max(cropped, key=lambda view: view.cropped_share)
        yield (
            f"  cropped: only the centre of {len(cropped)} of {count} images is lifted, such as"
            f" {worst.part[2]:.0f} x {worst.part[3]:.0f} of {worst.size[0]} x {worst.size[1]}"
            f" ({worst.cropped_share:.0%} cropped)"
        )
    if padded := [view for view in result.views if view.is_padded]:
        inner = " x ".join(map(str, padded[0].content[2:]))
        yield (
            f"  padded: {len(padded)} of {count} images to {width} x {height} pixels; the first"
            f" fills {inner} of these"
        )
    yield f"  clouds: {len(cloud.points)} points; {cloud.skipped} pixels of low confidence skipped"
