"""Per-pixel geometry of views: training targets, predictions, and their frame and unit.

Shapes: *lead any batch axes, B samples, N views, H W pixels, h w visual tokens, C feature channels.
Labels and predictions are in the first view's camera frame, with lengths divided by the sample's
scale (see `normalise_scene`).
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from spatialsv.geometry.camera import invert_pose, make_pose
from spatialsv.geometry.rays import point_map, ray_map


@runtime_checkable
class _Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=_Dataclass)


def tensors_to_device(container: T, device: torch.device | str) -> T:
    """Return a copy of a dataclass with all tensors, nested ones included, on `device`."""

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: move(item) for name, item in value.items()}
        return value.to(device) if hasattr(value, "to") else value

    values = {field.name: move(getattr(container, field.name)) for field in fields(container)}
    return replace(container, **values)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeometryLabels:
    """Targets of the geometry losses. Depth is z-depth, 0 where unknown; rays as in `RayMap`.

    Raises:
        ValueError: A map does not have the size of the depth.
    """

    depth: Float[Tensor, "B N H W"]
    ray_origins: Float[Tensor, "B N H W 3"]
    ray_directions: Float[Tensor, "B N H W 3"]
    points: Float[Tensor, "B N H W 3"]
    valid: Bool[Tensor, "B N H W"]
    present: Bool[Tensor, "B N"]  # False: no geometry is known of this view, or it is padding
    features: Float[Tensor, "B N h w C"] | None = None  # a teacher's, for distillation
    weight: Float[Tensor, "B N H W"] | None = None  # of pixels: see `confidence_weights`
    border: Bool[Tensor, "B N h w"] | None = None  # features of patches that show no image

    def __post_init__(self) -> None:
        self._check_maps()
        samples, views = self.depth.shape[:2]
        if tuple(self.present.shape) != (samples, views):
            actual = tuple(self.present.shape)
            raise ValueError(f"present: expected shape ({samples}, {views}), found {actual}.")
        if self.features is not None and tuple(self.features.shape[:2]) != (samples, views):
            actual = tuple(self.features.shape)
            raise ValueError(
                f"features: expected shape ({samples}, {views}, h, w, C), found {actual}."
            )

    def to(self, device: torch.device | str) -> GeometryLabels:
        """Return the same labels on `device`."""
        return tensors_to_device(self, device)

    def _check_maps(self) -> None:
        size = tuple(self.depth.shape)
        if len(size) != 4:
            raise ValueError(f"depth: expected shape (B, N, H, W), found {size}.")
        maps = ["valid", "ray_origins", "ray_directions", "points"]
        for name in maps + ([] if self.weight is None else ["weight"]):
            expected = size if name in ("valid", "weight") else (*size, 3)
            actual = tuple(getattr(self, name).shape)
            if actual != expected:
                raise ValueError(
                    f"{name}: expected shape {expected} to match depth, found {actual}."
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class GeometryPrediction:
    """Geometry predicted from a model's visual states, with a confidence (at least 1) per task.

    The fields of a task without a head are None.
    """

    depth: Float[Tensor, "B N H W"] | None = None
    depth_confidence: Float[Tensor, "B N H W"] | None = None
    ray_origins: Float[Tensor, "B N H W 3"] | None = None
    ray_directions: Float[Tensor, "B N H W 3"] | None = None
    ray_confidence: Float[Tensor, "B N H W"] | None = None
    points: Float[Tensor, "B N H W 3"] | None = None
    points_confidence: Float[Tensor, "B N H W"] | None = None

    def to(self, device: torch.device | str) -> GeometryPrediction:
        """Return the same geometry on `device`."""
        return tensors_to_device(self, device)


def labels_from_cameras(
    depth: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    cam_to_world: Float[Tensor, "B N 4 4"],
    features: Float[Tensor, "B N h w C"] | None = None,
    present: Bool[Tensor, "B N"] | None = None,
    confidence: Float[Tensor, "B N H W"] | None = None,
    border: Bool[Tensor, "B N h w"] | None = None,
) -> GeometryLabels:
    """Return labels with the rays and points that follow from depth and cameras.

    Args:
        depth: Z-depth in the labels' unit (`normalise_scene`).
        valid: Pixels of known depth.
        intrinsics: K in pixels.
        cam_to_world: Poses in the labels' frame and unit.
        features: A teacher's features.
        present: Views with geometry; all by default.
        confidence: A teacher's, at least 1; the labels then have weights.
        border: Patches of the features that show no image; none by default.

    Returns:
        Labels in the depth's dtype, computed in the cameras' dtype.
    """
    height, width = depth.shape[-2:]
    rays = ray_map(intrinsics, cam_to_world, height, width)
    depth = torch.where(valid, depth, 0)
    points = point_map(depth.to(intrinsics.dtype), rays)
    if present is None:
        present = torch.ones(depth.shape[:2], dtype=torch.bool, device=depth.device)
    return GeometryLabels(
        depth=depth,
        ray_origins=rays.origins.to(depth.dtype),
        ray_directions=rays.directions.to(depth.dtype),
        points=points.to(depth.dtype),
        valid=valid,
        present=present,
        features=features,
        weight=None if confidence is None else confidence_weights(confidence, valid),
        border=border,
    )


def confidence_weights(
    confidence: Float[Tensor, "*lead N H W"], valid: Bool[Tensor, "*lead N H W"]
) -> Float[Tensor, "*lead N H W"]:
    """Return w = log c / mean(log c), the mean over a sample's valid pixels; 0 where not valid.

    SpatioLM (arXiv 2608.01899) weights geometric losses by log c. Divided by its mean, it does not
    change the losses' scale, and teachers differ in theirs. Where all c are 1, all weights are 1.
    """
    logarithm = confidence.where(valid, 1).clamp_min(1).log()
    total = logarithm.sum(dim=(-3, -2, -1), keepdim=True)
    weight = logarithm * valid.sum(dim=(-3, -2, -1), keepdim=True) / total
    return weight.where(total > 0, 1).where(valid, 0).to(confidence.dtype)


def to_first_view(cam_to_world: Float[Tensor, "*lead N 4 4"]) -> Float[Tensor, "*lead N 4 4"]:
    """Return the same poses with the first view's camera frame as the world."""
    return invert_pose(cam_to_world[..., :1, :, :]) @ cam_to_world


