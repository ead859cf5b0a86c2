"""The labels' frame and unit: the first view's camera, lengths divided by the scene's size.

Shapes: *lead any batch axes, N views, H W pixels.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import invert_pose, make_pose
from spatialsv.geometry.rays import point_map, ray_map


def to_first_view(cam_to_world: Float[Tensor, "*lead N 4 4"]) -> Float[Tensor, "*lead N 4 4"]:
    """The same cameras with the first view's camera frame as the world."""
    return invert_pose(cam_to_world[..., :1, :, :]) @ cam_to_world


def normalise_scene(
    depth: Float[Tensor, "*lead N H W"],
    cam_to_world: Float[Tensor, "*lead N 4 4"],
    intrinsics: Float[Tensor, "*lead N 3 3"],
    valid: Bool[Tensor, "*lead N H W"],
) -> tuple[Float[Tensor, "*lead N H W"], Float[Tensor, "*lead N 4 4"], Float[Tensor, "*lead"]]:
    """Depth and cameras in the first view's frame, divided by `scale`; and that scale.

    `scale` is the mean distance of all views' valid points to the first camera (VGGT's choice), in
    the unit that came in: multiply by it to return. It is 1 where no pixel is valid. Depth comes
    out 0 wherever it is not valid.
    """
    height, width = depth.shape[-2:]
    cam_to_world = to_first_view(cam_to_world)
    depth = depth.where(valid, 0)
    points = point_map(depth.to(intrinsics.dtype), ray_map(intrinsics, cam_to_world, height, width))
    distance = points.norm(dim=-1).where(valid, 0)
    count = valid.sum(dim=(-3, -2, -1))
    scale = distance.sum(dim=(-3, -2, -1)) / count.clamp_min(1)
    scale = scale.where(count > 0, 1)
    centre = cam_to_world[..., :3, 3] / scale[..., None, None]
    poses = make_pose(cam_to_world[..., :3, :3], centre)
    return depth / scale[..., None, None, None].to(depth.dtype), poses, scale
