"""A lifted place that no model made: every number in it is known, and none is round."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from spatialsv.lift.result import LiftResult, PointCloud, make_point_cloud
from spatialsv.lift.views import make_view
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, save_spatialsv
from spatialsv.scenes.scene import Cameras, Geometry, Scenes, as_frame_ids

SHOWN, MAPS = (24, 32), (12, 16)  # height, width: maps stand for every second pixel
PHOTOS = {"wide.png": (90, 50), "tall.jpg": (40, 70), "fits.png": (64, 48)}  # width, height


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed, (name, size) in enumerate(PHOTOS.items()):
        noise(size, seed).save(folder / name)
    return [folder / name for name in PHOTOS]


@pytest.fixture(scope="session")
def result() -> LiftResult:
    rng = np.random.default_rng(7)
    height, width = MAPS
    views = [
        make_view(name, noise(size, seed), size, SHOWN, 10**6)
        for seed, (name, size) in enumerate(PHOTOS.items())
    ]
    count = len(views)
    K = np.zeros((1, count, 3, 3))
    K[..., 0, 0], K[..., 1, 1] = rng.uniform(12, 20, (2, 1, count))
    K[..., 0, 2], K[..., 1, 2] = rng.uniform(5, 9, (2, 1, count))
    K[..., 2, 2] = 1
    poses = np.broadcast_to(np.eye(4), (1, count, 4, 4)).copy()
    poses[0, 1:, :3, :3] = Rotation.random(count - 1, rng=3).as_matrix()
    poses[0, 1:, :3, 3] = rng.normal(size=(count - 1, 3))
    depth = rng.uniform(0.3, 4, (1, count, height, width)).astype(np.float32)
    scenes = Scenes(
        ids=("place",),
        geometry=Geometry(
            cameras=Cameras(intrinsics=K, cam_to_world=poses),
            depth=depth,
            valid=(rng.uniform(size=depth.shape) > 0.2) & np.stack([v.mask(MAPS) for v in views]),
            confidence=rng.uniform(1, 5, depth.shape).astype(np.float32),
        ),
        image=rng.integers(0, 255, (1, count, height, width, 3), dtype=np.uint8),
        frame_ids=as_frame_ids(PHOTOS),
        unit="relative",
        source="nobody",
    )
    return LiftResult(scenes=scenes, views=views)


@pytest.fixture(scope="session")
def cloud(result) -> PointCloud:
    return make_point_cloud(result, percentile=25, max_points=10**6)


@pytest.fixture(scope="session")
def headed(tmp_path_factory, tiny_mllm):
    """A folder with a tiny MLLM and heads, which says nothing of its training."""
    folder = tmp_path_factory.mktemp("model")
    mllm, family = load_mllm(tiny_mllm)
    torch.manual_seed(0)
    config = SpatialHeadsConfig(taps=(1, 2, 3, 4), output_size=(16, 16))
    heads = SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    save_spatialsv(folder, SpatialSV(mllm, family, heads))
    return folder
