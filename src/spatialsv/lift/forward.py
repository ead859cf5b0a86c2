"""From images to lifted geometry: one forward pass of the MLLM with its heads a batch of scenes.

Shapes: S scenes, B scenes of a batch, N views, H W the heads' output pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.maps import GeometryPrediction, to_first_view
from spatialsv.geometry.rays import RayMap
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.spatialsv import SpatialSV, load_spatialsv
from spatialsv.progress import progress
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset
from spatialsv.scenes.scene import Scenes


class Lifter:
    """A fine-tuned MLLM with its 3D heads.

    Args:
        model: a train manifest, or a folder with mllm/ and heads/.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: a model without 3D heads.
    """

    def __init__(self, model: Path, batch_size: int = 8, family: str | None = None) -> None:
        self.model = load_spatialsv(resolve_model(model).folder, family=family)
        if self.model.heads is None or not self.model.heads.config.tasks:
            raise ValueError(
                f"{model}: no 3D heads beside mllm/, so nothing can be lifted; train an arm with"
                " tasks, such as spatialsv"
            )
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = batch_size

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the heads give."""
        return self.model.heads.config.tasks

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self.model.heads.config.output_size

    def lift(self, scenes: Scenes) -> Iterator[tuple[slice, GeometryPrediction]]:
        """The geometry of `scenes` batch by batch, with the rows each batch stands for.

        Raises:
            ValueError: scenes without images.
        """
        data = SceneDataset(scenes, [], self.model.family)
        collate = Collate(processor=self.model.family)
        for start in progress(range(0, len(scenes), self.batch_size), "lift"):
            rows = slice(start, min(start + self.batch_size, len(scenes)))
            batch = collate([data.images_only(row) for row in range(rows.start, rows.stop)])
            yield rows, lift_batch(self.model, batch)


@torch.no_grad()
def lift_batch(model: SpatialSV, batch: Batch) -> GeometryPrediction:
    """The heads' reading of one `Batch`, on the CPU; no logits are made."""
    device = next(model.parameters()).device
    states = model.visual_states(batch.to(device), list(model.heads.config.taps))
    return model.heads(states).to("cpu")


def as_scenes(lifted: GeometryPrediction, ids: tuple[str, ...], source: str) -> Scenes:
    """Predicted depth with the cameras read from the rays, in the first view's own frame.

    Raises:
        ValueError: heads that give no depth, or no rays.
    """
    if lifted.depth is None or lifted.ray_directions is None:
        raise ValueError("cameras and points need both the depth and the rays head")
    cameras = cameras_from_rays(
        RayMap(lifted.ray_origins, lifted.ray_directions), lifted.ray_confidence
    )
    depth = lifted.depth.numpy().astype(np.float32)
    return Scenes(
        ids=ids,
        depth=depth,
        valid=np.isfinite(depth) & (depth > 0),
        confidence=lifted.depth_confidence.numpy().astype(np.float32),
        intrinsics=cameras.intrinsics.numpy(),
        cam_to_world=to_first_view(cameras.cam_to_world).numpy(),
        unit="relative",
        source=source,
    )
