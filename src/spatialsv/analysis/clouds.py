"""Data of the 3D viewer: true and predicted depth with cameras, thinned and quantised.

Depth maps with cameras hold the same points as clouds do, in a third of the bytes: the page's
script computes the points. All geometry is in the labels' frame and unit: the first view's camera,
lengths divided by the mean distance of the scene's points. Predicted geometry is
stored without alignment.

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

from spatialsv.analysis.jobs import Job
from spatialsv.geometry.camera import resample
from spatialsv.geometry.maps import normalise_scene
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups, open_store

MAX_CODE = 65535  # of the largest depth; 0 is unknown
MAX_ERROR = 0.25  # relative error of depth at the end of the colour scale
UNKNOWN = 255  # the code of an unknown error or confidence
# Perceptual scales without their darkest part, which would vanish on a dark background.
SCALES = {"error": ("magma", 0.3, 1.0), "confidence": ("viridis", 0.25, 1.0)}
STOPS = 16  # colours of a scale

EXACT = "exact"  # the source of a scene's own geometry
Maps = Mapping[str, tuple[Scenes, int]]  # by scene: a store, and the scene's row in it


@dataclass(frozen=True, eq=False)
class Cloud:
    """One scene's depth and cameras, in the labels' frame and unit."""

    depth: Float[Tensor, "N H W"]
    valid: Bool[Tensor, "N H W"]
    intrinsics: Float[Tensor, "N 3 3"]
    cam_to_world: Float[Tensor, "N 4 4"]
    confidence: Float[Tensor, "N H W"] | None


def reference_maps(scenes: Sequence[Manifest], labels: Sequence[Manifest]) -> dict[str, Maps]:
    """Find reference geometry of the scenes: `exact` where they have it, then `teacher:NAME`."""
    own = (group for m in scenes for group in open_store(m.find(".zarr")))
    maps = {EXACT: _rows(group.load("depth") for group in own if group.has_geometry)}
    for manifest in labels:
        groups = load_groups(manifest.find(".zarr"), ["depth", "confidence", "scale"])
        name = f"teacher:{groups[0].source.removesuffix('-teacher')}"
        maps.setdefault(name, {}).update(_rows(groups))
    return {name: found for name, found in maps.items() if found}


def model_maps(jobs: Sequence[Job]) -> dict[str, Maps]:
    """Find each arm's lifted or probed geometry, in the stores of its first job that has any."""
    maps: dict[str, Maps] = {}
    for job in jobs:
        if job.arm in maps:
            continue
        stores = [name for name in job.manifest.payload if name.rstrip("/").endswith(".zarr")]
        variables = ["depth", "confidence", "scale"]
        groups = (g for name in stores for g in load_groups(job.manifest.resolve(name), variables))
        if found := _rows(groups):
            maps[job.arm] = found
    return maps


def _rows(groups: Iterable[Scenes]) -> dict[str, tuple[Scenes, int]]:
    return {scene: (group, row) for group in groups for row, scene in enumerate(group.ids)}


def cloud_payload(
    references: Mapping[str, Maps], models: Mapping[str, Maps], scenes: Iterable[str], points: int
) -> dict[str, Any]:
    """Encode the clouds of the 3D viewer.

    Args:
        references: of `reference_maps`. Errors are against the first that has the scene.
        models: by source (`lifted:ARM`, `probed:ARM`), as `model_maps` has them.
        scenes: to encode; those without any geometry are skipped.
        points: upper limit of a cloud; larger ones are thinned: every k-th pixel of every k-th row.

    Returns:
        JSON-ready `sources`, `scenes`, colour `scales`, and `max_error`, the end of the scale.
    """
    sources = {("reference", name): maps for name, maps in references.items()}
    sources |= {("model", name): maps for name, maps in models.items()}
    encoded = {}
    for scene in scenes:
        clouds = {key: load_cloud(*maps[scene]) for key, maps in sources.items() if scene in maps}
        truth = next((c for (kind, _), c in clouds.items() if kind == "reference"), None)
        encoded[scene] = [
            encode_cloud(cloud, points, None if cloud is truth else truth) | {"source": number}
            for number, key in enumerate(sources)
            if (cloud := clouds.get(key)) is not None
        ]
    return {
        "sources": [{"kind": kind, "name": name} for kind, name in sources],
        "scenes": {scene: clouds for scene, clouds in encoded.items() if clouds},
        "scales": {name: _colours(*scale) for name, scale in SCALES.items()},
        "max_error": MAX_ERROR,
    }


