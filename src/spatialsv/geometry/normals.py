"""Surface normals of a depth map, by Kornia."""

from __future__ import annotations

from jaxtyping import Float
from kornia.geometry.depth import depth_to_normals
from torch import Tensor


def depth_normals(
    depth: Float[Tensor, "*lead H W"], intrinsics: Float[Tensor, "*lead 3 3"]
) -> Float[Tensor, "*lead H W 3"]:
    """Unit normals in the camera's frame, facing the camera: a wall ahead has (0, 0, -1).

    Kornia's pixel centres are integers and its normals face away, so K moves by half a pixel and
    the sign turns. At depth edges, and next to invalid pixels, the normal means nothing.
    """
    shifted = intrinsics - intrinsics.new_tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    size = depth.shape[-2:]
    normals = depth_to_normals(depth.reshape(-1, 1, *size), shifted.reshape(-1, 3, 3))
    return -normals.permute(0, 2, 3, 1).reshape(*depth.shape, 3)
