"""The 3D viewer's data: known and lifted depth with their cameras, thinned and quantised.

Depth maps with cameras hold the same points as clouds do, in a third of the bytes: the page's
script makes the points. All geometry stands in the labels' frame and unit: the first view's camera,
lengths divided by the mean distance of the scene's points. Nothing is aligned: lifted geometry is
shown as it was predicted.

Shapes: N views, H W pixels.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import resample
from spatialsv.geometry.maps import normalise_scene
from spatialsv.io.manifest import Manifest
from spatialsv.report.jobs import Job
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import open_groups, read_groups

DEEPEST = 65535  # a depth's code; 0 is unknown
WORST = 0.25  # relative error of depth, from which on the colour stays the same
UNKNOWN = 255  # the code of an error or a confidence that is not known
# Perceptual scales without their darkest part, which would sink into a dark ground.
SCALES = {"error": ("magma", 0.3, 1.0), "confidence": ("viridis", 0.25, 1.0)}
STOPS = 16  # colours of a scale

EXACT = "the scene itself"  # who knows a scene's own geometry
Place = tuple[Scenes, int]  # a store, and a scene's row in it
Maps = dict[str, Place]  # scene -> where it is


@dataclass(frozen=True, eq=False)
class Cloud:
    """One scene's depth and cameras, in the labels' frame and unit."""

    depth: Float[Tensor, "N H W"]
    valid: Bool[Tensor, "N H W"]
    intrinsics: Float[Tensor, "N 3 3"]
    cam_to_world: Float[Tensor, "N 4 4"]
    confidence: Float[Tensor, "N H W"] | None


def known_maps(scenes: Sequence[Manifest], labels: Sequence[Manifest]) -> dict[str, Maps]:
    """Who knows the scenes' geometry, in words, and where it is: they themselves, then teachers."""
    own = (group for m in scenes for group in open_groups(m.find(".zarr"), ["image"]))
    known = {EXACT: _rows(group.read("depth", "valid") for group in own if group.has_geometry)}
    for manifest in labels:
        groups = read_groups(manifest.find(".zarr"), ["confidence", "scale"])
        name = f"teacher {groups[0].source.removesuffix('-teacher')}"
        known.setdefault(name, {}).update(_rows(groups))
    return {name: maps for name, maps in known.items() if maps}


def stored_maps(jobs: Sequence[Job]) -> dict[str, Maps]:
    """Where each arm's lifted or probed geometry lies, from the stores of its first job."""
    found: dict[str, Maps] = {}
    for job in jobs:
        if job.arm in found:
            continue
        stores = [name for name in job.manifest.payload if name.rstrip("/").endswith(".zarr")]
        wanted = ["confidence", "scale"]
        groups = (g for name in stores for g in read_groups(job.manifest.resolve(name), wanted))
        if maps := _rows(groups):
            found[job.arm] = maps
    return found


def _rows(groups: Iterable[Scenes]) -> Maps:
    return {scene: (group, row) for group in groups for row, scene in enumerate(group.ids)}


def viewer_data(
    known: Mapping[str, Maps], lifted: Mapping[str, Maps], scenes: Iterable[str], points: int
) -> dict[str, Any]:
    """What the viewer reads; JSON-ready.

    Args:
        known: who knows the geometry, as `known_maps` has it. Errors are against the first.
        lifted: by whom geometry is lifted or probed, and where it lies, as `stored_maps` has it.
        scenes: those to show, as far as anything is known of them.
        points: most of a cloud; larger ones are thinned, every k-th pixel of every k-th row.
    """
    sources = {("known", name): maps for name, maps in known.items()}
    sources |= {("lifted", name): maps for name, maps in lifted.items()}
    found = {}
    for scene in scenes:
        here = {key: cloud_of(*maps[scene]) for key, maps in sources.items() if scene in maps}
        truth = next((cloud for (kind, _), cloud in here.items() if kind == "known"), None)
        found[scene] = [
            encoded(cloud, points, None if cloud is truth else truth) | {"source": number}
            for number, key in enumerate(sources)
            if (cloud := here.get(key)) is not None
        ]
    return {
        "sources": [{"kind": kind, "label": name} for kind, name in sources],
        "scenes": {scene: clouds for scene, clouds in found.items() if clouds},
        "scales": {name: _colours(*scale) for name, scale in SCALES.items()},
        "worst": WORST,
    }


