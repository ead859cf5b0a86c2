"""The authors' own packages, on random weights. Opt-in: their environments are not ours.

    SPATIALSV_DA3_PYTHON=external/da3/bin/python SPATIALSV_VGGT_PYTHON=external/vggt/bin/python \\
        pytest tests/teachers/test_authors_packages.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.config import TeacherConfig
from spatialsv.teachers.external import ExternalTeacher
from spatialsv.teachers.worker import WORKERS

pytestmark = pytest.mark.long
DA3, VGGT = (os.environ.get(f"SPATIALSV_{name}_PYTHON") for name in ("DA3", "VGGT"))
needs_da3 = pytest.mark.skipif(not DA3, reason="SPATIALSV_DA3_PYTHON names no environment")
needs_vggt = pytest.mark.skipif(not VGGT, reason="SPATIALSV_VGGT_PYTHON names no environment")
PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 4, 83, 131, 3), dtype=np.uint8)

# A checkpoint as huggingface_hub's mixin saves one; fields of view are kept from 0.
MAKE_DA3 = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
from depth_anything_3.cfg import create_object, load_config
from depth_anything_3.registry import MODEL_REGISTRY
torch.manual_seed(0)
net = create_object(load_config(MODEL_REGISTRY["da3-small"]))
with torch.no_grad():
    net.cam_dec.fc_fov[0].bias += 1
weights = {"model." + key: value.clone() for key, value in net.state_dict().items()}
save_file(weights, Path(sys.argv[1]) / "model.safetensors")
(Path(sys.argv[1]) / "config.json").write_text(json.dumps({"model_name": "da3-small"}))
"""
# What `DepthAnything3.inference` says, in float32. The packages that it imports for its exports are
# stood in for where they are not here, and so are the three transforms of torchvision.
INFERENCE = """
import contextlib, sys, types
from pathlib import Path
from unittest.mock import MagicMock
import numpy as np, torch
from PIL import Image

class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = (torch.tensor(value)[:, None, None] for value in (mean, std))
    def __call__(self, image):
        return (image - self.mean) / self.std

try:
    import torchvision
except ImportError:
    transforms = types.ModuleType("torchvision.transforms")
    transforms.Normalize, transforms.CenterCrop = Normalize, None
    transforms.ToTensor = lambda: lambda i: torch.from_numpy(np.array(i)).movedim(-1, 0) / 255
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"] = transforms
for name in ("e3nn", "e3nn.o3", "evo", "evo.core", "evo.core.trajectory", "imageio", "matplotlib",
             "matplotlib.cm", "moviepy", "moviepy.editor", "plyfile", "pycolmap", "trimesh"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = MagicMock()
torch.autocast = lambda *args, **options: contextlib.nullcontext()
from depth_anything_3.api import DepthAnything3
checkpoint, photos, out = sys.argv[1:]
frames = [Image.fromarray(image) for image in np.load(photos)]
found = DepthAnything3.from_pretrained(checkpoint).inference(frames, process_res=112)
np.savez(out, depth=found.depth, confidence=found.conf, intrinsics=found.intrinsics,
         world_to_camera=found.extrinsics)
"""
# The smallest VGGT that its own heads allow: they read 24 layers.
SMALL_VGGT = """
from functools import partial
import vggt.models.vggt as module
module.Aggregator = partial(module.Aggregator, patch_embed="conv", num_heads=4)
"""
MAKE_VGGT = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
torch.manual_seed(0)
net = module.VGGT(img_size=112, embed_dim=64)
with torch.no_grad():
    net.camera_head.pose_branch.fc2.bias[7:] += 0.25
    net.camera_head.pose_branch.fc2.weight[7:] *= 0.1
weights = {key: value.clone() for key, value in net.state_dict().items()}
save_file(weights, Path(sys.argv[1]) / "model.safetensors")
(Path(sys.argv[1]) / "config.json").write_text(json.dumps({"img_size": 112, "embed_dim": 64}))
"""
RUN = """
import runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(python: str, code: str, *arguments: str | Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([python, "-c", code, *map(str, arguments)], check=True, env=environment)


def check(kind: str, python: str, checkpoint: Path, width: int) -> tuple[ExternalTeacher, Scenes]:
    config = TeacherConfig(
        **{"kind": kind, "path": str(checkpoint), "python": python, "hub": "random/weights"},
        **{"licence": "MIT", "resolution": 112, "feature_grid": (4, 4), "max_ray_degrees": 180.0},
    )
    teacher = ExternalTeacher(config)
    labels = teacher.label(Scenes(ids=("one", "two"), image=PHOTOS, source="photos"))
    assert labels.depth.shape == PHOTOS.shape[:-1] and labels.valid.all()
    assert labels.features.shape == (2, 4, 4, 4, width)
    assert_allclose(labels.cam_to_world[:, 0], np.tile(np.eye(4), (2, 1, 1)), atol=1e-9)
    return teacher, labels


@needs_da3
def test_da3_labels_as_its_published_inference_does(tmp_path):
    run(DA3, MAKE_DA3, tmp_path)
    teacher, labels = check("da3", DA3, tmp_path, 384)
    assert labels.revision.startswith("depth-anything-3 0.1.1, weights ")
    assert 0 < teacher.about["ray_degrees"] < 180  # random weights: two heads that know nothing
    np.save(tmp_path / "photos.npy", PHOTOS[0])
    run(DA3, INFERENCE, tmp_path, tmp_path / "photos.npy", tmp_path / "found.npz")
    teacher._request(tmp_path, Scenes(ids=("one",), image=PHOTOS[:1], source="photos"))
    said = teacher.worker.label(tmp_path, "one")
    with np.load(tmp_path / "found.npz") as found:
        for name, values in found.items():
            ours = np.load(tmp_path / f"{name}.npy")[:, : values.shape[1]]
            assert_allclose(ours, values, rtol=1e-5, atol=1e-5)
    assert said["channels"]["rays"][:3] == ["direction_x", "direction_y", "direction_z"]


@needs_vggt
def test_vggt_labels_end_to_end(tmp_path):
    run(VGGT, SMALL_VGGT + MAKE_VGGT, tmp_path)
    small = tmp_path / "python"  # a Python whose VGGT is small
    (tmp_path / "run.py").write_text(SMALL_VGGT + RUN)
    small.write_text(f'#!/bin/sh\nexec {Path(VGGT).absolute()} {tmp_path / "run.py"} "$@"\n')
    small.chmod(0o755)
    assert (WORKERS / "run_vggt.py").is_file()
    teacher, labels = check("vggt", str(small), tmp_path, 128)
    assert labels.revision.startswith("vggt 0.0.1, weights ")
    assert json.dumps(teacher.about) == '{"hub": "random/weights", "hub_revision": null}'
