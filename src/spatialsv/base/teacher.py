"""The rooms teacher from random weights: exact geometry of rendered rooms, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spatialsv.base.corpus import load_corpus, render_corpus
from spatialsv.base.phase import PhaseConfig, batch_rows, run_phase
from spatialsv.config import to_mapping
from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras, normalise_scene
from spatialsv.optim.distributed import accelerator
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.loss import TeacherLossConfig, teacher_loss
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.rooms import save_network


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The recipe of the shipped teacher."""

    rooms: RoomsConfig = field(default_factory=RoomsConfig)  # the rooms to learn from
    shards: int = 8  # of 512 rooms
    network: TeacherNetworkConfig = field(default_factory=TeacherNetworkConfig)  # sizes
    loss: TeacherLossConfig = field(default_factory=TeacherLossConfig)  # weights
    #: how long and how fast
    training: PhaseConfig = field(
        default_factory=lambda: PhaseConfig(steps=2800, lr=1e-3, batch_size=16)
    )
    fewer_views: float = 0.3  # fraction of steps with one to three views instead of all
    seed: int = 0  # of the first weights


def train_teacher(config: TeacherConfig, work: Path, out: Path) -> float:
    """Train and save the teacher; a second call resumes where the first was stopped.

    Args:
        config: the recipe.
        work: the folder of rooms and checkpoints.
        out: the folder of the finished checkpoint.

    Returns:
        Seconds of training.
    """
    stores = render_corpus(work / "scenes" / "teacher", "teacher", config.shards, config.rooms)
    scenes = load_corpus(stores, ["image", "depth"])
    torch.manual_seed(config.seed)
    device = accelerator()
    network = TeacherNetwork(config.network).to(device)

    def step_losses(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = batch_rows(step, len(scenes), config.training.batch_size, config.training.seed)
        chosen = scenes.select(rows)
        views = np.arange(scenes.depth.shape[1])  # in order: the network encodes it
        if rng.uniform() < config.fewer_views:
            count = rng.integers(1, len(views))
            views = views[rng.integers(len(views) - count + 1) :][:count]
        prediction = network(_expose(chosen.image[:, views], rng).to(device))
        return teacher_loss(prediction, exact_labels(chosen, views).to(device), config.loss)

    settings = to_mapping(config)
    seconds = run_phase(network, step_losses, config.training, work / "teacher", settings)
    save_network(network, out)
    return seconds


def exact_labels(scenes: Scenes, views: np.ndarray) -> GeometryLabels:
    """Return the rendered geometry of the chosen views, in the frame of the first of them."""
    depth, valid = (torch.from_numpy(a[:, views]) for a in (scenes.depth, scenes.valid))
    intrinsics = torch.from_numpy(scenes.intrinsics[:, views]).float()
    poses = torch.from_numpy(scenes.cam_to_world[:, views]).float()
    depth, poses, _ = normalise_scene(depth, poses, intrinsics, valid)
    return labels_from_cameras(depth, valid, intrinsics, poses)


def _expose(
    image: UInt8[np.ndarray, "B N H W 3"], rng: np.random.Generator
) -> Float[Tensor, "B N H W 3"]:
    """Return RGB in [0, 1], with a random exposure and white balance for each scene."""
    gain = rng.uniform(0.75, 1.25, (len(image), 1, 1, 1, 1)) * rng.uniform(
        0.93, 1.07, (len(image), 1, 1, 1, 3)
    )
    return torch.from_numpy((image / 255.0 * gain).clip(0, 1).astype(np.float32))
