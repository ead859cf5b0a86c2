"""Monocular metric depth with transformers: Depth Anything V2 and Depth Pro.

Images are preprocessed with Pillow or torch, without torchvision. Shapes: N views, H W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import (
    DepthAnythingForDepthEstimation,
    DepthProForDepthEstimation,
    DPTImageProcessorPil,
)

from spatialsv.geometry.maps import resize_maps
from spatialsv.io.text import load_json

MAX_DEPTH = 1e4  # metres; larger depths are unknown, as in Depth Pro's own code


@runtime_checkable
class DepthNetwork(Protocol):
    """A network that predicts z-depth in metres from views of known intrinsics."""

    def __call__(
        self, image: UInt8[np.ndarray, "N H W 3"], intrinsics: Float[Tensor, "N 3 3"]
    ) -> Float[Tensor, "N H W"]:
        """Return z-depth in metres, 0 where it is unknown."""
        ...


class DepthAnything:
    """Depth Anything V2, metric models, which ignore the intrinsics.

    Raises:
        ValueError: The checkpoint is incomplete, or its model predicts disparity.
    """

    def __init__(self, folder: Path) -> None:
        self.model = _load(DepthAnythingForDepthEstimation, folder)
        kind = self.model.config.depth_estimation_type
        if kind != "metric":
            raise ValueError(
                f"{folder}: the model predicts {kind} depth. Use a metric model, such as"
                " Depth-Anything-V2-Metric-Indoor-Small-hf."
            )
        self.processor = DPTImageProcessorPil.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def __call__(
        self, image: UInt8[np.ndarray, "N H W 3"], intrinsics: Float[Tensor, "N 3 3"]
    ) -> Float[Tensor, "N H W"]:
        """Return z-depth in metres."""
        pixels = self.processor(images=list(image), return_tensors="pt").pixel_values
        depth = self.model(pixel_values=pixels.to(self.model.device)).predicted_depth.float().cpu()
        return resize_maps(depth[None, :, None], *image.shape[1:3])[0, :, 0]


class DepthPro:
    """Depth Pro, which predicts inverse depth for a focal length of one image width.

    K converts it to metres; the network's own estimate of the field of view is not used.

    Raises:
        ValueError: The checkpoint is incomplete.
    """

    def __init__(self, folder: Path) -> None:
        self.model = _load(DepthProForDepthEstimation, folder, use_fov_model=False)
        prepared = load_json(folder / "preprocessor_config.json")
        self.size = (prepared["size"]["height"], prepared["size"]["width"])
        self.mean, self.std = (torch.tensor(prepared[f"image_{name}"]) for name in ("mean", "std"))

    @torch.inference_mode()
    def __call__(
        self, image: UInt8[np.ndarray, "N H W 3"], intrinsics: Float[Tensor, "N 3 3"]
    ) -> Float[Tensor, "N H W"]:
        """Return z-depth in metres."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).float() / 255
        pixels = ((pixels - self.mean) / self.std).movedim(-1, 1)  # before resizing
        pixels = interpolate(pixels, size=self.size, mode="bilinear", align_corners=False)
        inverse = (
            self.model(pixel_values=pixels.to(self.model.device)).predicted_depth.float().cpu()
        )
        inverse = interpolate(inverse[:, None], size=image.shape[1:3], mode="bilinear")[:, 0]
        widths = image.shape[2] / intrinsics[:, 0, 0].float()  # in focal lengths
        inverse = inverse * widths[:, None, None]
        return torch.where(inverse > 1 / MAX_DEPTH, 1 / inverse, 0)


def _load(cls: type[Any], folder: Path, **options: bool) -> Any:
    """Load a complete model in float32 and evaluation mode, on the GPU if there is one."""
    model, info = cls.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True, **options
    )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{folder}: the checkpoint lacks {len(missing)} parameters of {cls.__name__}, such as"
            f" {missing[0]}."
        )
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
