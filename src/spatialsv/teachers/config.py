"""A teacher from outside this package, as the settings name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["da3", "vggt", "depth_anything", "depth_pro"]
EXTERNAL = ("da3", "vggt")  # run by their authors' code, in an environment of their own
# Of published weights. Who names others says their licence.
LICENCES = {
    "depth-anything/DA3-SMALL": "Apache-2.0",
    "depth-anything/DA3-BASE": "Apache-2.0",
    "depth-anything/DA3-LARGE": "CC-BY-NC-4.0",
    "depth-anything/DA3-LARGE-1.1": "CC-BY-NC-4.0",
    "depth-anything/DA3-GIANT": "CC-BY-NC-4.0",
    "depth-anything/DA3-GIANT-1.1": "CC-BY-NC-4.0",
    "depth-anything/DA3NESTED-GIANT-LARGE": "CC-BY-NC-4.0",
    "depth-anything/DA3NESTED-GIANT-LARGE-1.1": "CC-BY-NC-4.0",
    "facebook/VGGT-1B": "CC-BY-NC-4.0",
    "facebook/VGGT-1B-Commercial": "VGGT-1B-Commercial",
    "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf": "Apache-2.0",
    "depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf": "Apache-2.0",
    "depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf": "CC-BY-NC-4.0",
    "depth-anything/Depth-Anything-V2-Metric-Outdoor-Base-hf": "CC-BY-NC-4.0",
    "depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf": "CC-BY-NC-4.0",
    "depth-anything/Depth-Anything-V2-Metric-Outdoor-Large-hf": "CC-BY-NC-4.0",
    "apple/DepthPro-hf": "apple-amlr",
}


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Which network labels, and how.

    Raises:
        ValueError: an environment that is missing, or a licence that nobody knows.
    """

    kind: Kind
    path: str  # the checkpoint's folder
    hub: str  # the repository that it is from
    revision: str | None = None  # of that repository
    licence: str | None = None  # of weights that `LICENCES` lacks
    python: str | None = None  # of the environment in workflow/envs, for da3 and vggt
    resolution: int | None = None  # pixels of the longer side, for da3 and vggt; None: their own
    feature_grid: tuple[int, int] = (
        18,
        18,
    )  # cells that features are averaged to, at most; da3 and vggt
    max_ray_degrees: float = 15.0  # a view whose rays are this far from its camera is not trusted

    def __post_init__(self) -> None:
        if self.kind in EXTERNAL and self.python is None:
            raise ValueError(
                f"teacher {self.hub}: name the `python` of its environment, which"
                f" workflow/envs/{self.kind}.yaml describes"
            )
        if self.licence is None and self.hub not in LICENCES:
            raise ValueError(f"teacher {self.hub}: nobody knows its licence; name it as `licence`")

    @property
    def terms(self) -> str:
        """The licence of the weights, and so of the labels."""
        return self.licence or LICENCES[self.hub]