def load_cloud(store: Scenes, row: int) -> Cloud:
    """Return one scene's geometry in the labels' frame and unit; metres are normalised."""
    depth, poses, K = (
        torch.from_numpy(np.asarray(values[row])).double()
        for values in (store.depth, store.cam_to_world, store.intrinsics)
    )
    valid = torch.from_numpy(np.asarray(store.valid[row]))
    is_posed = poses.isfinite().all(dim=(1, 2)) & K.isfinite().all(dim=(1, 2))
    valid = valid & is_posed[:, None, None]  # a view without a camera has no points
    poses, K = poses.nan_to_num(), K.nan_to_num()
    if store.unit == "metre":
        depth, poses, _ = normalise_scene(depth, poses, K, valid)
    stored = store.get("confidence")
    confidence = None if stored is None else torch.tensor(stored[row]).double()
    return Cloud(depth, valid, K, poses, confidence)


def encode_cloud(cloud: Cloud, points: int, truth: Cloud | None = None) -> dict[str, Any]:
    """Encode a cloud of at most `points` points for the page's script, with its errors to `truth`.

    Returns:
        JSON-ready size, depth codes, cameras, and codes of error and confidence where known.
    """
    views, height, width = cloud.depth.shape
    step = max(1, math.ceil(math.sqrt(cloud.depth.numel() / points)))
    size = (max(1, height // step), max(1, width // step))
    depth, valid, K = resample(cloud.depth, cloud.valid, cloud.intrinsics, size)
    top = float(depth[valid].max()) if valid.any() else 1.0
    codes = (depth / top * MAX_CODE).round().clamp(1, MAX_CODE).where(valid, 0)
    record = {
        "size": [views, *size],
        "top": top,
        "depth": _pack(codes, "<u2"),
        "K": _numbers(K[:, [0, 0, 0, 1, 1], [0, 1, 2, 1, 2]]),  # fx, skew, cx, fy, cy
        "poses": _numbers(cloud.cam_to_world[:, :3]),
    }
    if truth is not None and len(truth.depth) == views:
        true, known, _ = resample(truth.depth, truth.valid, truth.intrinsics, size)
        error = (depth / true.where(known, 1) - 1).abs() / MAX_ERROR
        record["error"] = _pack(_bytes(error, valid & known), "u1")
    if cloud.confidence is not None:
        sure, known, _ = resample(cloud.confidence, cloud.valid, cloud.intrinsics, size)
        if (known := known & sure.isfinite()).any():
            low, high = (float(edge) for edge in np.quantile(sure[known], [0.02, 0.98]))
            codes = _bytes((sure - low) / max(high - low, 1e-9), known)
            record["confidence"] = _pack(codes, "u1")
            record["confidence_range"] = [float(f"{low:.3g}"), float(f"{high:.3g}")]
    return record


def _bytes(values: Float[Tensor, "N H W"], known: Bool[Tensor, "N H W"]) -> Tensor:
    """[0, 1] in equal steps; values outside are clipped."""
    return (values * (UNKNOWN - 1)).round().clamp(0, UNKNOWN - 1).where(known, UNKNOWN)


def _pack(codes: Tensor, kind: str) -> str:
    return base64.b64encode(codes.numpy().astype(kind).tobytes()).decode()


def _numbers(values: Tensor) -> list[float]:
    return [float(f"{value:.6g}") for value in values.flatten().tolist()]


def _colours(name: str, low: float, high: float) -> list[str]:
    scale = matplotlib.colormaps[name](np.linspace(low, high, STOPS))
    return [matplotlib.colors.to_hex(colour) for colour in scale]
