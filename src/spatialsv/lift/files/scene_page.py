"""scene.html: the 3D view of one lifted image set, which needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spatialsv.io.atomic import write_text
from spatialsv.lift.result import LiftResult, PointCloud
from spatialsv.viewer.clouds import Cloud, encode_cloud, viewer_data
from spatialsv.viewer.images import jpeg_uri
from spatialsv.viewer.page import render_scene

MAX_POINTS = 1_000_000  # about 4 MB
IMAGE_BYTES = 4_000_000  # of all images; three.js is half a megabyte
SIDE, QUALITY = 320, 85  # largest image in pixels, and of the JPEGs


def write_scene_page(
    path: Path, result: LiftResult, cloud: PointCloud, source: str, notice: str | None
) -> None:
    """Write the page: images, cameras, and the points that are also in the other clouds.

    Args:
        path: of the page.
        result: the lifted image set.
        cloud: its point cloud.
        source: name of the model.
        notice: its limitation, as a sentence that begins with the name.
    """
    (title,) = result.scenes.ids
    depth, valid, K, poses, confidence = map(
        torch.from_numpy,
        (
            result.depth.astype(np.float64),
            result.valid & (result.confidence >= cloud.min_confidence),
            result.intrinsics,
            result.cam_to_world,
            result.confidence.astype(np.float64),
        ),
    )
    encoded = encode_cloud(Cloud(depth, valid, K, poses, confidence), MAX_POINTS)
    encoded |= {"source": 0, "windows": _windows(result, encoded["size"])}
    clouds = viewer_data(
        [{"kind": "model", "name": source, "label": f"lifted by {source}"}], {title: [encoded]}
    )
    lead = [f"Depth and cameras of {len(result.views)} images, lifted by {source}."]
    if notice:
        lead.append(f"{source[0].upper()}{source[1:]} {notice}.")
    write_text(path, render_scene(title, lead, _thumbnails(result), clouds))


def _windows(result: LiftResult, size: Sequence[int]) -> list[list[float]]:
    """Return the box of each view's photo in maps that are thinned to `size`."""
    y, x = size[1] / result.size[0], size[2] / result.size[1]
    windows = (view.window(result.size) for view in result.views)
    return [
        [
            round(side, 3)
            for side in (
                columns.start * x,
                rows.start * y,
                (columns.stop - columns.start) * x,
                (rows.stop - rows.start) * y,
            )
        ]
        for rows, columns in windows
    ]


def _thumbnails(result: LiftResult) -> list[str]:
    """Return each view's image as a data URI; the more images, the smaller."""
    images = [np.asarray(view.image.convert("RGB")) for view in result.views]
    uris = [jpeg_uri(image, SIDE, QUALITY) for image in images]
    if (total := sum(map(len, uris))) > IMAGE_BYTES:
        side = max(16, int(0.9 * SIDE * (IMAGE_BYTES / total) ** 0.5))
        uris = [jpeg_uri(image, side, QUALITY) for image in images]
    return uris
