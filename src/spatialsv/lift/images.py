"""`spatialsv lift PHOTO... | VIDEO | FOLDER | STORE`: pictures in; depth, cameras, points out.

Inputs are read as `places.py` says, shown as `view.py` says, written as `files/written.py` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spatialsv.geometry.maps import resize_maps
from spatialsv.io.atomic import write_json
from spatialsv.lift.errors import ALIGNMENT, Errors, errors_of, told
from spatialsv.lift.files.rerun import check_rerun
from spatialsv.lift.files.result import Cloud, Result, cloud_of
from spatialsv.lift.files.written import write_result
from spatialsv.lift.image_sets import ImageSet, ImageSetConfig, read_image_sets
from spatialsv.lift.measure import summarise
from spatialsv.lift.models import Model, load_model
from spatialsv.lift.view import View, view_of
from spatialsv.scenes.scene import as_frame_ids, fault


@dataclass(frozen=True, kw_only=True)
class LiftImagesConfig(ImageSetConfig):
    """What is lifted, and what of it goes into clouds."""

    shown_pixels: int = 307_200  # of a picture, to a model that takes any shape; 640 x 480
    # Less sure pixels are not in the clouds; DA3's 40 would cut away smaller things in a room.
    confidence_percentile: float = 10.0
    points: int = 1_000_000  # of a cloud, at most, as with DA3
    rrd: bool = False  # scene.rrd for rerun

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shown_pixels", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if not 0 <= (found := self.confidence_percentile) < 100:
            raise ValueError(f"confidence_percentile: expected 0 to below 100, found {found}")


def lift_images(
    inputs: Sequence[Path],
    out: Path,
    config: LiftImagesConfig | None = None,
    model: Path | None = None,
    family: str | None = None,
    scenes: Sequence[str] = (),
) -> list[Path]:
    """Lift each place among `inputs`, whose first picture is its frame, and write into `out`.

    Of several places each has a folder there, named by its id. Where a source knows its geometry,
    errors.json tells how far off the lifted one is.

    Args:
        out: a folder; files of an earlier lift in it are replaced.
        model: a train manifest, or a folder with mllm/ and heads/. None: the shipped teacher.
        family: the name of an adapter from outside, for `load_mllm`.
        scenes: the ids of the places that are meant; none: all.

    Returns: the folder of each place.

    Raises:
        ValueError: nothing to lift, an input that cannot be read, a model without heads, or more
            views than it takes.
    """
    config = config or LiftImagesConfig()
    if config.rrd:
        check_rerun()
    places = read_image_sets(inputs, config, scenes)
    first = next(places)  # so that a fault of the input is told before a model is loaded
    second = next(places, None)
    lifts = load_model(model, family)
    folders, errors = [], []
    for place in chain([first], [second] if second else [], places):
        folder = out if second is None else out / folder_of(place.id)
        if folder in folders:
            raise ValueError(f"{place.id}: two places of this name; lift one into another folder")
        folders.append(folder)
        result, cloud = lift_image_set(place, lifts, config)
        write_result(folder, result, cloud, _about(lifts, cloud, config), config.rrd)
        print("\n".join(_told(place, result, cloud, lifts, folder)))
        if place.truth is not None:
            errors.append(errors_of(result.scenes, place.truth, lifts.shape))
    if errors:
        _write_errors(out / "errors.json", errors)
    if lifts.notice:
        print(f"note: {lifts.name} {lifts.notice}")
    print("note: lengths are relative, 1 = the mean distance of points to the first camera")
    return folders


def lift_image_set(place: ImageSet, model: Model, config: LiftImagesConfig) -> tuple[Result, Cloud]:
    """One place's geometry.

    Raises:
        ValueError: more views than the model takes, or geometry that is not finite.
    """
    if model.most_views is not None and len(place.pictures) > model.most_views:
        raise ValueError(
            f"{place.id}: {len(place.pictures)} views, and {model.name} takes at most"
            f" {model.most_views}: give fewer photos, or set frames for folders and videos"
        )
    views = [
        view_of(name, picture, size, model.shape, config.shown_pixels)
        for name, picture, size in zip(place.names, place.pictures, place.sizes, strict=True)
    ]
    lifted = model.lift([view.shown for view in views])
    if wrong := fault(lifted):
        raise ValueError(f"{place.id}: {model.name} gives no usable geometry: {wrong}")
    scenes = replace(
        lifted,
        ids=(place.id,),
        image=np.stack([_small(view, lifted.shape[1:]) for view in views])[None],
        frame_ids=as_frame_ids(place.names),
    )
    result = Result(scenes=scenes, views=views)
    return result, cloud_of(scenes, config.confidence_percentile, config.points)


def folder_of(name: str) -> Path:
    """A scene's id as a path below another; what no file system likes is replaced."""
    parts = [re.sub(r"[^\w.~#-]", "_", part) for part in name.split("/")]
    return Path(*(part if part.strip(".") else "_" for part in parts))


def _small(view: View, size: tuple[int, int]) -> np.ndarray:
    """The picture that was shown, at the maps' size."""
    pixels = torch.from_numpy(view.shown.copy()).movedim(-1, 0).float()
    small = resize_maps(pixels[None, None], *size)[0, 0].round().clamp(0, 255).byte()
    return small.movedim(0, -1).contiguous().numpy()


def _about(model: Model, cloud: Cloud, config: LiftImagesConfig) -> dict[str, Any]:
    return {
        "model": {"name": model.name, "trained_at": model.shape, "notice": model.notice},
        "cloud": {
            "points": len(cloud.points),
            "left_out": cloud.left_out,
            "confidence_percentile": config.confidence_percentile,
            "least_confidence": cloud.least,
        },
    }


def _told(
    place: ImageSet, result: Result, cloud: Cloud, model: Model, folder: Path
) -> Iterator[str]:
    """What was done, and what was left out, for people."""
    count, size = len(result.views), result.size
    yield f"{place.id}: {count} views, maps of {size[1]} x {size[0]}, in {folder}"
    if place.of is not None:
        yield f"  {place.of} pictures were there; frames and sampling say which are taken"
    yield from (f"  left out: {skipped}" for skipped in place.skipped[:5])
    if cut := [view for view in result.views if view.cut > 0.001]:
        worst = max(cut, key=lambda view: view.cut)
        yield (
            f"  cut: of {len(cut)} of {count} pictures only the middle is lifted, such as"
            f" {worst.part[2]:.0f} x {worst.part[3]:.0f} of {worst.size[0]} x {worst.size[1]}"
            f" ({worst.cut:.0%} left out), since {model.name} was trained at"
            f" {model.shape[1]} x {model.shape[0]}"
        )
    yield f"  clouds: {len(cloud.points)} points; {cloud.left_out} pixels left out, the least sure"


def _write_errors(path: Path, errors: Sequence[Errors]) -> None:
    """errors.json: a row a scene, their means, and what was aligned. It is told as well."""
    rows = [
        {k: v for k, v in error.row.items() if isinstance(v, str) or isfinite(v)}
        for error in errors
    ]
    means = summarise(rows, [pair for error in errors for pair in error.pairs])
    write_json(path, {"alignment": ALIGNMENT, "mean": means, "scenes": rows})
    print(f"against the geometry of the source, {len(rows)} scenes, mean; all in {path}:")
    print(told(means))
