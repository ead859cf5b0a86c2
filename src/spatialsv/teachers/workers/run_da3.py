"""Depth Anything 3's worker: `python run_da3.py CHECKPOINT`; see exchange.py.

The network is built from the package's modules. Its `api` module is not imported, because it needs
torchvision, open3d, pycolmap, moviepy and more, none of which the network uses.
"""

import importlib.metadata
import json

import cv2
import numpy as np
import torch
from depth_anything_3.cfg import create_object, load_config
from depth_anything_3.registry import MODEL_REGISTRY
from exchange import PATCH, as_4x4, autocast, device, load_weights, serve
from PIL import Image
from safetensors.torch import load_file

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESOLUTION = 504
SKY = 0.3  # the package's threshold


def load(path):
    """Load the network of the checkpoint directory `path` for `exchange.serve`."""
    config = json.loads((path / "config.json").read_text())
    name = config.get("model_name")
    if name not in MODEL_REGISTRY:
        raise SystemExit(
            f"{path}/config.json: unknown model_name {name!r}. Known: {list(MODEL_REGISTRY)}."
        )
    network = create_object(load_config(MODEL_REGISTRY[name]))
    weights = load_file(path / "model.safetensors")
    weights = {key.removeprefix("model."): value for key, value in weights.items()}
    network = load_weights(network, weights, path)
    main = getattr(network, "da3", network)  # of the nested models
    if main.cam_dec is None:
        raise SystemExit(f"{path}: {name} predicts no cameras. Use an any-view model.")
    version = importlib.metadata.version("depth-anything-3")
    return {"package": f"depth-anything-3 {version}", "network": name}, DA3(network, main)


class DA3:
    """Predict depth, confidence, cameras, rays, sky and features of frames.

    Rays, sky and features are captured by hooks: `forward` drops the first two, and reorders the
    views of exported features when it chooses a reference view.
    """

    def __init__(self, network, main):
        self.network, self.captured = network, {}
        main.backbone.register_forward_hook(self.capture_features)
        main.head.register_forward_hook(self.capture_rays)
        if main is not network:
            network.da3_metric.head.register_forward_hook(self.capture_sky)

    def capture_features(self, backbone, _, out):
        """Capture the last layer's patch tokens."""
        tokens = out[0][-1][0][0]  # the last layer's, (N, tokens, C or 2 C)
        self.captured["features"] = tokens[..., -backbone.pretrained.embed_dim :]

    def capture_rays(self, _head, _, out):
        """Capture rays and their confidence."""
        self.captured["rays"], self.captured["ray_confidence"] = out["ray"][0], out["ray_conf"][0]

    def capture_sky(self, _head, _, out):
        """Capture the sky mask."""
        self.captured["sky"] = out["sky"][0].squeeze(-1) >= SKY

    def __call__(self, frames, resolution):
        """Return named tensors, and whether they are metric."""
        images = torch.stack([prepare(frame, resolution or RESOLUTION) for frame in frames])
        rows, columns = (side // PATCH for side in images.shape[-2:])
        self.captured = {}
        with autocast():
            out = self.network(images[None].to(device()), export_feat_layers=[])
        features = self.captured.pop("features").unflatten(1, (rows, columns))
        origins = self.captured["rays"][..., 3:]
        origins *= out.get("scale_factor", 1.0)  # of a metric model
        arrays = {
            "depth": out["depth"][0].reshape(len(frames), *images.shape[-2:]),
            "confidence": out["depth_conf"][0],
            "world_to_camera": as_4x4(out["extrinsics"][0]),
            "intrinsics": out["intrinsics"][0],
            "features": features,
        }
        return arrays | self.captured, bool(out.get("is_metric", 0))


def prepare(frame, resolution):
    """Return (3, H, W), as the package's InputProcessor does with "upper_bound_resize"."""
    scale = resolution / max(frame.size)
    frame = resize(frame, [max(1, round(side * scale)) for side in frame.size])
    frame = resize(frame, [max(PATCH, (side + PATCH // 2) // PATCH * PATCH) for side in frame.size])
    pixels = torch.from_numpy(np.array(frame)).movedim(-1, 0) / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def resize(frame, size):
    """Return the frame at `size` (width, height)."""
    if tuple(size) == frame.size:
        return frame
    grows = size[0] > frame.width or size[1] > frame.height
    how = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return Image.fromarray(cv2.resize(np.asarray(frame), tuple(size), interpolation=how))


if __name__ == "__main__":
    serve(load)
