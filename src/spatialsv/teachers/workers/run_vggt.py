"""VGGT's worker: `python run_vggt.py CHECKPOINT`; see exchange.py."""

import importlib.metadata
import json

import numpy as np
import torch
from exchange import PATCH, as_4x4, autocast, device, load_weights, serve
from PIL import Image
from safetensors.torch import load_file
from vggt.models.vggt import VGGT
from vggt.utils.pose_enc import pose_encoding_to_extri_intri

RESOLUTION = 518


def load(path):
    """Load the network of the checkpoint directory `path`, without point and track heads.

    Args:
        path: Checkpoint directory.

    Returns:
        What `exchange.serve` expects.
    """
    options = {}
    if (path / "config.json").is_file():
        config = json.loads((path / "config.json").read_text())
        options = {
            key: config[key] for key in ("img_size", "patch_size", "embed_dim") if key in config
        }
    network = VGGT(**options, enable_point=False, enable_track=False)
    network = load_weights(network, read_weights(path), path)
    version = importlib.metadata.version("vggt")
    return {"package": f"vggt {version}", "network": "VGGT"}, Labeller(network)


def read_weights(path):
    """Read model.safetensors, or tensors only from a single .pt file."""
    if (path / "model.safetensors").is_file():
        return load_file(path / "model.safetensors")
    files = list(path.glob("*.pt"))
    if len(files) != 1:
        raise SystemExit(f"{path}: expected model.safetensors or one .pt file.")
    return torch.load(files[0], map_location="cpu", weights_only=True, mmap=True)


class Labeller:
    """Predict depth, confidence, cameras and features of frames."""

    def __init__(self, network):
        self.network = network
        network.aggregator.register_forward_hook(self.capture_features)

    def capture_features(self, _aggregator, _, out):
        """Capture the last layer's patch tokens."""
        layers, first_patch = out
        self.features = layers[-1][0, :, first_patch:]  # (N, tokens, 2 C)

    def __call__(self, frames, resolution):
        """Return named tensors, and whether they are metric."""
        images = torch.stack([prepare(frame, resolution or RESOLUTION) for frame in frames])
        height, width = images.shape[-2:]
        with autocast():
            out = self.network(images.to(device()))
        poses, intrinsics = pose_encoding_to_extri_intri(out["pose_enc"].float(), (height, width))
        arrays = {
            "depth": out["depth"][0, ..., 0],
            "confidence": out["depth_conf"][0],
            "world_to_camera": as_4x4(poses[0]),
            "intrinsics": intrinsics[0],
            "features": self.features.unflatten(1, (height // PATCH, width // PATCH)),
        }
        return arrays, False


def prepare(frame, resolution):
    """Return (3, H, W) in [0, 1], resized as in the package's "pad" mode, without padding."""
    scale = resolution / max(frame.size)
    size = [max(PATCH, round(side * scale / PATCH) * PATCH) for side in frame.size]
    frame = frame.resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(frame)).movedim(-1, 0) / 255


if __name__ == "__main__":
    serve(load)
