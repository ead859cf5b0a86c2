"""The protocol of the workers: scenes come in as directories of PNG frames, arrays go out.

A worker runs in its teacher's environment and imports nothing but torch, NumPy, Pillow and that
teacher's package. Its argument is a checkpoint directory. It loads the network once and then writes
a line of JSON about it to standard output. Each line of standard input names a directory:

    request.json          {"scene", "resolution", "feature_grid"}
    00000.png, ...        the views in order, all of one size

The worker adds NAME.npy for each array and answer.json, {"channels": {NAME: [...]}, "metric"}, or
{"error"} if the scene failed, and prints the directory's name. It ends at the end of its input.
Standard error is a log.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
from PIL import Image

PATCH = 14  # pixels; of both networks
RAY_CHANNELS = ("direction_x", "direction_y", "direction_z", "origin_x", "origin_y", "origin_z")


def serve(load):
    """Answer requests until the end of standard input.

    Args:
        load: Function from a checkpoint directory to a description of the network, as JSON, and a
            function from frames and resolution to named tensors and whether they are metric.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a package prints goes to the log
    sys.stdout = sys.stderr
    about, label = load(Path(sys.argv[1]))
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        request = json.loads((folder / "request.json").read_text())
        try:
            answer = answer_one(folder, request, label)
        except Exception as error:  # of this scene; the next one may succeed
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        (folder / "answer.json").write_text(json.dumps(answer))
        print(folder.name, file=answers)


def answer_one(folder, request, label):
    """Label one scene and write its arrays; return the answer."""
    frames = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))]
    with torch.inference_mode():
        arrays, metric = label(frames, request["resolution"])
        arrays["features"] = pool(arrays["features"], request["feature_grid"])
    for name, values in arrays.items():
        values = values.float().cpu().numpy()
        if name == "features":
            values = values.astype(np.float16)
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    channels = dict.fromkeys(arrays)
    if "rays" in arrays:
        channels["rays"] = RAY_CHANNELS
    return {"channels": channels, "metric": metric}


def pool(features, grid):
    """Average features (N, h, w, C) to at most `grid` cells."""
    size = (min(features.shape[1], grid[0]), min(features.shape[2], grid[1]))
    maps = torch.nn.functional.adaptive_avg_pool2d(features.float().movedim(-1, 1), size)
    return maps.movedim(1, -1)


def as_4x4(world_to_camera):
    """Convert (N, 3, 4) poses to (N, 4, 4)."""
    last = world_to_camera.new_tensor([0, 0, 0, 1]).expand(len(world_to_camera), 1, 4)
    return torch.cat([world_to_camera[:, :3], last], dim=1)


def device():
    """Return the GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast():
    """Return a context of bfloat16 on a GPU and float32 on a CPU."""
    on_gpu = torch.cuda.is_available()
    return torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_gpu)


def load_weights(network, weights, path):
    """Load weights strictly, but allow some that the network does not use."""
    missing, unused = network.load_state_dict(weights, strict=False)
    if missing:
        raise SystemExit(f"{path}: {len(missing)} parameters are missing, such as {missing[0]}.")
    if unused:
        print(
            f"{path}: {len(unused)} parameters are not used, such as {unused[0]}.", file=sys.stderr
        )
    return network.eval().requires_grad_(False).to(device())
