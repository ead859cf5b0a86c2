"""The rooms teacher from random weights: exact geometry of rendered rooms, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spatialsv.base.corpus import load_corpus, render_corpus
from spatialsv.base.loop import LoopConfig, accelerator, batch_rows, run_loop
from spatialsv.config import to_mapping
from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras, normalise_scene
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.loss import TeacherLossConfig, teacher_loss
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.rooms import save_network


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """The recipe of the shipped teacher."""

    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    shards: int = 8  # of 512 rooms
    network: TeacherNetworkConfig = field(default_factory=TeacherNetworkConfig)
    loss: TeacherLossConfig = field(default_factory=TeacherLossConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2800, lr=1e-3, batch=16))
    fewer_views: float = 0.3  # share of steps that show one to three views instead of all
    seed: int = 0


def train_teacher(config: TeacherConfig, work: Path, out: Path) -> float:
    """Train and save the teacher; a second call goes on where the first was stopped.

    Returns: seconds spent.
    """
    stores = render_corpus(work / "scenes" / "teacher", "teacher", config.shards, config.rooms)
    scenes = load_corpus(stores, ["image"])
    torch.manual_seed(config.seed)
    device = accelerator()
    network = TeacherNetwork(config.network).to(device)

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = batch_rows(step, len(scenes), config.loop.batch, config.loop.seed)
        chosen = scenes.select(rows)
        views = np.arange(scenes.depth.shape[1])  # in order: the network is told it
        if rng.uniform() < config.fewer_views:
            count = rng.integers(1, len(views))
            views = views[rng.integers(len(views) - count + 1) :][:count]
        prediction = network(_exposed(chosen.image[:, views], rng).to(device))
        return teacher_loss(prediction, exact_labels(chosen, views).to(device), config.loss)

    seconds = run_loop(network, step_loss, config.loop, work / "teacher", to_mapping(config))
    save_network(network, out)
    return seconds


def exact_labels(scenes: Scenes, views: np.ndarray) -> GeometryLabels:
    """The chosen views' own geometry, in the frame of the first of them."""
    depth, valid = (torch.from_numpy(a[:, views]) for a in (scenes.depth, scenes.valid))
    intrinsics = torch.from_numpy(scenes.intrinsics[:, views]).float()
    poses = torch.from_numpy(scenes.cam_to_world[:, views]).float()
    depth, poses, _ = normalise_scene(depth, poses, intrinsics, valid)
    return labels_from_cameras(depth, valid, intrinsics, poses)


def _exposed(
    image: UInt8[np.ndarray, "B N H W 3"], rng: np.random.Generator
) -> Float[Tensor, "B N H W 3"]:
    """RGB in [0, 1] under a random exposure and white balance a scene."""
    gain = rng.uniform(0.75, 1.25, (len(image), 1, 1, 1, 1)) * rng.uniform(
        0.93, 1.07, (len(image), 1, 1, 1, 3)
    )
    return torch.from_numpy((image / 255.0 * gain).clip(0, 1).astype(np.float32))
