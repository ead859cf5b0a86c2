"""Data of the 3D viewer: depth with cameras, thinned and quantised.

Depth maps with cameras hold the same points as clouds do, in a third of the bytes: the page's
script computes the points.

Shapes: N views, H W pixels.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import resample

MAX_CODE = 65535  # of the largest depth; 0 is unknown
MAX_ERROR = 0.25  # relative error of depth at the end of the colour scale
UNKNOWN = 255  # the code of an unknown error or confidence
# Perceptual scales without their darkest part, which would vanish on a dark background.
SCALES = {"error": ("magma", 0.3, 1.0), "confidence": ("viridis", 0.25, 1.0)}
STOPS = 16  # colours of a scale


@dataclass(frozen=True, eq=False)
class Cloud:
    """One scene's depth and cameras, in the labels' frame and unit."""

    depth: Float[Tensor, "N H W"]
    valid: Bool[Tensor, "N H W"]
    intrinsics: Float[Tensor, "N 3 3"]
    cam_to_world: Float[Tensor, "N 4 4"]
    confidence: Float[Tensor, "N H W"] | None


def viewer_data(
    sources: Sequence[Mapping[str, str]], scenes: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return the data of the viewer.

    Args:
        sources: `kind` (reference or model) and `name` of each source of geometry.
        scenes: clouds by scene, of `encode_cloud`, each with the number of its `source`.

    Returns:
        JSON-ready `sources`, `scenes`, colour `scales`, and `max_error`, the end of the scale.
    """
    return {
        "sources": sources,
        "scenes": scenes,
        "scales": {name: _colours(*scale) for name, scale in SCALES.items()},
        "max_error": MAX_ERROR,
    }


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
