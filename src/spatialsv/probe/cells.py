"""Known geometry cut into the cells whose states are probed, and what is predicted, measured.

A linear probe gives of each cell the log depth of k x k pixels, the ray through its centre and the
points of these pixels: k^2 + 6 + 3 k^2 outputs. Geometry is in the labels' frame and unit: the
first view's camera, lengths divided by the scene's mean distance.

Shapes: S scenes, N views, h w cells, k pixels a cell's side, M outputs, H = h k, W = w k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import resample, scale_intrinsics
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.correspondence import match_errors
from spatialsv.geometry.depth_metrics import affine_depth_errors, scene_depth_errors
from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras
from spatialsv.geometry.pose_metrics import error_auc, pose_errors
from spatialsv.geometry.rays import RayMap, ray_map
from spatialsv.scenes.scene import Scenes

SHARES = {"pck5": 0.05, "pck10": 0.1, "pck20": 0.2}  # of the image's longer side
TURNS = (0, 15, 30, 60, 180)  # Probe3D's bins of the angle between two views, in degrees
TO_CELLS = "s n (h y) (w x) c -> s n h w (y x c)"
TO_PIXELS = "s n h w (y x c) -> s n (h y) (w x) c"


@dataclass(frozen=True, eq=False)
class Cells:
    """The geometry of scenes of one shape, at k x k pixels of each cell."""

    side: int  # k
    geometry: GeometryLabels  # at H x W
    rays: RayMap  # through the cells' centres
    intrinsics: Float[Tensor, "S N 3 3"]  # for H x W
    cam_to_world: Float[Tensor, "S N 4 4"]

    @classmethod
    def of(cls, labels: Scenes, grid: tuple[int, int], side: int) -> Cells:
        """Of labels, for a grid of (h, w) cells."""
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

    def rows(self, rows: slice) -> Cells:
        """Some of the scenes."""
        known = {f.name: getattr(self.geometry, f.name) for f in fields(self.geometry)}
        return Cells(
            side=self.side,
            geometry=GeometryLabels(
                **{k: None if v is None else v[rows] for k, v in known.items()}
            ),
            rays=RayMap(self.rays.origins[rows], self.rays.directions[rows]),
            intrinsics=self.intrinsics[rows],
            cam_to_world=self.cam_to_world[rows],
        )

    def targets(self) -> tuple[Float[Tensor, "S N h w M"], Bool[Tensor, "S N h w"]]:
        """What a probe of each cell should give, and which cells teach it.

        They are those with depth at half of their pixels or more; the others take the mean of it.
        """
        depth, valid = self.geometry.depth, self.geometry.valid
        maps = torch.cat([torch.where(valid, depth, 1).log()[..., None], self.geometry.points], -1)
        known = rearrange(valid[..., None], TO_CELLS, y=self.side, x=self.side)[..., None]
        maps = rearrange(maps, TO_CELLS, y=self.side, x=self.side).unflatten(-1, (-1, 4))
        count = known.sum(dim=-2)
        mean = maps.where(known, 0).sum(dim=-2) / count.clamp_min(1)
        maps = torch.where(known, maps, mean[..., None, :])  # (S, N, h, w, k^2, 4)
        rays = torch.cat([self.rays.origins, self.rays.directions], dim=-1).to(maps)
        outputs = torch.cat([maps[..., 0], rays, maps[..., 1:].flatten(-2)], dim=-1)
        return outputs, 2 * count[..., 0] >= self.side**2


def outputs_of(side: int) -> dict[str, slice]:
    """Which outputs are which."""
    depth = side * side
    return {
        "depth": slice(0, depth),
        "origins": slice(depth, depth + 3),
        "directions": slice(depth + 3, depth + 6),
        "points": slice(depth + 6, depth + 6 + 3 * depth),
    }


def measure(outputs: Float[Tensor, "S N h w M"], truth: Cells) -> dict[str, Float[Tensor, " S"]]:
    """Errors of each scene; lengths in units of its mean distance, angles in degrees.

    Depth as in `scene_depth_errors` and `affine_depth_errors`. `ray_error` is the mean angle
    between rays, `origin_error` the mean distance of their origins; `rotation_error`,
    `translation_error` and `pose_auc30` (VGGT's form) are those of the cameras read from them, over
    pairs of views; `points_error` is the mean distance between points, nothing aligned.
    """
    where, side = outputs_of(truth.side), {"y": truth.side, "x": truth.side}
    known, valid = truth.geometry, truth.geometry.valid
    depth = rearrange(outputs[..., where["depth"]], TO_PIXELS, **side)[..., 0].exp()
    points = rearrange(outputs[..., where["points"]], TO_PIXELS, **side)
    origins, directions = (outputs[..., where[n]].double() for n in ("origins", "directions"))
    found = scene_depth_errors(depth, known.depth, valid)
    found |= affine_depth_errors(depth, known.depth, valid)
    true = truth.rays.directions
    angle = torch.atan2(
        torch.linalg.cross(directions, true).norm(dim=-1), (directions * true).sum(-1)
    )
    found["ray_error"] = torch.rad2deg(angle).flatten(1).mean(dim=1)
    found["origin_error"] = (origins - truth.rays.origins).norm(dim=-1).flatten(1).mean(dim=1)
    cameras = cameras_from_rays(RayMap(origins, directions))
    pairs = pose_errors(cameras.cam_to_world, truth.cam_to_world)
    found["rotation_error"] = pairs.rotation.mean(dim=1)
    found["translation_error"] = pairs.translation.nanmean(dim=1)
    auc = [error_auc(worst, 30) for worst in pairs.worst()]
    found["pose_auc30"] = torch.tensor(auc, dtype=torch.float64)
    error = (points - known.points).double().norm(dim=-1)
    found["points_error"] = _mean(error.flatten(1), valid.flatten(1))
    return found


def measure_matches(
    features: Float[Tensor, "S N h w D"], truth: Cells
) -> dict[str, Float[Tensor, " S"]]:
    """PCK of each scene: the share of its pixels whose match is that near, see `match_errors`.

    Two rows and columns of each cell's pixels are looked for, among all of the other view's.

    With `_at_A_B` behind the name over pairs of views that are turned by A to B degrees.
    """
    known = truth.geometry
    pixels = math.prod(known.depth.shape[2:])
    together = max(1, 2**24 // pixels**2)  # scenes; what is compared at once stays small
    parts = []
    for start in range(0, len(truth), together):
        rows = slice(start, start + together)
        parts.append(
            match_errors(
                features[rows],
                known.depth[rows],
                known.valid[rows],
                truth.intrinsics[rows],
                truth.cam_to_world[rows],
                every=max(1, truth.side // 2),
            )
        )
    errors, angles = (torch.cat(part) for part in zip(*parts, strict=True))
    seen = ~errors.isnan()
    found = {
        name: _mean((errors < share).double().flatten(1), seen.flatten(1))
        for name, share in SHARES.items()
    }
    for low, high in pairwise(TURNS):
        those = seen & ((angles >= low) & (angles < high))[..., None]
        near = (errors < SHARES["pck10"]).double()
        found[f"pck10_at_{low}_{high}"] = _mean(near.flatten(1), those.flatten(1))
    return found


def position_features(
    views: int, grid: tuple[int, int], waves: tuple[int, int]
) -> Float[Tensor, "N h w D"]:
    """Where a cell is: so many cosines down and across, of each view its own.

    On a grid of as many cells these tell all cells apart; on a finer one they are smooth.
    """
    rows, columns = (_cosines(*way) for way in zip(grid, waves, strict=True))
    places = torch.einsum("ha,wb->hwab", rows, columns).flatten(2)
    return torch.einsum("vn,hwd->vhwnd", torch.eye(views), places).flatten(3)


def _cosines(side: int, waves: int) -> Float[Tensor, "side waves"]:
    at = (torch.arange(side) + 0.5) / side
    return torch.cos(math.pi * at[:, None] * torch.arange(waves))


def _mean(values: Float[Tensor, "S n"], counted: Bool[Tensor, "S n"]) -> Float[Tensor, " S"]:
    """NaN where nothing is counted."""
    return values.where(counted, 0).sum(dim=1) / counted.sum(dim=1)