def normalise_scene(
    depth: Float[Tensor, "*lead N H W"],
    cam_to_world: Float[Tensor, "*lead N 4 4"],
    intrinsics: Float[Tensor, "*lead N 3 3"],
    valid: Bool[Tensor, "*lead N H W"],
) -> tuple[Float[Tensor, "*lead N H W"], Float[Tensor, "*lead N 4 4"], Float[Tensor, "*lead"]]:
    """Express depth and cameras in the first view's frame and divide lengths by the scene's scale.

    The scale is the mean distance of all views' valid points to the first camera, as in VGGT.

    Args:
        depth: Z-depth in any unit.
        cam_to_world: Poses in that unit.
        intrinsics: K in pixels.
        valid: Pixels of known depth.

    Returns:
        Depth, 0 where it is not valid; poses; and the scale, in the unit of the input. Multiply
        lengths by the scale to undo the normalisation. It is 1 where no pixel is valid.
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


def resize_maps(
    maps: Float[Tensor, "B N C h w"], height: int, width: int
) -> Float[Tensor, "B N C {height} {width}"]:
    """Resize bilinearly, antialiased where maps shrink; return `maps` if the size is equal."""
    if tuple(maps.shape[-2:]) == (height, width):
        return maps
    flat = interpolate(maps.flatten(0, 1), size=(height, width), mode="bilinear", antialias=True)
    return flat.reshape(*maps.shape[:3], height, width)
