"""Settings of a third-party teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["da3", "vggt", "depth_anything", "depth_pro"]
EXTERNAL = ("da3", "vggt")  # run by their authors' code, in an environment of their own
# Licences of published weights, by hub id. Other weights need `licence` in the settings.
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


# What `make da3` sets up, relative to the working directory; also in workflow/config/default.yaml.
DA3 = {
    "kind": "da3",
    "hub": "depth-anything/DA3-BASE",
    "path": "external/models/da3_base",
    "python": "external/da3/bin/python",
}


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """A third-party network that labels scenes.

    Raises:
        ValueError: The environment of an external teacher or the licence of the weights is missing.
    """

    kind: Kind  # the network, and with it the code that runs it
    path: str  # directory of the checkpoint
    hub: str  # hub id of the repository that the checkpoint is from
    revision: str | None = None  # of that repository
    licence: str | None = None  # of weights that are not in `LICENCES`
    python: str | None = None  # interpreter of the environment in workflow/envs; da3 and vggt
    resolution: int | None = None  # pixels, longer side; None: the network's own; da3 and vggt
    feature_grid: tuple[int, int] = (18, 18)  # features are averaged to at most so many cells
    max_ray_degrees: float = 15.0  # views with a larger angle between rays and camera are invalid

    def __post_init__(self) -> None:
        if self.kind in EXTERNAL and self.python is None:
            raise ValueError(
                f"Teacher {self.hub}: no Python interpreter given. Create the environment that"
                f" workflow/envs/{self.kind}.yaml describes, and set `python:` in the teacher's"
                " config."
            )
        if self.licence is None and self.hub not in LICENCES:
            raise ValueError(
                f"No licence on record for {self.hub}. Set `licence:` in the teacher's config."
            )

    @property
    def terms(self) -> str:
        """The licence of the weights, and so of the labels."""
        return self.licence or LICENCES[self.hub]