def cloud_of(store: Scenes, row: int) -> Cloud:
    """A scene's geometry in the labels' frame and unit; what is in metres is brought there."""
    depth, poses, K = (
        torch.from_numpy(np.asarray(values[row])).double()
        for values in (store.depth, store.cam_to_world, store.intrinsics)
    )
    valid = torch.from_numpy(np.asarray(store.valid[row]))
    found = poses.isfinite().all(dim=(1, 2)) & K.isfinite().all(dim=(1, 2))
    valid = valid & found[:, None, None]  # a camera that was not found places no points
    poses, K = poses.nan_to_num(), K.nan_to_num()
    if store.unit == "metre":
        depth, poses, _ = normalise_scene(depth, poses, K, valid)
    confidence = None if store.confidence is None else torch.tensor(store.confidence[row]).double()
    return Cloud(depth, valid, K, poses, confidence)


def encoded(cloud: Cloud, points: int, truth: Cloud | None) -> dict[str, Any]:
    """A cloud as the page's script reads it; with its errors, where the truth is another cloud."""
    views, *whole = cloud.depth.shape
    step = max(1, math.ceil(math.sqrt(cloud.depth.numel() / points)))
    size = (max(1, whole[0] // step), max(1, whole[1] // step))
    depth, valid, K = resample(cloud.depth, cloud.valid, cloud.intrinsics, size)
    top = float(depth[valid].max()) if valid.any() else 1.0
    codes = (depth / top * DEEPEST).round().clamp(1, DEEPEST).where(valid, 0)
    record = {
        "size": [views, *size],
        "top": top,
        "depth": _packed(codes, "<u2"),
        "K": _numbers(K[:, [0, 0, 0, 1, 1], [0, 1, 2, 1, 2]]),  # fx, skew, cx, fy, cy
        "poses": _numbers(cloud.cam_to_world[:, :3]),
    }
    if truth is not None and len(truth.depth) == views:
        true, seen, _ = resample(truth.depth, truth.valid, truth.intrinsics, size)
        error = (depth / true.where(seen, 1) - 1).abs() / WORST
        record["error"] = _packed(_bytes(error, valid & seen), "u1")
    if cloud.confidence is not None:
        sure, known, _ = resample(cloud.confidence, cloud.valid, cloud.intrinsics, size)
        if (known := known & sure.isfinite()).any():
            low, high = (float(edge) for edge in np.quantile(sure[known], [0.02, 0.98]))
            codes = _bytes((sure - low) / max(high - low, 1e-9), known)
            record["confidence"] = _packed(codes, "u1")
            record["sure"] = [float(f"{low:.3g}"), float(f"{high:.3g}")]
    return record


def _bytes(values: Float[Tensor, "N H W"], known: Bool[Tensor, "N H W"]) -> Tensor:
    """[0, 1] in steps; what lies outside is at an end."""
    return (values * (UNKNOWN - 1)).round().clamp(0, UNKNOWN - 1).where(known, UNKNOWN)


def _packed(codes: Tensor, kind: str) -> str:
    return base64.b64encode(codes.numpy().astype(kind).tobytes()).decode()


def _numbers(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.flatten().tolist()]


def _colours(name: str, low: float, high: float) -> list[str]:
    scale = matplotlib.colormaps[name](np.linspace(low, high, STOPS))
    return [matplotlib.colors.to_hex(colour) for colour in scale]
