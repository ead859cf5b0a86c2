"""What the workers share: scenes come in as folders of PNG frames, arrays and answers go out.

A worker runs in its teacher's own environment, so it imports nothing but torch, NumPy, Pillow and
that teacher's package. It is started with a checkpoint's folder, loads the network once, and says
so on standard output in a line of JSON. Each line that then comes on standard input is a folder:

    request.json          {"scene", "resolution", "feature_grid"}
    00000.png, ...        the views in their order, all of one size

The worker adds NAME.npy for each array and answer.json, {"channels": {NAME: [...]}, "metric"}, or
{"error"} if that scene failed, and echoes the folder's name. It ends when its input does.
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

PATCH = 14  # pixels; both networks'
RAY_CHANNELS = ("direction_x", "direction_y", "direction_z", "origin_x", "origin_y", "origin_z")


def serve(load):
    """Answer requests until there are no more.

    Args:
        load: a checkpoint's folder -> (what is said of the network, as JSON; a function from
            frames and resolution to (named tensors, is metric)).
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a package prints is log,
    sys.stdout = sys.stderr  # and told at once
    about, label = load(Path(sys.argv[1]))
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        request = json.loads((folder / "request.json").read_text())
        try:
            answer = answer_one(folder, request, label)
        except Exception as error:  # of this scene; the next one may do
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        (folder / "answer.json").write_text(json.dumps(answer))
        print(folder.name, file=answers)


def answer_one(folder, request, label):
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
    """(N, h, w, C), averaged to at most `grid` cells."""
    size = [min(pair) for pair in zip(features.shape[1:3], grid, strict=True)]
    maps = torch.nn.functional.adaptive_avg_pool2d(features.float().movedim(-1, 1), size)
    return maps.movedim(1, -1)


def as_4x4(world_to_camera):
    """(N, 3, 4) as (N, 4, 4)."""
    last = world_to_camera.new_tensor([0, 0, 0, 1]).expand(len(world_to_camera), 1, 4)
    return torch.cat([world_to_camera[:, :3], last], dim=1)


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast():
    """bfloat16 on a GPU; a CPU computes in float32."""
    on_gpu = torch.cuda.is_available()
    return torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_gpu)


def load_weights(network, weights, path):
    """Strictly, but for what the network has no use for."""
    missing, unused = network.load_state_dict(weights, strict=False)
    if missing:
        raise SystemExit(f"{path}: lacks {len(missing)} parameters, such as {missing[0]}")
    if unused:
        print(
            f"{path}: {len(unused)} parameters are not used, such as {unused[0]}", file=sys.stderr
        )
    return network.eval().requires_grad_(False).to(device())
