"""Known geometry of the cells whose states are probed, and errors of predictions for them.

A linear probe predicts for each cell the log depth of k x k pixels, the ray through its centre and
the points of these pixels: k^2 + 6 + 3 k^2 outputs. Geometry is in the labels' frame and unit: the
first view's camera, lengths divided by the scene's mean distance.

Shapes: S scenes, N views, h w cells, k pixels a cell's side, M outputs, H = h k, W = w k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.geometry.camera import resample, scale_intrinsics
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.correspondence import match_errors
from spatialsv.geometry.depth_metrics import affine_depth_errors, scene_depth_errors
from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras
from spatialsv.geometry.pose_metrics import error_auc, pose_errors
from spatialsv.geometry.rays import RayMap, ray_map
from spatialsv.scenes.scene import Scenes

THRESHOLDS = {"pck5": 0.05, "pck10": 0.1, "pck20": 0.2}  # of the image's longer side
ANGLES = (0, 15, 30, 60, 180)  # Probe3D's bins of the angle between two views, in degrees
TO_CELLS = "s n (h y) (w x) c -> s n h w (y x c)"
TO_PIXELS = "s n h w (y x c) -> s n (h y) (w x) c"


@dataclass(frozen=True, eq=False)
class Cells:
    """The geometry of scenes of equal shape, at k x k pixels of each cell."""

    side: int  # k
    geometry: GeometryLabels  # at H x W
    rays: RayMap  # through the cells' centres
    intrinsics: Float[Tensor, "S N 3 3"]  # for H x W
    cam_to_world: Float[Tensor, "S N 4 4"]

    @classmethod
    def from_labels(cls, labels: Scenes, grid: tuple[int, int], side: int) -> Cells:
        """Return the geometry of labels for a grid of (h, w) cells."""
        depth, valid, K = resample(
            torch.from_numpy(labels.depth).float(),
            torch.from_numpy(labels.valid),
            torch.from_numpy(labels.intrinsics).double(),
            (grid[0] * side, grid[1] * side),
        )
        poses = torch.from_numpy(labels.cam_to_world).double()
        return cls(
            side=side,
            geometry=labels_from_cameras(depth, valid, K, poses),
            rays=ray_map(scale_intrinsics(K, 1 / side, 1 / side), poses, *grid),
            intrinsics=K,
            cam_to_world=poses,
        )

    def __len__(self) -> int:
        return len(self.cam_to_world)

    def select(self, rows: slice | Int[Tensor, " _"]) -> Cells:
        """Return some of the scenes."""
        arrays = {field.name: getattr(self.geometry, field.name) for field in fields(self.geometry)}
        part: dict[str, Any] = {
            name: None if values is None else values[rows] for name, values in arrays.items()
        }
        return Cells(
            side=self.side,
            geometry=GeometryLabels(**part),
            rays=RayMap(self.rays.origins[rows], self.rays.directions[rows]),
            intrinsics=self.intrinsics[rows],
            cam_to_world=self.cam_to_world[rows],
        )

    def targets(self) -> tuple[Float[Tensor, "S N h w M"], Bool[Tensor, "S N h w"]]:
        """Return the outputs to learn, and which cells to learn from.

        Returns:
            The outputs, where invalid pixels have the mean of their cell's valid ones; and the
            cells with valid depth at half of their pixels or more.
        """
        depth, valid = self.geometry.depth, self.geometry.valid
        maps = torch.cat([torch.where(valid, depth, 1).log()[..., None], self.geometry.points], -1)
        cell_valid = rearrange(valid[..., None], TO_CELLS, y=self.side, x=self.side)[..., None]
        maps = rearrange(maps, TO_CELLS, y=self.side, x=self.side).unflatten(-1, (-1, 4))
        count = cell_valid.sum(dim=-2)
        mean = maps.where(cell_valid, 0).sum(dim=-2) / count.clamp_min(1)
        maps = torch.where(cell_valid, maps, mean[..., None, :])  # (S, N, h, w, k^2, 4)
        rays = torch.cat([self.rays.origins, self.rays.directions], dim=-1).to(maps)
        outputs = torch.cat([maps[..., 0], rays, maps[..., 1:].flatten(-2)], dim=-1)
        return outputs, 2 * count[..., 0] >= self.side**2


def output_slices(side: int) -> dict[str, slice]:
    """Return where the outputs of each kind are."""
    depth = side * side
    return {
        "depth": slice(0, depth),
        "origins": slice(depth, depth + 3),
        "directions": slice(depth + 3, depth + 6),
        "points": slice(depth + 6, depth + 6 + 3 * depth),
    }


def measure(outputs: Float[Tensor, "S N h w M"], truth: Cells) -> dict[str, Float[Tensor, " S"]]:
    """Measure the outputs of probes.

    Args:
        outputs: of a probe.
        truth: the geometry of the same cells.

    Returns:
        For each scene, lengths in units of its mean distance and angles in degrees: the errors of
        `scene_depth_errors` and `affine_depth_errors`; `ray_error`, the mean angle between rays,
        and `origin_error`, the mean distance of their origins; `rotation_error`,
        `translation_error` and `pose_auc30` (VGGT's form) of the cameras read from the rays, over
        pairs of views; `without_camera`, the share of views whose rays fit no camera, whose pairs
        have the largest errors; and `points_error`, the mean distance between points, without
        alignment.
    """
    kinds, side = output_slices(truth.side), {"y": truth.side, "x": truth.side}
    geometry, valid = truth.geometry, truth.geometry.valid
    depth = rearrange(outputs[..., kinds["depth"]], TO_PIXELS, **side)[..., 0].exp()
    points = rearrange(outputs[..., kinds["points"]], TO_PIXELS, **side)
    origins, directions = (outputs[..., kinds[n]].double() for n in ("origins", "directions"))
    errors = scene_depth_errors(depth, geometry.depth, valid)
    errors |= affine_depth_errors(depth, geometry.depth, valid)
    true = truth.rays.directions
    angle = torch.atan2(
        torch.linalg.cross(directions, true).norm(dim=-1), (directions * true).sum(-1)
    )
    errors["ray_error"] = torch.rad2deg(angle).flatten(1).mean(dim=1)
    errors["origin_error"] = (origins - truth.rays.origins).norm(dim=-1).flatten(1).mean(dim=1)
    cameras = cameras_from_rays(RayMap(origins, directions))
    pairs = pose_errors(cameras.cam_to_world, truth.cam_to_world)
    errors["rotation_error"] = pairs.rotation.mean(dim=1)
    errors["translation_error"] = pairs.translation.nanmean(dim=1)
    auc = [error_auc(worst, 30) for worst in pairs.worst()]
    errors["pose_auc30"] = torch.tensor(auc, dtype=torch.float64)
    failed = cameras.intrinsics.isnan().any(dim=-1).any(dim=-1)
    errors["without_camera"] = failed.double().mean(dim=1)
    distance = (points - geometry.points).double().norm(dim=-1)
    errors["points_error"] = _masked_mean(distance.flatten(1), valid.flatten(1))
    return errors


def measure_matches(
    features: Float[Tensor, "S N h w D"], truth: Cells
) -> dict[str, Float[Tensor, " S"]]:
    """Measure matches between views, see `match_errors`.

    Two rows and columns of each cell's pixels are matched, among all pixels of the other view.

    Args:
        features: of the cells.
        truth: the geometry of the same cells.

    Returns:
        PCK for each scene: the share of pixels whose match is within a threshold. Names that end in
        `_at_A_B` are for pairs of views at an angle of A to B degrees.
    """
    geometry = truth.geometry
    pixels = math.prod(geometry.depth.shape[2:])
    scenes = max(1, 2**24 // pixels**2)  # at once, so that the comparison fits into memory
    parts = []
    for start in range(0, len(truth), scenes):
        rows = slice(start, start + scenes)
        parts.append(
            match_errors(
                features[rows],
                geometry.depth[rows],
                geometry.valid[rows],
                truth.intrinsics[rows],
                truth.cam_to_world[rows],
                every=max(1, truth.side // 2),
            )
        )
    errors, angles = (torch.cat(part) for part in zip(*parts, strict=True))
    visible = ~errors.isnan()
    shares = {
        name: _masked_mean((errors < threshold).double().flatten(1), visible.flatten(1))
        for name, threshold in THRESHOLDS.items()
    }
    for low, high in pairwise(ANGLES):
        in_bin = visible & ((angles >= low) & (angles < high))[..., None]
        near = (errors < THRESHOLDS["pck10"]).double()
        shares[f"pck10_at_{low}_{high}"] = _masked_mean(near.flatten(1), in_bin.flatten(1))
    return shares


def position_features(
    views: int, grid: tuple[int, int], waves: tuple[int, int]
) -> Float[Tensor, "N h w D"]:
    """Encode a cell's position by `waves` cosines down and across, separately for each view."""
    # On a grid of as many cells as cosines, the code of each cell is unique.
    rows, columns = (_cosines(side, count) for side, count in zip(grid, waves, strict=True))
    code = torch.einsum("ha,wb->hwab", rows, columns).flatten(2)
    return torch.einsum("vn,hwd->vhwnd", torch.eye(views), code).flatten(3)


def _cosines(side: int, waves: int) -> Float[Tensor, "side waves"]:
    at = (torch.arange(side) + 0.5) / side
    return torch.cos(math.pi * at[:, None] * torch.arange(waves))


def _masked_mean(values: Float[Tensor, "S n"], mask: Bool[Tensor, "S n"]) -> Float[Tensor, " S"]:
    """Return the mean of masked values; NaN where the mask is empty."""
    return values.where(mask, 0).sum(dim=1) / mask.sum(dim=1)
