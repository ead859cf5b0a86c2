"""Data of the report's 3D viewer: true and predicted depth with cameras.

All geometry is in the labels' frame and unit: the first view's camera, lengths divided by the mean
distance of the scene's points. Predicted geometry is stored without alignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from spatialsv.analysis.jobs import Job
from spatialsv.geometry.maps import normalise_scene
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups, open_store
from spatialsv.viewer.clouds import Cloud, encode_cloud, viewer_data

EXACT = "exact"  # the source of a scene's own geometry
Maps = Mapping[str, tuple[Scenes, int]]  # by scene: a store, and the scene's row in it


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
        The data of the 3D viewer.
    """
    # Without models, other references are shown next to the first, with their errors.
    sources = {
        ("model" if number and not models else "reference", name): maps
        for number, (name, maps) in enumerate(references.items())
    }
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
    return viewer_data(
        [{"kind": kind, "name": name} for kind, name in sources],
        {scene: clouds for scene, clouds in encoded.items() if clouds},
    )


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
