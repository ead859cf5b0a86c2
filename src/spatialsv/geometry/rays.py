"""Ray maps, point maps, projection and surface normals of views with known cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from spatialsv.geometry.camera import invert_pose, pixel_grid


@dataclass(frozen=True, eq=False)
class RayMap:
    """One ray per pixel: centre t and direction R K^-1 [u, v, 1]^T, in the frame of the poses.

    Directions are not normalised: they have z = 1 in their own camera's frame, so a point lies at
    origin + z-depth * direction.
    """

    origins: Float[Tensor, "*lead H W 3"]
    directions: Float[Tensor, "*lead H W 3"]


def ray_map(
    intrinsics: Float[Tensor, "*lead 3 3"],
    cam_to_world: Float[Tensor, "*lead 4 4"],
    height: int,
    width: int,
) -> RayMap:
    """Return the rays through all pixel centres.

    Args:
        intrinsics: K in pixels.
        cam_to_world: Poses.
        height: Image height in pixels.
        width: Image width in pixels.

    Returns:
        Rays in the poses' frame. Origins are an expanded view: do not write to them.
    """
    pixels = pixel_grid(height, width, like=intrinsics)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)  # (H, W, 3)
    to_world = cam_to_world[..., :3, :3] @ torch.linalg.inv(intrinsics)
    directions = torch.einsum("...ij,hwj->...hwi", to_world, pixels)
    origins = cam_to_world[..., None, None, :3, 3].expand(directions.shape)
    return RayMap(origins=origins, directions=directions)


def point_map(depth: Float[Tensor, "*lead H W"], rays: RayMap) -> Float[Tensor, "*lead H W 3"]:
    """Return points at z-depth `depth` along `rays`, in the rays' frame and unit."""
    return rays.origins + depth[..., None] * rays.directions


def squared_length(vectors: Float[Tensor, "*lead 3 P"]) -> Float[Tensor, "*lead P"]:
    """Return squared lengths; `norm` is many times slower where coordinates precede points."""
    x, y, z = vectors.unbind(dim=-2)
    return torch.addcmul(torch.addcmul(x * x, y, y), z, z)


def project(
    points: Float[Tensor, "*lead H W 3"],
    intrinsics: Float[Tensor, "*lead 3 3"],
    cam_to_world: Float[Tensor, "*lead 4 4"],
) -> tuple[Float[Tensor, "*lead H W 2"], Float[Tensor, "*lead H W"]]:
    """Project points into each view.

    Args:
        points: World points.
        intrinsics: K in pixels.
        cam_to_world: Poses.

    Returns:
        Pixel coordinates (u, v), which are meaningless where z <= 0, and z-depth in the world's
        unit.
    """
    world_to_cam = invert_pose(cam_to_world)
    camera = torch.einsum("...ij,...hwj->...hwi", world_to_cam[..., :3, :3], points)
    camera = camera + world_to_cam[..., None, None, :3, 3]
    image = torch.einsum("...ij,...hwj->...hwi", intrinsics, camera)
    z = image[..., 2]
    return image[..., :2] / torch.where(z == 0, 1, z)[..., None], z


def depth_normals(
    depth: Float[Tensor, "*lead H W"], intrinsics: Float[Tensor, "*lead 3 3"]
) -> Float[Tensor, "*lead H W 3"]:
    """Return unit normals in the camera's frame that face the camera.

    Kornia's pixel centres are integers and its normals face away; K is therefore shifted by half a
    pixel and the sign flipped. At depth edges and next to invalid pixels normals are meaningless.

    Args:
        depth: Z-depth.
        intrinsics: K in pixels.

    Returns:
        Normals; a wall that the camera looks at has (0, 0, -1).
    """
    from kornia.geometry.depth import depth_to_normals  # slow to import, and rarely needed

    shifted = intrinsics - intrinsics.new_tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    size = depth.shape[-2:]
    normals = depth_to_normals(depth.reshape(-1, 1, *size), shifted.reshape(-1, 3, 3))
    normals = -normals.permute(0, 2, 3, 1).reshape(*depth.shape, 3)
    # Kornia leaves normals short that were shorter than 1e-12 in squared units of depth.
    return normalize(normals, dim=-1, eps=torch.finfo(normals.dtype).tiny)
