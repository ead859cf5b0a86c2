"""Lens distortion, and undistortion to a pinhole camera with the same K.

torch and kornia are imported on use: most data needs no undistortion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image


@dataclass(frozen=True)
class Lens:
    """Distortion as in OpenCV: `radial` is k1 k2 p1 p2 [k3 [k4 k5 k6]], `fisheye` is k1 to k4.

    Raises:
        ValueError: the number of coefficients is wrong.
    """

    kind: Literal["radial", "fisheye"]
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        expected = {"radial": (4, 5, 8), "fisheye": (4,)}[self.kind]
        if len(self.coefficients) not in expected:
            raise ValueError(
                f"{self.kind} lens: {len(self.coefficients)} coefficients, expected {expected}"
            )

    def distort(
        self, pixels: Float[np.ndarray, "n 2"], intrinsics: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "n 2"]:
        """Map undistorted pixel positions to distorted ones."""
        import torch
        from kornia.geometry.calibration import distort_points
        from kornia.geometry.camera.distortion_kannala_brandt import distort_points_kannala_brandt

        K = torch.from_numpy(intrinsics).double()
        points = torch.from_numpy(pixels).double()
        coefficients = torch.tensor(self.coefficients, dtype=torch.float64)
        if self.kind == "radial":
            return distort_points(points[None], K[None], coefficients[None])[0].numpy()
        focal, centre = K.diagonal()[:2], K[:2, 2]
        params = torch.cat([focal, centre, coefficients])
        return distort_points_kannala_brandt((points - centre) / focal, params).numpy()


def undistort(image: Image.Image, intrinsics: Float[np.ndarray, "3 3"], lens: Lens) -> Image.Image:
    """Undistort an RGB image by bilinear resampling; black outside the original image.

    Args:
        image: the distorted image.
        intrinsics: K in pixels of the image, the same before and after.
        lens: the distortion.

    Returns:
        An image of the same size.
    """
    import torch
    from torch.nn.functional import grid_sample

    width, height = image.size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = lens.distort(np.stack([u.ravel(), v.ravel()], axis=1), intrinsics)
    grid = torch.from_numpy(2 * pixels / [width, height] - 1).reshape(1, height, width, 2).float()
    values = torch.from_numpy(np.array(image)).movedim(-1, 0)[None].float()
    sampled = grid_sample(values, grid, align_corners=False)[0].movedim(0, -1)
    return Image.fromarray(sampled.round().clamp(0, 255).byte().numpy())
